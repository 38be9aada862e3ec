// Reads a log's proofs as anybody's tool would: signed notes and RFC 6962 proofs, by golang.org/x/mod/sumdb.
//
// In: one JSON document on stdin. Out: "accepted", or what is wrong and status 1.
package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type record struct {
	Body  []byte   `json:"body"`
	Index int64    `json:"index"`
	Path  []string `json:"path"`
}

type question struct {
	Vkey        string   `json:"vkey"`
	Note        string   `json:"note"`
	OldNote     string   `json:"old_note"`
	Consistency []string `json:"consistency"`
	Records     []record `json:"records"`
}

func main() {
	var asked question
	check(json.NewDecoder(os.Stdin).Decode(&asked))
	size, root := tree(asked.Note, asked.Vkey)
	for _, each := range asked.Records {
		check(tlog.CheckRecord(hashes(each.Path), size, root, each.Index, tlog.RecordHash(each.Body)))
	}
	if asked.OldNote != "" {
		oldSize, oldRoot := tree(asked.OldNote, asked.Vkey)
		check(tlog.CheckTree(tlog.TreeProof(hashes(asked.Consistency)), size, root, oldSize, oldRoot))
	}
	fmt.Println("accepted")
}

func tree(text, vkey string) (int64, tlog.Hash) {
	verifier, err := note.NewVerifier(vkey)
	check(err)
	opened, err := note.Open([]byte(text), note.VerifierList(verifier))
	check(err)
	lines := strings.Split(opened.Text, "\n")
	size, err := strconv.ParseInt(lines[1], 10, 64)
	check(err)
	root, err := tlog.ParseHash(lines[2])
	check(err)
	return size, root
}

func hashes(texts []string) tlog.RecordProof {
	var found tlog.RecordProof
	for _, text := range texts {
		raw, err := base64.StdEncoding.DecodeString(text)
		check(err)
		var hash tlog.Hash
		copy(hash[:], raw)
		found = append(found, hash)
	}
	return found
}

func check(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
