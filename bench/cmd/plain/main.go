// Command plain is the small service of package target, watched by nobody.
package main

import (
	"flag"
	"log"
	"net/http"
	"os"

	"github.com/memwarden/memwarden/bench/internal/target"
)

func main() {
	size := target.Flags()
	flag.Parse()
	if err := target.Serve(*size, http.NewServeMux(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}
