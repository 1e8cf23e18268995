-- +goose Up

-- Every version of the run-time configuration: at the same time the audit log of who changed what.
CREATE TABLE memwarden_config_changes (
    version   BIGINT NOT NULL PRIMARY KEY,
    at_us     BIGINT NOT NULL,              -- microseconds since 1970, UTC
    actor     TEXT   NOT NULL,
    peer      TEXT   NOT NULL,
    patch     TEXT   NOT NULL,              -- JSON: what was asked for
    overrides TEXT   NOT NULL               -- JSON: all that differs from the start-up configuration after the change
);

-- Points of the memory history, one per resolution and moment.
CREATE TABLE memwarden_history (
    resolution_ns BIGINT NOT NULL,
    at_us         BIGINT NOT NULL,          -- microseconds since 1970, UTC
    data          BYTEA  NOT NULL,
    PRIMARY KEY (resolution_ns, at_us)
);

-- One row, rewritten at each start to find out whether the database takes writes, and read by the health check.
CREATE TABLE memwarden_write_check (
    id    BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    at_us BIGINT NOT NULL
);
