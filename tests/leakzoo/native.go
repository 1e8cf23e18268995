//go:build cgo

package main

// #include <stdlib.h>
// #include <string.h>
//
// // decode stands for a library in C: what it returns is the caller's to free.
// static char *decode(size_t bytes) {
// 	char *picture = malloc(bytes);
// 	if (picture != NULL) {
// 		memset(picture, 1, bytes);
// 	}
// 	return picture;
// }
import "C"

import (
	"context"
	"errors"

	"github.com/memwarden/memwarden"
)

// nativeLeaks are leaks of memory that the Go runtime knows nothing of.
func nativeLeaks() []exhibit {
	return []exhibit{
		{name: "cgo_malloc", run: decodeForever, want: []leak{{kind: "native", says: "Memory outside of the Go runtime's rose from", perSecond: 1 << 20}}},
	}
}

// decodeForever has pictures decoded and frees none of them.
func decodeForever(ctx context.Context, _ *memwarden.Warden) error {
	return every(ctx, 16, func(int) error {
		if C.decode(64<<10) == nil {
			return errors.New("there is no memory for a picture")
		}
		return nil
	})
}
