// The oracle answers, one JSON line for each JSON line, what the Go libraries of NATS make of a
// token, a key or a creds file. It holds no rule of its own.
package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
)

type question struct {
	Op        string          `json:"op"`
	Token     string          `json:"token"`
	Kind      string          `json:"kind"`
	Claims    json.RawMessage `json:"claims"`
	Seed      string          `json:"seed"`
	Public    string          `json:"public"`
	Peer      string          `json:"peer"`
	Text      string          `json:"text"`
	Data      string          `json:"data"`      // hex
	Nonce     string          `json:"nonce"`     // hex
	Signature string          `json:"signature"` // hex
}

type answer map[string]any

type issue struct {
	Description string `json:"description"`
	Level       string `json:"level"`
	Blocking    bool   `json:"blocking"`
	TimeCheck   bool   `json:"time_check"`
}

func claimsFrom(kind string, text []byte) (jwt.Claims, error) {
	var claims jwt.Claims
	switch jwt.ClaimType(kind) {
	case jwt.OperatorClaim:
		claims = &jwt.OperatorClaims{}
	case jwt.AccountClaim:
		claims = &jwt.AccountClaims{}
	case jwt.UserClaim:
		claims = &jwt.UserClaims{}
	case jwt.ActivationClaim:
		claims = &jwt.ActivationClaims{}
	case jwt.AuthorizationRequestClaim:
		claims = &jwt.AuthorizationRequestClaims{}
	case jwt.AuthorizationResponseClaim:
		claims = &jwt.AuthorizationResponseClaims{}
	case jwt.GenericClaim:
		claims = &jwt.GenericClaims{}
	default:
		return nil, fmt.Errorf("oracle: no such kind of claims: %q", kind)
	}
	return claims, json.Unmarshal(text, claims)
}

func claimsOf(q question) (jwt.Claims, error) {
	if q.Token != "" {
		return jwt.Decode(q.Token)
	}
	return claimsFrom(q.Kind, q.Claims)
}

// The library has no level as such: what it calls Errors, Warnings and time checks follows from two flags.
func levelOf(found *jwt.ValidationIssue) string {
	switch {
	case found.Blocking:
		return "error"
	case found.TimeCheck:
		return "time"
	}
	return "warning"
}

func validate(q question) (answer, error) {
	claims, err := claimsOf(q)
	if err != nil {
		return nil, err
	}
	results := jwt.CreateValidationResults()
	claims.Validate(results)
	issues := []issue{}
	for _, found := range results.Issues {
		issues = append(issues, issue{found.Description, levelOf(found), found.Blocking, found.TimeCheck})
	}
	return answer{"issues": issues}, nil
}

func decode(q question) (answer, error) {
	claims, err := jwt.Decode(q.Token)
	if err != nil {
		return nil, err
	}
	return answer{"claims": claims, "kind": claims.ClaimType()}, nil
}

// Sets iss, iat and jti as the library does: iat is the time of the call.
func encode(q question) (answer, error) {
	claims, err := claimsFrom(q.Kind, q.Claims)
	if err != nil {
		return nil, err
	}
	pair, err := nkeys.FromSeed([]byte(q.Seed))
	if err != nil {
		return nil, err
	}
	token, err := claims.Encode(pair)
	return answer{"token": token}, err
}

func activationHash(q question) (answer, error) {
	activation, err := jwt.DecodeActivationClaims(q.Token)
	if err != nil {
		return nil, err
	}
	hash, err := activation.HashID()
	return answer{"hash": hash}, err
}

func pairOf(seed string) (nkeys.KeyPair, error) {
	if prefix, _, err := nkeys.DecodeSeed([]byte(seed)); err == nil && prefix == nkeys.PrefixByteCurve {
		return nkeys.FromCurveSeed([]byte(seed))
	}
	return nkeys.FromSeed([]byte(seed))
}

// With a seed: its public key and kind. With a public key alone: its kind, if it is one.
func nkey(q question) (answer, error) {
	public := q.Public
	if q.Seed != "" {
		pair, err := pairOf(q.Seed)
		if err != nil {
			return nil, err
		}
		if public, err = pair.PublicKey(); err != nil {
			return nil, err
		}
	}
	if _, err := nkeys.Decode(nkeys.Prefix(public), []byte(public)); err != nil {
		return nil, err
	}
	if !nkeys.IsValidPublicKey(public) {
		return nil, nkeys.ErrInvalidPublicKey
	}
	return answer{"public": public, "role": nkeys.Prefix(public).String()}, nil
}

func sign(q question) (answer, error) {
	data, err := hex.DecodeString(q.Data)
	if err != nil {
		return nil, err
	}
	pair, err := pairOf(q.Seed)
	if err != nil {
		return nil, err
	}
	signature, err := pair.Sign(data)
	return answer{"signature": hex.EncodeToString(signature)}, err
}

func verify(q question) (answer, error) {
	data, err := hex.DecodeString(q.Data)
	if err != nil {
		return nil, err
	}
	signature, err := hex.DecodeString(q.Signature)
	if err != nil {
		return nil, err
	}
	pair, err := nkeys.FromPublicKey(q.Public)
	if err != nil {
		return nil, err
	}
	return answer{}, pair.Verify(data, signature)
}

func seal(q question) (answer, error) {
	data, err := hex.DecodeString(q.Data)
	if err != nil {
		return nil, err
	}
	pair, err := nkeys.FromCurveSeed([]byte(q.Seed))
	if err != nil {
		return nil, err
	}
	if q.Nonce == "" {
		sealed, err := pair.Seal(data, q.Peer)
		return answer{"data": hex.EncodeToString(sealed)}, err
	}
	nonce, err := hex.DecodeString(q.Nonce)
	if err != nil {
		return nil, err
	}
	sealed, err := pair.SealWithRand(data, q.Peer, bytes.NewReader(nonce))
	return answer{"data": hex.EncodeToString(sealed)}, err
}

func open(q question) (answer, error) {
	data, err := hex.DecodeString(q.Data)
	if err != nil {
		return nil, err
	}
	pair, err := nkeys.FromCurveSeed([]byte(q.Seed))
	if err != nil {
		return nil, err
	}
	opened, err := pair.Open(data, q.Peer)
	return answer{"data": hex.EncodeToString(opened)}, err
}

func formatCreds(q question) (answer, error) {
	text, err := jwt.FormatUserConfig(q.Token, []byte(q.Seed))
	return answer{"text": string(text)}, err
}

func parseCreds(q question) (answer, error) {
	token, err := jwt.ParseDecoratedJWT([]byte(q.Text))
	if err != nil {
		return nil, err
	}
	pair, err := jwt.ParseDecoratedNKey([]byte(q.Text))
	if err != nil {
		return nil, err
	}
	public, err := pair.PublicKey()
	return answer{"token": token, "public": public}, err
}

var acts = map[string]func(question) (answer, error){
	"validate": validate, "decode": decode, "encode": encode, "activation_hash": activationHash,
	"nkey": nkey, "sign": sign, "verify": verify, "seal": seal, "open": open,
	"format_creds": formatCreds, "parse_creds": parseCreds,
}

func reply(line []byte) (given answer) {
	// The library panics on some hostile tokens; that is an answer, too, and not the end of the others.
	defer func() {
		if fault := recover(); fault != nil {
			given = answer{"ok": false, "error": fmt.Sprintf("panic: %v", fault), "panic": true}
		}
	}()
	var q question
	err := json.Unmarshal(line, &q)
	if err == nil {
		act, known := acts[q.Op]
		if !known {
			err = errors.New("oracle: no such op: " + q.Op)
		} else {
			given, err = act(q)
		}
	}
	if err != nil {
		return answer{"ok": false, "error": err.Error()}
	}
	given["ok"] = true
	return given
}

func main() {
	lines := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	writer := json.NewEncoder(out)
	writer.SetEscapeHTML(false)
	for {
		line, err := lines.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			if err := writer.Encode(reply(line)); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}
		if err != nil {
			return
		}
		if lines.Buffered() == 0 { // nobody waits for an answer that sits in our buffer
			if err := out.Flush(); err != nil {
				os.Exit(1)
			}
		}
	}
}
