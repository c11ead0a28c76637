-- A configuration may come back after another one: what was saved last is the newest, whatever stood before.
CREATE TABLE revisions_again (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    hash       TEXT    NOT NULL,
    summary    TEXT    NOT NULL,
    -- JSON: the toggles of each shop.
    toggles    TEXT    NOT NULL,
    node       TEXT    NOT NULL,
    -- 0: only the number of a file that differs from the newest.
    acted_on   INTEGER NOT NULL CHECK (acted_on IN (0, 1)),
    created_at INTEGER NOT NULL
) STRICT;
INSERT INTO revisions_again (id, hash, summary, toggles, node, acted_on, created_at)
    SELECT id, hash, summary, '{}', '', 1, created_at FROM revisions;
DROP TABLE revisions;
ALTER TABLE revisions_again RENAME TO revisions;
CREATE INDEX revisions_hash ON revisions (hash, id);

-- Which configuration each node runs, by its hash, and when it said so last.
CREATE TABLE node_files (
    node    TEXT    NOT NULL PRIMARY KEY,
    hash    TEXT    NOT NULL,
    node_id INTEGER,
    seen_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    kind       TEXT    NOT NULL CHECK (kind IN ('delta')),
    shop       TEXT    NOT NULL,
    object     TEXT    NOT NULL,
    cause      TEXT    NOT NULL,
    since      INTEGER NOT NULL,
    node       TEXT    NOT NULL,
    started_at INTEGER NOT NULL,
    -- When it was heard of last.
    seen_at    INTEGER NOT NULL,
    ended_at   INTEGER,
    outcome    TEXT    CHECK (outcome IN ('done', 'failed', 'cut')),
    pages      INTEGER NOT NULL DEFAULT 0,
    records    INTEGER NOT NULL DEFAULT 0,
    made       INTEGER NOT NULL DEFAULT 0,
    error      TEXT,
    CHECK ((outcome IS NULL) = (ended_at IS NULL))
) STRICT;

-- One run of a shop's object at a time.
CREATE UNIQUE INDEX runs_open ON runs (shop, object) WHERE ended_at IS NULL;
CREATE INDEX runs_ended ON runs (ended_at) WHERE ended_at IS NOT NULL;

-- Times of which events may be missing.
CREATE TABLE gaps (
    id        INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    shop      TEXT    NOT NULL,
    object    TEXT    NOT NULL,
    since     INTEGER NOT NULL,
    -- Since when events come again.
    stood_at  INTEGER NOT NULL,
    reason    TEXT    NOT NULL,
    opened_at INTEGER NOT NULL,
    -- When the next run is due, and how many failed in a row.
    next_at   INTEGER NOT NULL,
    failed    INTEGER NOT NULL DEFAULT 0,
    run_id    INTEGER,
    closed_at INTEGER
) STRICT;

CREATE UNIQUE INDEX gaps_open ON gaps (shop, object) WHERE closed_at IS NULL;
CREATE INDEX gaps_closed ON gaps (closed_at) WHERE closed_at IS NOT NULL;
