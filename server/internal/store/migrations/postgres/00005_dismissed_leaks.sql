-- +goose Up

-- The signature of a leak that somebody has dismissed: its report is kept until that is taken back, whatever its age.
ALTER TABLE memwarden_leak_reports ADD COLUMN dismissed TEXT;
CREATE INDEX memwarden_leak_reports_dismissed ON memwarden_leak_reports (dismissed) WHERE dismissed IS NOT NULL;
