-- What came of attempts and deliveries, by hour. Attempts are counted in the transaction of their end. Where a time is
-- counted, `bound_ms` is the upper bound of its class, else 0. What concerns a shop as a whole has no object or direction.
CREATE TABLE tallies (
    hour      INTEGER NOT NULL,
    shop      TEXT    NOT NULL,
    object    TEXT    NOT NULL,
    direction TEXT    NOT NULL,
    kind      TEXT    NOT NULL,
    bound_ms  INTEGER NOT NULL,
    count     INTEGER NOT NULL,
    PRIMARY KEY (hour, shop, object, direction, kind, bound_ms)
) STRICT, WITHOUT ROWID;

-- Conditions that people are told of: one row while one lasts.
CREATE TABLE alerts (
    id           INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    -- What makes it the same condition, e.g. `breaker:main/erp`.
    key          TEXT    NOT NULL,
    kind         TEXT    NOT NULL,
    shop         TEXT,
    owner        TEXT    NOT NULL,
    text         TEXT    NOT NULL,
    url          TEXT,
    -- 1 when text or url quote what a job's problem says: that goes with a privacy request.
    quotes       INTEGER NOT NULL DEFAULT 0,
    since        INTEGER NOT NULL,
    told_at      INTEGER,
    -- It was not there at the last look; after a while of that it is over.
    absent_since INTEGER,
    ended_at     INTEGER,
    -- When people were told of its end, or it was settled that nobody is.
    end_told_at  INTEGER
) STRICT;
CREATE UNIQUE INDEX alerts_lasting ON alerts (key) WHERE ended_at IS NULL;
CREATE INDEX alerts_pending ON alerts (id) WHERE end_told_at IS NULL;
CREATE INDEX alerts_ended ON alerts (ended_at) WHERE ended_at IS NOT NULL;

-- Messages to people. Where each goes to is looked up when it is sent: addresses are no part of the store.
CREATE TABLE alert_messages (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    -- One message for each; what happens once has one of these.
    dedup      TEXT    NOT NULL UNIQUE,
    channel    TEXT    NOT NULL CHECK (channel IN ('email', 'chat')),
    recipient  TEXT    NOT NULL,
    subject    TEXT    NOT NULL,
    body       TEXT    NOT NULL,
    -- The shops whose jobs' problems it quotes, as a JSON array of names.
    quotes     TEXT    NOT NULL DEFAULT '[]',
    created_at INTEGER NOT NULL,
    next_at    INTEGER NOT NULL,
    tries      INTEGER NOT NULL DEFAULT 0,
    failed_at  INTEGER,
    error      TEXT,
    ended_at   INTEGER,
    sent       INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX alert_messages_due ON alert_messages (next_at) WHERE ended_at IS NULL;
CREATE INDEX alert_messages_failed ON alert_messages (failed_at) WHERE failed_at IS NOT NULL;
CREATE INDEX alert_messages_recipient ON alert_messages (recipient, created_at);
CREATE INDEX alert_messages_ended ON alert_messages (ended_at) WHERE ended_at IS NOT NULL;

-- What the weekly report asks for.
CREATE INDEX problems_opened ON problems (opened_at);

-- The open jobs of a lane by when they were first heard of: late orders are looked for twice a minute.
CREATE INDEX jobs_open_since ON jobs (lane_id, created_at) WHERE ended_at IS NULL;
