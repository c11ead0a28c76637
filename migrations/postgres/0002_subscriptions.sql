-- Webhook subscriptions that are ours. Of each topic what stands, and the last one that stands no more.
CREATE TABLE subscriptions (
    shop       TEXT    NOT NULL,
    id         BIGINT NOT NULL,
    topic      TEXT    NOT NULL,
    uri        TEXT    NOT NULL,
    name       TEXT,
    -- When Shopify made it.
    created_at BIGINT NOT NULL,
    -- When it last stood as it is wanted.
    seen_at    BIGINT NOT NULL,
    -- Since when it stands no more.
    removed_at BIGINT,
    PRIMARY KEY (shop, id)
);

CREATE INDEX subscriptions_topic ON subscriptions (shop, topic);

-- Rights that one process has at a time, until they end.
CREATE TABLE leases (
    name   TEXT    NOT NULL PRIMARY KEY,
    holder TEXT    NOT NULL,
    until  BIGINT NOT NULL
);

-- Verified deliveries by topic, subscription's name ('' for none) and hour.
CREATE TABLE deliveries (
    shop             TEXT    NOT NULL,
    topic            TEXT    NOT NULL,
    name             TEXT    NOT NULL,
    hour             BIGINT NOT NULL,
    accepted         BIGINT NOT NULL,
    failed           BIGINT NOT NULL,
    last_at          BIGINT NOT NULL,
    last_accepted_at BIGINT,
    PRIMARY KEY (shop, topic, name, hour)
);

CREATE INDEX deliveries_hour ON deliveries (hour);
