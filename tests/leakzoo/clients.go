package main

import (
	"context"
	"net/http"
	"net/http/httptest"

	"github.com/memwarden/memwarden"
)

// heldByClients are what HTTP clients leave open.
func heldByClients() []exhibit {
	return []exhibit{
		{name: "unclosed_bodies", run: fetchForever, want: []leak{
			{kind: "goroutines", function: "net/http.(*persistConn)", says: "as for each response whose body nobody closes", also: []string{"heap"}},
			{kind: "descriptors", says: "Open descriptors rose from"},
		}},
	}
}

// fetch looks at the status alone, and forgets the body.
func fetch(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return http.ErrNotSupported
	}
	return nil
}

func fetchForever(ctx context.Context, _ *memwarden.Warden) error {
	page := make([]byte, 64<<10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(page) // whose reader has gone away
	}))
	defer func() { server.CloseClientConnections(); server.Close() }()
	return every(ctx, goroutinesPerSecond, func(int) error { return fetch(context.WithoutCancel(ctx), server.URL) })
}
