CREATE TABLE IF NOT EXISTS cdrs (
    callid TEXT,
    record_id TEXT,
    revision INTEGER NOT NULL,
    outcome TEXT,
    talk_seconds DOUBLE PRECISION,
    billed_minutes DOUBLE PRECISION,
    PRIMARY KEY (callid, record_id)
);
