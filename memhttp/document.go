package memhttp

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// packedOpenAPI is openapi.yaml as it is kept in every program that imports this package: a sixth of it.
//
//go:embed openapi.yaml.gz
var packedOpenAPI []byte

// OpenAPI returns the document that describes this package's routes, in YAML. It is unpacked by each call, and the caller's.
func OpenAPI() []byte {
	var document []byte
	in, err := gzip.NewReader(bytes.NewReader(packedOpenAPI))
	if err == nil {
		document, err = io.ReadAll(in)
	}
	if err != nil {
		panic(fmt.Sprintf("memhttp: openapi.yaml.gz: %v", err)) // a part of the program is damaged
	}
	return document
}

func (h *handler) serveOpenAPI(w http.ResponseWriter, r *http.Request) {
	const yaml = "application/yaml"
	if h.o.OpenAPI != nil {
		writeBody(w, http.StatusOK, yaml, h.o.OpenAPI)
		return
	}
	w.Header().Set("Vary", "Accept-Encoding")
	if acceptsGzip(r) {
		w.Header().Set("Content-Encoding", "gzip")
		writeBody(w, http.StatusOK, yaml, packedOpenAPI)
		return
	}
	writeBody(w, http.StatusOK, yaml, OpenAPI())
}

// acceptsGzip tells whether a client names gzip among the codings that it takes. Its weight does not matter, but for 0,
// which refuses it.
func acceptsGzip(r *http.Request) bool {
	for _, list := range r.Header.Values("Accept-Encoding") {
		for coding := range strings.SplitSeq(list, ",") {
			name, weight, _ := strings.Cut(coding, ";")
			if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
				continue
			}
			_, q, _ := strings.Cut(weight, "=")
			return strings.Trim(q, "0. ") != "" || q == ""
		}
	}
	return false
}
