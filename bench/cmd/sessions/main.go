// Command sessions is the program of package sessions as it is, without memwarden: what is looked at from outside.
//
//	sessions N PAGE
package main

import (
	"log"
	"os"

	"github.com/memwarden/memwarden/bench/internal/sessions"
)

func main() {
	if err := sessions.Main(os.Args[1:], os.Stdin, os.Stdout, nil); err != nil {
		log.Fatal(err)
	}
}
