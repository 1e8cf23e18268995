package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// SaveConfig adds a version of the configuration; when it returns nil, the version is durable. Version must be the newest
// one plus 1 (1 for the first), otherwise nothing is saved and the error is ErrVersionConflict. The newest
// MaxConfigChanges versions are kept.
func (s *Store) SaveConfig(ctx context.Context, c ConfigChange) error {
	if err := validateChange(c); err != nil {
		return fmt.Errorf("store: save configuration: %w", err)
	}
	return s.write(ctx, "save configuration", func(ctx context.Context, tx *sql.Tx) error {
		var newest int64
		if err := tx.QueryRowContext(ctx, `SELECT coalesce(max(version), 0) FROM memwarden_config_changes`).Scan(&newest); err != nil {
			return err
		}
		if c.Version != newest+1 {
			return fmt.Errorf("%w: this is version %d, the newest is %d", ErrVersionConflict, c.Version, newest)
		}
		result, err := tx.ExecContext(ctx, `INSERT INTO memwarden_config_changes (version, at_us, actor, peer, patch, overrides)
			VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (version) DO NOTHING`,
			c.Version, c.At.UnixMicro(), c.Actor, c.Peer, string(c.Patch), string(c.Overrides))
		if err != nil {
			return err
		}
		if inserted, err := result.RowsAffected(); err != nil {
			return err
		} else if inserted == 0 { // another process did it since the query
			return fmt.Errorf("%w: version %d was saved by another process", ErrVersionConflict, c.Version)
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM memwarden_config_changes WHERE version <= $1`, c.Version-MaxConfigChanges)
		return err
	})
}

// LatestConfig returns the newest version, and whether there is one.
func (s *Store) LatestConfig(ctx context.Context) (ConfigChange, bool, error) {
	changes, err := s.configChanges(ctx, "load configuration", 1)
	if err != nil || len(changes) == 0 {
		return ConfigChange{}, false, err
	}
	return changes[0], true, nil
}

// ConfigChanges returns the newest versions, newest first: at most limit, and never more than MaxConfigChanges, which is
// less than 65 MB at the worst and some hundred kB as a rule.
func (s *Store) ConfigChanges(ctx context.Context, limit int) ([]ConfigChange, error) {
	if limit < 1 {
		return nil, fmt.Errorf("store: list configuration changes: limit %d is not positive", limit)
	}
	return s.configChanges(ctx, "list configuration changes", min(limit, MaxConfigChanges))
}

func (s *Store) configChanges(ctx context.Context, what string, limit int) (changes []ConfigChange, _ error) {
	err := s.read(ctx, what, func(ctx context.Context, conn *sql.Conn) error {
		rows, err := conn.QueryContext(ctx, `SELECT version, at_us, actor, peer, patch, overrides
			FROM memwarden_config_changes ORDER BY version DESC LIMIT $1`, limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var c ConfigChange
			var at int64
			var patch, overrides string
			if err := rows.Scan(&c.Version, &at, &c.Actor, &c.Peer, &patch, &overrides); err != nil {
				return err
			}
			c.At, c.Patch, c.Overrides = time.UnixMicro(at).UTC(), json.RawMessage(patch), json.RawMessage(overrides)
			changes = append(changes, c)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, err
	}
	return changes, nil
}

// validateChange lists every reason why a change cannot be kept.
func validateChange(c ConfigChange) error {
	var mistakes []error
	refuse := func(format string, arguments ...any) { mistakes = append(mistakes, fmt.Errorf(format, arguments...)) }
	if c.Version < 1 {
		refuse("version: %d is not positive", c.Version)
	}
	if c.At.IsZero() {
		refuse("at: missing")
	}
	if c.Actor == "" {
		refuse("actor: missing")
	}
	text := func(name, value string) {
		if len(value) > MaxNameBytes || !utf8.ValidString(value) || strings.ContainsRune(value, 0) {
			refuse("%s: must be UTF-8 text of at most %d bytes", name, MaxNameBytes)
		}
	}
	document := func(name string, value json.RawMessage) {
		if len(value) > MaxConfigBytes || !utf8.Valid(value) || !json.Valid(value) {
			refuse("%s: must be JSON of at most %d bytes", name, MaxConfigBytes)
		}
	}
	text("actor", c.Actor)
	text("peer", c.Peer)
	document("patch", c.Patch)
	document("overrides", c.Overrides)
	return errors.Join(mistakes...)
}
