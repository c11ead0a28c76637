-- How far the ERP's models were read for changes. Everything that was written before `until` (by the ERP's clock) is done
-- with.
CREATE TABLE poll_cursors (
    shop     TEXT    NOT NULL,
    model    TEXT    NOT NULL,
    until    INTEGER NOT NULL,
    moved_at INTEGER NOT NULL,
    -- When all ids were listed last.
    swept_at INTEGER,
    PRIMARY KEY (shop, model)
) STRICT, WITHOUT ROWID;

-- Rows that were seen and whose time still lies in the window that is read again.
CREATE TABLE poll_seen (
    shop       TEXT    NOT NULL,
    model      TEXT    NOT NULL,
    erp_id     INTEGER NOT NULL,
    written_at INTEGER NOT NULL,
    -- Of the compared fields.
    hash       TEXT    NOT NULL,
    -- Whether the second of `written_at` was over when the fields were read.
    settled    INTEGER NOT NULL CHECK (settled IN (0, 1)),
    -- When this `written_at` was seen first, by our clock.
    first_at   INTEGER NOT NULL,
    PRIMARY KEY (shop, model, erp_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX poll_seen_written ON poll_seen (shop, model, written_at);

-- The rows that were there when all ids were listed last.
CREATE TABLE poll_present (
    shop   TEXT    NOT NULL,
    model  TEXT    NOT NULL,
    erp_id INTEGER NOT NULL,
    owner  INTEGER,
    active INTEGER NOT NULL CHECK (active IN (0, 1)),
    PRIMARY KEY (shop, model, erp_id)
) STRICT, WITHOUT ROWID;
