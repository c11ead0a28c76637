-- Writes to the shop without a natural key: decided, and not yet known to have happened. They belong to the record, not to
-- one job, because a discarded job leaves them to the next one.
CREATE TABLE intents (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    lane_id    INTEGER NOT NULL REFERENCES lanes (id),
    source_id  TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    -- The idempotency key that it is sent with.
    key        TEXT    NOT NULL UNIQUE,
    -- JSON: exactly what is sent.
    payload    TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    closed_at  INTEGER
) STRICT;
CREATE INDEX intents_open ON intents (lane_id, source_id) WHERE closed_at IS NULL;
CREATE INDEX intents_closed ON intents (closed_at) WHERE closed_at IS NOT NULL;

-- What an order in work sells: while it is open, the stock of these variants must not rise on the shop. Rows go with the job.
CREATE TABLE job_items (
    job_id INTEGER NOT NULL REFERENCES jobs (id),
    item   TEXT    NOT NULL,
    PRIMARY KEY (job_id, item)
) STRICT, WITHOUT ROWID;

-- Which records were written to the shop, and when last: what the limits on sudden change count.
CREATE TABLE out_writes (
    shop   TEXT NOT NULL,
    object TEXT NOT NULL,
    -- 'write', 'price' (a price that jumped), 'zero' (a level that became none).
    kind   TEXT NOT NULL,
    record TEXT NOT NULL,
    at     INTEGER NOT NULL,
    PRIMARY KEY (shop, object, kind, record)
) STRICT, WITHOUT ROWID;
CREATE INDEX out_writes_at ON out_writes (shop, object, kind, at);
