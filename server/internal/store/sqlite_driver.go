package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"

	"github.com/ncruces/go-sqlite3"
	sqlitedriver "github.com/ncruces/go-sqlite3/driver"
)

// This file alone knows which SQLite driver is used. Another one has to provide these three.

// sqliteConn is what a connection of the driver can do.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
}

// connectSQLite opens a connection to an existing file, runs pragmas such as "synchronous(full)" on it, and lets its
// transactions take the write lock when they begin, unless query_only is among the pragmas.
func connectSQLite(ctx context.Context, path string, pragmas []string) (sqliteConn, error) {
	query := url.Values{"mode": {"rw"}, "_pragma": pragmas}
	name := "file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath() + "?" + query.Encode()
	connector, err := (&sqlitedriver.SQLite{}).OpenConnector(name)
	if err != nil {
		return nil, err
	}
	conn, err := connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	able, ok := conn.(sqliteConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("the SQLite driver's %T lacks what the store needs", conn), conn.Close())
	}
	return able, nil
}

// sqliteCode returns SQLite's primary result code of an error: https://sqlite.org/rescode.html
func sqliteCode(err error) (code uint8, ok bool) {
	var e sqlite3.ErrorCode
	ok = errors.As(err, &e)
	return uint8(e), ok
}
