-- Times are milliseconds since 1970-01-01T00:00:00Z. Details are JSON as text. A job is open while ended_at is null.

CREATE TABLE shops (
    name          TEXT    NOT NULL PRIMARY KEY,
    first_seen_at INTEGER NOT NULL,
    disabled      TEXT,
    disabled_at   INTEGER
) STRICT, WITHOUT ROWID;

-- One row for each shop, object and direction that ever had a job. `record_prefix` and a job's source id together are
-- the name of the record that the job is about, as locks and waits spell it.
CREATE TABLE lanes (
    id            INTEGER NOT NULL PRIMARY KEY,
    shop          TEXT    NOT NULL,
    object        TEXT    NOT NULL,
    direction     TEXT    NOT NULL CHECK (direction IN ('in', 'out')),
    record_prefix TEXT    NOT NULL,
    UNIQUE (shop, object, direction)
) STRICT;

CREATE TABLE jobs (
    -- AUTOINCREMENT: the number of a deleted job never comes back.
    id                 INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    lane_id            INTEGER NOT NULL REFERENCES lanes (id),
    source_id          TEXT    NOT NULL,
    state              TEXT    NOT NULL CHECK (state IN ('available', 'scheduled', 'running', 'retryable', 'held',
                                                         'problem', 'completed', 'obsolete', 'discarded')),
    priority           INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 2),
    -- When it became or becomes ready.
    run_at             INTEGER NOT NULL,
    -- Raised by every event; a claim copies it to `taken`.
    wanted             INTEGER NOT NULL,
    taken              INTEGER NOT NULL DEFAULT 0,
    events             INTEGER NOT NULL,
    -- Raised by every claim.
    fence              INTEGER NOT NULL DEFAULT 0,
    node               TEXT,
    claimed_at         INTEGER,
    lease_until        INTEGER,
    attempts           INTEGER NOT NULL DEFAULT 0,
    failed_attempts    INTEGER NOT NULL DEFAULT 0,
    -- Attempts in a row that ended without a word.
    unclean_attempts   INTEGER NOT NULL DEFAULT 0,
    -- When an attempt ended whose last call may still take effect; null once an attempt succeeded.
    unclean_at         INTEGER,
    system_down        TEXT    CHECK (system_down IN ('shopify', 'erp')),
    waits_on           TEXT,
    -- When the oldest event that is still owed came, and when its change happened on the source side.
    wanted_since       INTEGER NOT NULL,
    triggered_at       INTEGER,
    -- The same of the oldest event that came during the running attempt.
    later_since        INTEGER,
    later_triggered_at INTEGER,
    cause              TEXT    NOT NULL,
    reason             TEXT,
    record_name        TEXT,
    erp_name           TEXT,
    last_summary       TEXT,
    created_at         INTEGER NOT NULL,
    updated_at         INTEGER NOT NULL,
    ended_at           INTEGER,
    CHECK ((state IN ('completed', 'obsolete', 'discarded')) = (ended_at IS NOT NULL)),
    CHECK ((state = 'running') = (lease_until IS NOT NULL))
) STRICT;

-- At most one open job for each key.
CREATE UNIQUE INDEX jobs_open ON jobs (lane_id, source_id) WHERE ended_at IS NULL;
-- The history of one record.
CREATE INDEX jobs_record ON jobs (lane_id, source_id, id);
-- What a claim takes, in its order; the last two columns let counts be taken from the index alone.
CREATE INDEX jobs_waiting ON jobs (lane_id, priority, run_at, id, state, created_at)
    WHERE state IN ('available', 'scheduled', 'retryable');
-- When the next job becomes ready.
CREATE INDEX jobs_timed ON jobs (run_at) WHERE state IN ('scheduled', 'retryable');
CREATE INDEX jobs_busy ON jobs (state, lane_id, created_at) WHERE state IN ('running', 'held', 'problem');
CREATE INDEX jobs_waits ON jobs (waits_on) WHERE waits_on IS NOT NULL;
CREATE INDEX jobs_down ON jobs (lane_id, system_down) WHERE system_down IS NOT NULL;
-- What pruning takes.
CREATE INDEX jobs_ended ON jobs (ended_at, lane_id, state, created_at) WHERE ended_at IS NOT NULL;
CREATE INDEX jobs_record_name ON jobs (record_name) WHERE record_name IS NOT NULL;
CREATE INDEX jobs_erp_name ON jobs (erp_name) WHERE erp_name IS NOT NULL;

CREATE TABLE events (
    id           INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    shop         TEXT    NOT NULL,
    topic        TEXT    NOT NULL,
    webhook_id   TEXT,
    event_id     TEXT,
    -- The first 16 bytes of a SHA-256 over shop and deduplication key.
    dedup        BLOB    NOT NULL UNIQUE CHECK (length(dedup) = 16),
    triggered_at INTEGER,
    received_at  INTEGER NOT NULL CHECK (received_at >= 0),
    api_version  TEXT,
    -- Null once it was removed.
    body         BLOB,
    body_codec   TEXT    NOT NULL CHECK (body_codec IN ('raw', 'lz4')),
    body_sha256  TEXT    NOT NULL,
    job_id       INTEGER REFERENCES jobs (id),
    reason       TEXT
) STRICT;

CREATE INDEX events_job ON events (job_id) WHERE job_id IS NOT NULL;
CREATE INDEX events_recorded ON events (received_at) WHERE job_id IS NULL;

CREATE TABLE attempts (
    id         INTEGER NOT NULL PRIMARY KEY,
    job_id     INTEGER NOT NULL REFERENCES jobs (id),
    number     INTEGER NOT NULL,
    node       TEXT    NOT NULL,
    started_at INTEGER NOT NULL CHECK (started_at >= 0),
    ended_at   INTEGER,
    outcome    TEXT    NOT NULL CHECK (outcome IN ('completed', 'obsolete', 'retry', 'wait', 'problem', 'held',
                                                   'unclean')),
    summary    TEXT    NOT NULL,
    detail     TEXT    NOT NULL,
    revision   INTEGER,
    UNIQUE (job_id, number)
) STRICT;

-- Records in the hands of running attempts, the record of each claimed job included.
CREATE TABLE locks (
    record TEXT    NOT NULL PRIMARY KEY,
    job_id INTEGER NOT NULL REFERENCES jobs (id)
) STRICT, WITHOUT ROWID;

CREATE INDEX locks_job ON locks (job_id);

CREATE TABLE problems (
    id          INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    shop        TEXT    NOT NULL,
    job_id      INTEGER REFERENCES jobs (id),
    code        TEXT    NOT NULL,
    record      TEXT,
    field       TEXT,
    reason      TEXT    NOT NULL,
    fix         TEXT    NOT NULL,
    owner       TEXT    NOT NULL,
    mapping     TEXT,
    cluster     TEXT    NOT NULL,
    detail      TEXT    NOT NULL,
    opened_at   INTEGER NOT NULL,
    seen_at     INTEGER NOT NULL,
    count       INTEGER NOT NULL,
    closed_at   INTEGER
) STRICT;

CREATE UNIQUE INDEX problems_open_job ON problems (job_id) WHERE closed_at IS NULL AND job_id IS NOT NULL;
CREATE UNIQUE INDEX problems_open_shop ON problems (shop, code, cluster) WHERE closed_at IS NULL AND job_id IS NULL;
CREATE INDEX problems_open ON problems (id) WHERE closed_at IS NULL;
CREATE INDEX problems_job ON problems (job_id) WHERE job_id IS NOT NULL;
CREATE INDEX problems_closed ON problems (closed_at) WHERE closed_at IS NOT NULL AND job_id IS NULL;

CREATE TABLE links (
    shop              TEXT    NOT NULL,
    kind              TEXT    NOT NULL,
    source_id         TEXT    NOT NULL,
    model             TEXT    NOT NULL,
    erp_id            INTEGER NOT NULL,
    erp_name          TEXT,
    state             TEXT    NOT NULL CHECK (state IN ('adopted', 'linked', 'retired')),
    source_updated_at INTEGER,
    agreed            TEXT    NOT NULL,
    updated_at        INTEGER NOT NULL,
    PRIMARY KEY (shop, kind, source_id)
) STRICT;

-- One ERP record belongs to one source record. Addresses are shared, and retired links hold nothing.
CREATE UNIQUE INDEX links_erp ON links (shop, kind, erp_id) WHERE kind <> 'address' AND state <> 'retired';
CREATE INDEX links_by_erp ON links (shop, kind, erp_id);

CREATE TABLE rejections (
    shop   TEXT    NOT NULL,
    reason TEXT    NOT NULL,
    hour   INTEGER NOT NULL,
    count  INTEGER NOT NULL,
    PRIMARY KEY (hour, shop, reason)
) STRICT, WITHOUT ROWID;

CREATE TABLE cursors (
    shop       TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    value      TEXT    NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (shop, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE breakers (
    shop   TEXT    NOT NULL,
    system TEXT    NOT NULL CHECK (system IN ('shopify', 'erp')),
    state  TEXT    NOT NULL,
    since  INTEGER NOT NULL,
    reason TEXT,
    PRIMARY KEY (shop, system)
) STRICT, WITHOUT ROWID;

CREATE TABLE revisions (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    hash       TEXT    NOT NULL UNIQUE,
    summary    TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- Proof that privacy requests were carried out; never deleted.
CREATE TABLE compliance (
    id           INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    shop         TEXT    NOT NULL,
    topic        TEXT    NOT NULL,
    event_id     INTEGER NOT NULL,
    requested_at INTEGER NOT NULL,
    done_at      INTEGER NOT NULL,
    summary      TEXT    NOT NULL,
    UNIQUE (shop, topic, event_id)
) STRICT;
