-- +goose Up

-- Every version of the run-time configuration: at the same time the audit log of who changed what.
CREATE TABLE memwarden_config_changes (
    version   INTEGER NOT NULL PRIMARY KEY,
    at_us     INTEGER NOT NULL,             -- microseconds since 1970, UTC
    actor     TEXT    NOT NULL,
    peer      TEXT    NOT NULL,
    patch     TEXT    NOT NULL,             -- JSON: what was asked for
    overrides TEXT    NOT NULL              -- JSON: all that differs from the start-up configuration after the change
) STRICT;

-- Points of the memory history, one per resolution and moment.
CREATE TABLE memwarden_history (
    resolution_ns INTEGER NOT NULL,
    at_us         INTEGER NOT NULL,         -- microseconds since 1970, UTC
    data          BLOB    NOT NULL,
    PRIMARY KEY (resolution_ns, at_us)
) STRICT;

-- One row, rewritten at each start to find out whether the database takes writes, and read by the health check.
CREATE TABLE memwarden_write_check (
    id    INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    at_us INTEGER NOT NULL
) STRICT;
