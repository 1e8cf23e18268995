package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"
)

// SaveHistory saves up to MaxRowsPerSave rows in one transaction; when it returns nil, they are durable. A row replaces
// the one of the same resolution and moment. The newest MaxHistoryRows rows of a resolution are kept.
func (s *Store) SaveHistory(ctx context.Context, rows []Row) error {
	if err := validateRows(rows); err != nil {
		return fmt.Errorf("store: save history: %w", err)
	}
	if len(rows) == 0 {
		return nil
	}
	return s.write(ctx, "save history", func(ctx context.Context, tx *sql.Tx) error {
		insert, err := tx.PrepareContext(ctx, `INSERT INTO memwarden_history (resolution_ns, at_us, data) VALUES ($1, $2, $3)
			ON CONFLICT (resolution_ns, at_us) DO UPDATE SET data = excluded.data`)
		if err != nil {
			return err
		}
		defer insert.Close()
		var resolutions []time.Duration
		for _, row := range rows {
			data := row.Data
			if data == nil {
				data = []byte{} // nil would be NULL
			}
			if _, err := insert.ExecContext(ctx, int64(row.Resolution), row.At.UnixMicro(), data); err != nil {
				return err
			}
			if !slices.Contains(resolutions, row.Resolution) {
				resolutions = append(resolutions, row.Resolution)
			}
		}
		for _, resolution := range resolutions {
			if _, err := tx.ExecContext(ctx, `DELETE FROM memwarden_history WHERE resolution_ns = $1 AND at_us <= (
				SELECT at_us FROM memwarden_history WHERE resolution_ns = $1 ORDER BY at_us DESC LIMIT 1 OFFSET $2)`,
				int64(resolution), MaxHistoryRows); err != nil {
				return err
			}
		}
		return nil
	})
}

// LoadHistory calls take with each row of a resolution from since on, oldest first, until take returns an error, which
// is returned. Data is valid during the call alone. When the connection has to be made anew, it begins again with the
// first row.
func (s *Store) LoadHistory(ctx context.Context, resolution time.Duration, since time.Time, take func(Row) error) error {
	return s.read(ctx, "load history", func(ctx context.Context, conn *sql.Conn) error {
		rows, err := conn.QueryContext(ctx, `SELECT at_us, data FROM memwarden_history
			WHERE resolution_ns = $1 AND at_us >= $2 ORDER BY at_us LIMIT $3`,
			int64(resolution), since.UnixMicro(), MaxHistoryRows)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var at int64
			var data sql.RawBytes
			if err := rows.Scan(&at, &data); err != nil {
				return err
			}
			if err := take(Row{Resolution: resolution, At: time.UnixMicro(at).UTC(), Data: data}); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}

// TrimHistory removes the rows of a resolution from before a moment and returns how many they were.
func (s *Store) TrimHistory(ctx context.Context, resolution time.Duration, before time.Time) (removed int64, _ error) {
	err := s.write(ctx, "trim history", func(ctx context.Context, tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, `DELETE FROM memwarden_history WHERE resolution_ns = $1 AND at_us < $2`,
			int64(resolution), before.UnixMicro())
		if err != nil {
			return err
		}
		removed, err = result.RowsAffected()
		return err
	})
	if err != nil {
		return 0, err
	}
	return removed, nil
}

// validateRows lists every reason why rows cannot be kept, of the first few rows that have one.
func validateRows(rows []Row) error {
	if len(rows) > MaxRowsPerSave {
		return fmt.Errorf("%d rows are more than %d", len(rows), MaxRowsPerSave)
	}
	const enough = 10
	var mistakes []error
	for i, row := range rows {
		if row.Resolution <= 0 {
			mistakes = append(mistakes, fmt.Errorf("row %d: resolution %v is not positive", i, row.Resolution))
		}
		if row.At.IsZero() {
			mistakes = append(mistakes, fmt.Errorf("row %d: at: missing", i))
		}
		if len(row.Data) > MaxRowBytes {
			mistakes = append(mistakes, fmt.Errorf("row %d: %d bytes of data are more than %d", i, len(row.Data), MaxRowBytes))
		}
		if len(mistakes) >= enough {
			break
		}
	}
	return errors.Join(mistakes...)
}
