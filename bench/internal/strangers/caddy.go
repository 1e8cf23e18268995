package strangers

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
)

// object of JSON.
type object map[string]any

// Caddy runs Caddy with so many connections that stay open after a request. Its data are in dir.
func Caddy(ctx context.Context, file, dir string, connections int) (*Program, error) {
	host, port, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	_, adminPort, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	address, admin := net.JoinHostPort(host, port), net.JoinHostPort(host, adminPort)
	server := object{
		"listen": []string{address}, "automatic_https": object{"disable": true},
		"routes": []object{{"handle": []object{{"handler": "static_response", "body": "hello\n"}}}},
	}
	config, err := json.Marshal(object{
		"admin": object{"listen": admin},
		"apps":  object{"http": object{"servers": object{"bench": server}}},
	})
	if err != nil {
		return nil, err
	}
	configFile := filepath.Join(dir, "config.json")
	if err := os.WriteFile(configFile, config, 0o600); err != nil {
		return nil, err
	}
	p, err := start(ctx, file, dir, admin, "run", "--config", configFile)
	if err != nil {
		return nil, err
	}
	for range connections {
		c, r, err := p.connect(address)
		if err != nil {
			return nil, p.fail(err)
		}
		if _, err := fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: bench\r\n\r\n"); err != nil {
			return nil, p.fail(err)
		}
		if _, err := await(r, "hello"); err != nil {
			return nil, p.fail(err)
		}
	}
	return p, nil
}
