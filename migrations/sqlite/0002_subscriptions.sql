-- Webhook subscriptions that are ours. Of each topic what stands, and the last one that stands no more.
CREATE TABLE subscriptions (
    shop       TEXT    NOT NULL,
    id         INTEGER NOT NULL,
    topic      TEXT    NOT NULL,
    uri        TEXT    NOT NULL,
    name       TEXT,
    -- When Shopify made it.
    created_at INTEGER NOT NULL,
    -- When it last stood as it is wanted.
    seen_at    INTEGER NOT NULL,
    -- Since when it stands no more.
    removed_at INTEGER,
    PRIMARY KEY (shop, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX subscriptions_topic ON subscriptions (shop, topic);

-- Rights that one process has at a time, until they end.
CREATE TABLE leases (
    name   TEXT    NOT NULL PRIMARY KEY,
    holder TEXT    NOT NULL,
    until  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Verified deliveries by topic, subscription's name ('' for none) and hour.
CREATE TABLE deliveries (
    shop             TEXT    NOT NULL,
    topic            TEXT    NOT NULL,
    name             TEXT    NOT NULL,
    hour             INTEGER NOT NULL,
    accepted         INTEGER NOT NULL,
    failed           INTEGER NOT NULL,
    last_at          INTEGER NOT NULL,
    last_accepted_at INTEGER,
    PRIMARY KEY (shop, topic, name, hour)
) STRICT, WITHOUT ROWID;

CREATE INDEX deliveries_hour ON deliveries (hour);
