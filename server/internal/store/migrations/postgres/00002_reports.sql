-- +goose Up

-- Reports that browsers send, oldest first; what is too old, or too many, is removed as new ones come.
CREATE TABLE memwarden_reports (
    id    BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at_us BIGINT NOT NULL,                  -- microseconds since 1970, UTC
    data  BYTEA  NOT NULL
);
CREATE INDEX memwarden_reports_at ON memwarden_reports (at_us);

-- What was found out about leaks, kept in the same way.
CREATE TABLE memwarden_leak_reports (
    id    BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at_us BIGINT NOT NULL,
    data  BYTEA  NOT NULL
);
CREATE INDEX memwarden_leak_reports_at ON memwarden_leak_reports (at_us);
