// Package reference holds the test that writes docs/reference/configuration.md and .env.production.template from the tables of
// settings, and fails when one is stale:
//
//	go test ./server/internal/reference -update
//
// It stands above packages config and auto, whose import starts a warden: hence a package of its own.
package reference
