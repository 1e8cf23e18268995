// Command plain is the small service of package target, watched by nobody.
package main

import (
	"log"
	"net/http"
	"os"

	"github.com/memwarden/memwarden/bench/internal/target"
)

func main() {
	if err := target.Serve(http.NewServeMux(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}
