-- +goose Up

-- One row: the name of this database, made at its first use, by which caches outside know whose rows they remember.
CREATE TABLE memwarden_identity (
    id   BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    name TEXT   NOT NULL
);
