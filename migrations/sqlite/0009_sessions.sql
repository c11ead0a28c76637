-- Who is logged in on the console. The cookie's own text is nowhere but with the browser: what stands here is its hash.
CREATE TABLE sessions (
    -- SHA-256 of the cookie's text, hexadecimal.
    id         TEXT    NOT NULL PRIMARY KEY,
    -- The name in [admin.users].
    account    TEXT    NOT NULL,
    -- Tells whether the account's password is still the one that was shown.
    stamp      TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_seen ON sessions (seen_at);
