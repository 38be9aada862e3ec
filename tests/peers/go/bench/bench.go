// What the Go library takes to encode and to decode one user token, on one core: the baseline our
// own figures stand beside. Prints {"encode_ns", "decode_ns", "rounds", "token_bytes", "library"}.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
)

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

func libraryVersion() string {
	if built, ok := debug.ReadBuildInfo(); ok {
		for _, module := range built.Deps {
			if module.Path == "github.com/nats-io/jwt/v2" {
				return module.Version
			}
		}
	}
	return "unknown"
}

func main() {
	rounds := flag.Int("n", 20000, "how many tokens")
	flag.Parse()
	runtime.GOMAXPROCS(1)

	account := must(nkeys.CreateAccount())
	users := make([]string, 256) // as in real life, no two tokens of a row are the same
	for i := range users {
		users[i] = must(must(nkeys.CreateUser()).PublicKey())
	}

	fill := func(i int) *jwt.UserClaims {
		claims := jwt.NewUserClaims(users[i%len(users)])
		claims.Name = fmt.Sprintf("user-%d", i)
		claims.Pub.Allow.Add("orders.>", "metrics.*.in")
		claims.Sub.Allow.Add("_INBOX.>")
		return claims
	}
	for i := range 200 { // warm up
		must(jwt.DecodeUserClaims(must(fill(i).Encode(account))))
	}

	tokens := make([]string, *rounds)
	start := time.Now()
	for i := range tokens {
		tokens[i] = must(fill(i).Encode(account))
	}
	encoding := time.Since(start)

	start = time.Now()
	for _, token := range tokens {
		must(jwt.DecodeUserClaims(token))
	}
	decoding := time.Since(start)

	printed := map[string]any{
		"encode_ns": encoding.Nanoseconds() / int64(*rounds), "decode_ns": decoding.Nanoseconds() / int64(*rounds),
		"rounds": *rounds, "token_bytes": len(tokens[0]), "library": libraryVersion(),
	}
	if err := json.NewEncoder(os.Stdout).Encode(printed); err != nil {
		os.Exit(1)
	}
}
