-- Everything of an object that a shop has, or had since a time, carried over once.
CREATE TABLE imports (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    shop       TEXT    NOT NULL,
    object     TEXT    NOT NULL,
    -- Records that were made from then on, and before then.
    since      INTEGER,
    until      INTEGER,
    actor      TEXT    NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('running', 'stopped', 'done', 'dropped')),
    -- The last record that was listed, and JSON: the listed ones that have no job yet.
    cursor     INTEGER,
    pending    TEXT    NOT NULL DEFAULT '[]',
    is_listed  INTEGER NOT NULL DEFAULT 0 CHECK (is_listed IN (0, 1)),
    listed     INTEGER NOT NULL DEFAULT 0,
    -- Why it does not get on at the moment.
    error      TEXT,
    -- What it does not see of what was asked for.
    warning    TEXT,
    started_at INTEGER NOT NULL,
    ended_at   INTEGER,
    -- JSON: what became of its jobs, once it is over.
    counts     TEXT,
    CHECK ((state IN ('done', 'dropped')) = (ended_at IS NOT NULL))
) STRICT;

CREATE UNIQUE INDEX imports_open ON imports (shop, object) WHERE ended_at IS NULL;

ALTER TABLE jobs ADD COLUMN import_id INTEGER REFERENCES imports (id);
ALTER TABLE jobs ADD COLUMN import_effect TEXT CHECK (import_effect IN ('created', 'updated', 'unchanged'));
CREATE INDEX jobs_of_import ON jobs (import_id, state, import_effect) WHERE import_id IS NOT NULL;
-- What a claim takes when nothing else is there.
CREATE INDEX jobs_imported ON jobs (lane_id, run_at, id)
    WHERE import_id IS NOT NULL AND priority = 2 AND state IN ('available', 'scheduled', 'retryable');
