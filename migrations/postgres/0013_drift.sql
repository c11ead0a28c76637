-- Full runs are runs of their own kind: changes are looked for as ever while one is under way.
ALTER TABLE runs DROP CONSTRAINT runs_kind_check;
ALTER TABLE runs ADD CONSTRAINT runs_kind_check CHECK (kind IN ('delta', 'full'));
-- One run of a kind of a shop's object at a time.
DROP INDEX runs_open;
CREATE UNIQUE INDEX runs_open ON runs (shop, object, kind) WHERE ended_at IS NULL;

-- What full runs found. A run that has a report is a full one, or a sample; its rows are kept up to a limit, its counts are exact.
CREATE TABLE drift_reports (
    run_id  BIGINT NOT NULL PRIMARY KEY,
    shop    TEXT    NOT NULL,
    object  TEXT    NOT NULL,
    kind    TEXT    NOT NULL CHECK (kind IN ('full', 'sample')),
    dry_run BIGINT NOT NULL CHECK (dry_run IN (0, 1)),
    -- JSON: what was looked at, and the counts by class and fate.
    body    TEXT    NOT NULL
);
CREATE INDEX drift_reports_of ON drift_reports (shop, object, run_id);

CREATE TABLE drift (
    run_id    BIGINT NOT NULL,
    position  BIGINT NOT NULL,
    shop      TEXT    NOT NULL,
    object    TEXT    NOT NULL,
    class     TEXT    NOT NULL,
    fate      TEXT    NOT NULL,
    source_id TEXT,
    erp_id    BIGINT,
    model     TEXT,
    name      TEXT,
    field     TEXT,
    -- Both values, as people read them. They may be personal: a privacy request blanks them.
    shopify   TEXT,
    erp       TEXT,
    -- The rule that leaves it alone, or the code of the problem.
    why       TEXT,
    direction TEXT,
    job_id    BIGINT,
    PRIMARY KEY (run_id, position)
);
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
    found_at  BIGINT NOT NULL,
    PRIMARY KEY (shop, object, source_id, field, value)
);
CREATE INDEX corrections_found ON corrections (found_at);
