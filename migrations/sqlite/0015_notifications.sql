-- What other systems are told.

-- Notifications that were committed with their cause and are not fanned out yet: a short table. Its numbers rise with each
-- notification about a record, and never come back.
CREATE TABLE outbox (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    body       TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- Notifications that somebody wants, once for all endpoints.
CREATE TABLE notifications (
    -- The number in the outbox.
    id           INTEGER NOT NULL PRIMARY KEY,
    notification TEXT    NOT NULL,
    event        TEXT    NOT NULL,
    shop         TEXT,
    object       TEXT,
    record       TEXT,
    -- Empty when it was removed on a privacy request.
    body         TEXT,
    created_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX notifications_id ON notifications (notification);
CREATE INDEX notifications_record ON notifications (record) WHERE record IS NOT NULL;

-- By what else a notification is found, and by what it is removed.
CREATE TABLE notification_keys (
    key             TEXT    NOT NULL,
    notification_id INTEGER NOT NULL,
    PRIMARY KEY (key, notification_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX notification_keys_notification ON notification_keys (notification_id);

-- One for each endpoint that wants a notification.
CREATE TABLE dispatches (
    id              INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    notification_id INTEGER NOT NULL,
    endpoint        TEXT    NOT NULL,
    event           TEXT    NOT NULL,
    state           TEXT    NOT NULL CHECK (state IN ('waiting', 'sending', 'delivered', 'failed', 'cancelled', 'replaced', 'problem')),
    priority        INTEGER NOT NULL CHECK (priority IN (0, 1, 2)),
    -- What makes two of them about the same, where the newer replaces the older.
    object_key      TEXT,
    due_at          INTEGER NOT NULL,
    tries           INTEGER NOT NULL DEFAULT 0,
    -- Rises with each claim: an end without it is too late.
    fence           INTEGER NOT NULL DEFAULT 0,
    claimed_until   INTEGER,
    -- What it is sent together with, on every try.
    batch           TEXT,
    failure         TEXT,
    sentence        TEXT,
    status          INTEGER,
    took_ms         INTEGER,
    created_at      INTEGER NOT NULL,
    ended_at        INTEGER
) STRICT;
CREATE INDEX dispatches_due ON dispatches (endpoint, priority, due_at, id) WHERE state = 'waiting';
-- What was sent in a batch stays in it: the same batch goes out again.
CREATE UNIQUE INDEX dispatches_unique ON dispatches (endpoint, object_key)
    WHERE state = 'waiting' AND object_key IS NOT NULL AND batch IS NULL;
CREATE INDEX dispatches_batch ON dispatches (endpoint, batch) WHERE state = 'waiting' AND batch IS NOT NULL;
CREATE INDEX dispatches_sending ON dispatches (claimed_until) WHERE state = 'sending';
CREATE INDEX dispatches_listed ON dispatches (endpoint, state, id);
CREATE INDEX dispatches_event ON dispatches (event, id);
CREATE INDEX dispatches_notification ON dispatches (notification_id);
CREATE INDEX dispatches_ended ON dispatches (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE dispatch_tries (
    id          INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    dispatch_id INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    took_ms     INTEGER NOT NULL,
    failure     TEXT,
    sentence    TEXT,
    status      INTEGER,
    headers     TEXT    NOT NULL,
    answer      TEXT    NOT NULL,
    is_cut      INTEGER NOT NULL,
    -- The dispatch whose try of the same time holds the answer: a batch has one for all.
    told_by     INTEGER
) STRICT;
CREATE INDEX dispatch_tries_dispatch ON dispatch_tries (dispatch_id, at);

-- Endpoints that something was made for or is known of.
CREATE TABLE endpoints (
    name            TEXT    NOT NULL PRIMARY KEY,
    paused_because  TEXT,
    paused_by       TEXT,
    paused_at       INTEGER,
    health          TEXT    NOT NULL DEFAULT '',
    -- When others were told last that it fails.
    told_failing_at INTEGER,
    -- When the last delivery was given up that no person has looked after since.
    given_up_at     INTEGER
) STRICT, WITHOUT ROWID;

-- How many dispatches of each endpoint wait or need a person, kept as they change: a page shows it of a million.
CREATE TABLE dispatch_counts (
    endpoint TEXT    NOT NULL,
    state    TEXT    NOT NULL,
    count    INTEGER NOT NULL,
    PRIMARY KEY (endpoint, state)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER dispatch_counts_made AFTER INSERT ON dispatches WHEN NEW.state IN ('waiting', 'failed', 'problem') BEGIN
    INSERT INTO dispatch_counts (endpoint, state, count) VALUES (NEW.endpoint, NEW.state, 1)
    ON CONFLICT (endpoint, state) DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER dispatch_counts_left AFTER UPDATE OF state ON dispatches
WHEN OLD.state <> NEW.state AND OLD.state IN ('waiting', 'failed', 'problem') BEGIN
    UPDATE dispatch_counts SET count = count - 1 WHERE endpoint = OLD.endpoint AND state = OLD.state;
END;
CREATE TRIGGER dispatch_counts_reached AFTER UPDATE OF state ON dispatches
WHEN OLD.state <> NEW.state AND NEW.state IN ('waiting', 'failed', 'problem') BEGIN
    INSERT INTO dispatch_counts (endpoint, state, count) VALUES (NEW.endpoint, NEW.state, 1)
    ON CONFLICT (endpoint, state) DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER dispatch_counts_gone AFTER DELETE ON dispatches WHEN OLD.state IN ('waiting', 'failed', 'problem') BEGIN
    UPDATE dispatch_counts SET count = count - 1 WHERE endpoint = OLD.endpoint AND state = OLD.state;
END;
