-- Full runs are runs of their own kind: changes are looked for as ever while one is under way.
CREATE TABLE runs_again (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    kind       TEXT    NOT NULL CHECK (kind IN ('delta', 'full')),
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
-- Gaps and reports keep numbers of runs.
INSERT INTO runs_again (id, kind, shop, object, cause, since, node, started_at, seen_at, ended_at, outcome, pages, records, made, error)
    SELECT id, kind, shop, object, cause, since, node, started_at, seen_at, ended_at, outcome, pages, records, made, error FROM runs;
DROP TABLE runs;
ALTER TABLE runs_again RENAME TO runs;
-- One run of a kind of a shop's object at a time.
CREATE UNIQUE INDEX runs_open ON runs (shop, object, kind) WHERE ended_at IS NULL;
CREATE INDEX runs_ended ON runs (ended_at) WHERE ended_at IS NOT NULL;

-- What full runs found. A run that has a report is a full one, or a sample; its rows are kept up to a limit, its counts are exact.
CREATE TABLE drift_reports (
    run_id  INTEGER NOT NULL PRIMARY KEY,
    shop    TEXT    NOT NULL,
    object  TEXT    NOT NULL,
    kind    TEXT    NOT NULL CHECK (kind IN ('full', 'sample')),
    dry_run INTEGER NOT NULL CHECK (dry_run IN (0, 1)),
    -- JSON: what was looked at, and the counts by class and fate.
    body    TEXT    NOT NULL
) STRICT;
CREATE INDEX drift_reports_of ON drift_reports (shop, object, run_id);

CREATE TABLE drift (
    run_id    INTEGER NOT NULL,
    position  INTEGER NOT NULL,
    shop      TEXT    NOT NULL,
    object    TEXT    NOT NULL,
    class     TEXT    NOT NULL,
    fate      TEXT    NOT NULL,
    source_id TEXT,
    erp_id    INTEGER,
    model     TEXT,
    name      TEXT,
    field     TEXT,
    -- Both values, as people read them. They may be personal: a privacy request blanks them.
    shopify   TEXT,
    erp       TEXT,
    -- The rule that leaves it alone, or the code of the problem.
    why       TEXT,
    direction TEXT,
    job_id    INTEGER,
    PRIMARY KEY (run_id, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX drift_of_record ON drift (shop, object, source_id);

-- Values that people put in place of what was written, each once.
CREATE TABLE corrections (
    shop      TEXT    NOT NULL,
    object    TEXT    NOT NULL,
    source_id TEXT    NOT NULL,
    field     TEXT    NOT NULL,
    -- Hash of the value that stands there instead.
    value     TEXT    NOT NULL,
    mapping   TEXT    NOT NULL,
    found_at  INTEGER NOT NULL,
    PRIMARY KEY (shop, object, source_id, field, value)
) STRICT, WITHOUT ROWID;
CREATE INDEX corrections_found ON corrections (found_at);
