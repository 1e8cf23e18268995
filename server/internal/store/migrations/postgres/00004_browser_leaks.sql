-- +goose Up

-- Leaks that pages report, 1, are counted apart from those of the process, 0: none of these makes room for one of those.
ALTER TABLE memwarden_leak_reports ADD COLUMN browser BIGINT NOT NULL DEFAULT 0;
