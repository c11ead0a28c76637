-- Who holds the job back. Events leave such a job held, a retry or a release sets it free.
ALTER TABLE jobs ADD COLUMN held_by TEXT;

-- What people did, by whichever door. Never changed; written in the transaction of the change itself.
CREATE TABLE audit (
    id      INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    actor   TEXT    NOT NULL,
    via     TEXT    NOT NULL,
    action  TEXT    NOT NULL,
    shop    TEXT,
    -- `job:42`, `shop:main`, `batch:3`, `cluster:CODE/CLUSTER`, `limit:OBJECT`.
    subject TEXT    NOT NULL,
    reason  TEXT,
    detail  TEXT    NOT NULL
) STRICT;
CREATE INDEX audit_subject ON audit (subject, id);
CREATE INDEX audit_action ON audit (action, shop, at);

-- Retries of many jobs, step by step. A step moves `last_job` in the transaction in which it retries.
CREATE TABLE batches (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    started_at INTEGER NOT NULL,
    actor      TEXT    NOT NULL,
    via        TEXT    NOT NULL,
    reason     TEXT,
    -- JSON: which problems.
    filter     TEXT    NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('running', 'done', 'stopped')),
    per_second INTEGER NOT NULL CHECK (per_second > 0),
    -- How many fitted at the start, and how many were tried again.
    total      INTEGER NOT NULL,
    done       INTEGER NOT NULL,
    -- Jobs after the one and up to the other are left.
    last_job   INTEGER NOT NULL,
    upto_job   INTEGER NOT NULL,
    next_at    INTEGER NOT NULL,
    ended_at   INTEGER
) STRICT;
-- A second click starts no second one.
CREATE UNIQUE INDEX batches_running ON batches (filter) WHERE state = 'running';

-- Shops whose jobs wait, although everything is taken in.
CREATE TABLE pauses (
    shop   TEXT    NOT NULL PRIMARY KEY,
    since  INTEGER NOT NULL,
    actor  TEXT    NOT NULL,
    reason TEXT
) STRICT, WITHOUT ROWID;

-- Who looks after a cluster of problems, and until when it need not be shown.
CREATE TABLE problem_care (
    shop          TEXT    NOT NULL,
    code          TEXT    NOT NULL,
    cluster       TEXT    NOT NULL,
    claimed_by    TEXT,
    claimed_at    INTEGER,
    snoozed_until INTEGER,
    PRIMARY KEY (shop, code, cluster)
) STRICT, WITHOUT ROWID;

-- By what else a job is found: 'sku', and 'email' as a hash. Rows go with the job.
CREATE TABLE job_names (
    job_id INTEGER NOT NULL REFERENCES jobs (id),
    kind   TEXT    NOT NULL,
    value  TEXT    NOT NULL,
    PRIMARY KEY (kind, value, job_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX job_names_job ON job_names (job_id);

-- Clusters are counted from this alone.
CREATE INDEX problems_cluster ON problems (cluster, code, shop, job_id, opened_at, seen_at) WHERE closed_at IS NULL;
