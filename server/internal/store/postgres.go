package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	pool "github.com/memwarden/memwarden/contrib/pgxpool"
)

const (
	kindPostgres = "postgres"
	// connectTimeout bounds a connection attempt where the URL has no connect_timeout.
	connectTimeout = 5 * time.Second
	maxIdleTime    = 5 * time.Minute
	// closeTimeout bounds the end of a pool whose network has gone silent.
	closeTimeout = 5 * time.Second
)

// postgresDB is a pool of connections to PostgreSQL.
type postgresDB struct {
	pool *pool.Pool
	db   *sql.DB
	host string // and port, or the path of a socket
	base string // name of the database
	user string
}

// openPostgres prepares the pool and connects once.
func openPostgres(ctx context.Context, o Options) (*postgresDB, error) {
	config, err := parsePostgres(o)
	if err != nil {
		return nil, err
	}
	opened, err := pool.Open(ctx, config, pool.Options{MaxConns: int(config.MaxConns), Now: o.Now, OnHeld: o.tellHeld})
	if err != nil {
		return nil, err
	}
	c := config.ConnConfig
	p := &postgresDB{pool: opened, db: stdlib.OpenDBFromPool(opened.Pool), base: c.Database, user: c.User, host: c.Host}
	if !strings.HasPrefix(c.Host, "/") {
		p.host = net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port)))
	}
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	if err := p.db.PingContext(ctx); err != nil {
		return nil, errors.Join(p.explain(err), p.close())
	}
	return p, nil
}

// tellHeld tells of a connection that an operation does not give back: each is bounded to a third of the time after
// which that is reported, but for migrations.
func (o Options) tellHeld(h pool.Held) {
	o.Logger.Warn("memory leak, perhaps: a connection to the database is held for long", "held_seconds", h.For.Seconds(), "taken_by", h.Stack)
	if o.OnHeld != nil {
		o.OnHeld(h)
	}
}

// parsePostgres turns the options into a configuration of the pool. Its errors quote nothing of the URL.
func parsePostgres(o Options) (*pgxpool.Config, error) {
	const form = "it looks like postgres://user:password@host:5432/database, with @ : / ? # % in user and password percent-encoded"
	u, err := url.Parse(o.DatabaseURL)
	if err != nil {
		return nil, errors.New("database URL: cannot be read: " + form)
	}
	// A raw # ? or / in a password ends it early, and the rest of it would pass for a host or a database.
	if u.Fragment != "" || strings.Contains(u.EscapedPath()+u.RawQuery, "@") {
		return nil, errors.New("database URL: is ambiguous: " + form)
	}
	config, err := pgxpool.ParseConfig(o.DatabaseURL)
	if err != nil {
		return nil, errors.New("database URL: " + withoutSecrets(err.Error(), u))
	}
	switch {
	case o.MaxConns > 0:
		config.MaxConns = int32(o.MaxConns)
	case !u.Query().Has("pool_max_conns"):
		config.MaxConns = defaultMaxConns
	}
	config.MaxConnIdleTime = maxIdleTime
	// Operations are rare, and a connection that was cut while it lay idle must not fail the next one.
	config.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return true }
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = connectTimeout
	}
	parameters := config.ConnConfig.RuntimeParams
	parameters["timezone"] = "UTC" // the migrations' table has times without a zone
	if parameters["application_name"] == "" {
		parameters["application_name"] = "memwarden"
	}
	return config, nil
}

// withoutSecrets removes from a text all that is secret in a URL.
func withoutSecrets(text string, u *url.URL) string {
	password, _ := u.User.Password()
	_, encoded, _ := strings.Cut(u.User.String(), ":")
	secrets := []string{password, encoded}
	for name, values := range u.Query() {
		if strings.Contains(name, "password") {
			secrets = append(secrets, values...)
		}
	}
	for _, secret := range secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "xxxxx")
		}
	}
	return text
}

func (p *postgresDB) kind() string            { return kindPostgres }
func (p *postgresDB) name() string            { return p.host + "/" + p.base }
func (p *postgresDB) writer() *sql.DB         { return p.db }
func (p *postgresDB) reader() *sql.DB         { return p.db }
func (p *postgresDB) migrationsExist() string { return "SELECT to_regclass($1) IS NOT NULL" }

// verify has nothing to do: a commit that PostgreSQL acknowledged is in its database.
func (p *postgresDB) verify() error { return nil }

// uncertain is true where no answer to the commit came: a lost connection, a server that died. pgx calls it safe to
// retry when a connection ends during the commit (its SafeToRetry), although the server may have committed.
func (p *postgresDB) uncertain(commit error) bool {
	if answer := (*pgconn.PgError)(nil); errors.As(commit, &answer) {
		return answer.Severity != "ERROR" // FATAL and PANIC end the session, perhaps after the commit
	}
	return !errors.Is(commit, pgx.ErrTxCommitRollback) && !errors.Is(commit, sql.ErrTxDone)
}

func (p *postgresDB) explain(err error) error {
	var done *plain
	if errors.As(err, &done) {
		return err
	}
	server := "PostgreSQL at " + p.host
	var answer *pgconn.PgError
	var connecting *pgconn.ConnectError
	var dns *net.DNSError
	var network *net.OpError
	switch {
	case errors.As(err, &answer):
		return inPlainWords(server+p.answerInWords(answer), fmt.Sprintf("%s (SQLSTATE %s)", answer.Message, answer.Code), err)
	case errors.Is(err, context.DeadlineExceeded):
		return inPlainWords(server+" did not answer in time", "check the server and the network to it", err)
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &dns):
		return inPlainWords("the host of the database URL has no address: correct it, or check the name service", dns.Error(), err)
	case errors.As(err, &connecting):
		detail := connecting.Unwrap().Error()
		if errors.As(err, &network) {
			detail = network.Error()
		}
		return inPlainWords("cannot connect to "+server+": check that it runs and takes connections from here", detail, err)
	case lost(err):
		return inPlainWords("the connection to "+server+" was lost: the next operation connects again", err.Error(), err)
	}
	return err
}

// lost reports whether an error means that the connection is gone.
func lost(err error) bool {
	for _, sign := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, driver.ErrBadConn} {
		if errors.Is(err, sign) {
			return true
		}
	}
	var network net.Error
	return errors.As(err, &network) || pgconn.SafeToRetry(err)
}

// answerInWords continues the sentence that begins with the name of the server.
func (p *postgresDB) answerInWords(answer *pgconn.PgError) string {
	switch answer.Code {
	case "28P01", "28000":
		return fmt.Sprintf(" refuses the user %s or its password: correct the database URL", p.user)
	case "3D000":
		return fmt.Sprintf(" has no database %s: create it, or correct the database URL", p.base)
	case "42501":
		return fmt.Sprintf(" does not let the user %s do this: let it create, read and change tables in the database %s", p.user, p.base)
	case "25006":
		return " takes no writes (a standby, or set to read-only): use the primary server"
	case "53300":
		return " has no connection left: raise its max_connections, or lower the bound of the pool"
	case "53100":
		return " has no room left: free space on its disk"
	case "57P01", "57P02", "57P03":
		return " is stopping or starting: the next operation connects again"
	case "42P01", "42703":
		return " lacks tables of this program: migrate the database " + p.base
	}
	return " reports an error"
}

func (p *postgresDB) stats() PoolStats {
	s := p.pool.Stats()
	return PoolStats{
		Kind: kindPostgres, Max: s.MaxConns, InUse: s.InUse, Idle: s.Idle, Open: s.Open, PeakOpen: s.PeakOpen,
		Waits: s.Waits, WaitSeconds: s.WaitSeconds, HeldTooLong: s.HeldTooLong,
	}
}

func (p *postgresDB) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return errors.Join(p.db.Close(), p.pool.Close(ctx))
}
