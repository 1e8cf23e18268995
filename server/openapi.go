// Package server holds what the service serves as files: the document of its API.
//
// The document includes package memhttp's; cmd/memwarden and its internal packages stand above.
package server

import (
	_ "embed"
	"slices"
)

//go:embed openapi.yaml
var openAPI []byte

// OpenAPI returns a copy of the document of the service's API.
func OpenAPI() []byte { return slices.Clone(openAPI) }
