-- Which revision of the mappings wrote which records, as the stories of attempts tell it: so that what a wrong mapping wrote is
-- found without reading all stories. Triggers keep the rows, whatever statement changes a story; a story that is removed for
-- privacy leaves none.
CREATE TABLE written (
    shop       TEXT    NOT NULL,
    mapping    TEXT    NOT NULL,
    direction  TEXT    NOT NULL,
    object     TEXT    NOT NULL,
    source_id  TEXT    NOT NULL,
    attempt_id INTEGER NOT NULL,
    PRIMARY KEY (shop, mapping, direction, object, source_id, attempt_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX written_attempt ON written (attempt_id);

CREATE TRIGGER written_told AFTER INSERT ON attempts WHEN instr(NEW.detail, '"mapping"') > 0 BEGIN
    INSERT OR IGNORE INTO written (shop, mapping, direction, object, source_id, attempt_id)
    SELECT l.shop, n.mapping, l.direction, n.object, n.source_id, NEW.id
    FROM (SELECT CASE type WHEN 'object' THEN value ->> '$.mapping' END AS mapping,
              CASE type WHEN 'object' THEN value ->> '$.of.object' END AS object,
              CASE type WHEN 'object' THEN value ->> '$.of.source' END AS source_id
          FROM json_each(NEW.detail)) AS n
    JOIN jobs AS j ON j.id = NEW.job_id JOIN lanes AS l ON l.id = j.lane_id
    WHERE n.mapping IS NOT NULL AND n.object IS NOT NULL AND n.source_id IS NOT NULL;
END;
CREATE TRIGGER written_removed AFTER UPDATE OF detail ON attempts BEGIN
    DELETE FROM written WHERE attempt_id = OLD.id;
END;
CREATE TRIGGER written_gone AFTER DELETE ON attempts BEGIN
    DELETE FROM written WHERE attempt_id = OLD.id;
END;

INSERT OR IGNORE INTO written (shop, mapping, direction, object, source_id, attempt_id)
SELECT l.shop, n.mapping, l.direction, n.object, n.source_id, n.id
FROM (SELECT a.id AS id, a.job_id AS job_id,
          CASE e.type WHEN 'object' THEN e.value ->> '$.mapping' END AS mapping,
          CASE e.type WHEN 'object' THEN e.value ->> '$.of.object' END AS object,
          CASE e.type WHEN 'object' THEN e.value ->> '$.of.source' END AS source_id
      FROM attempts AS a CROSS JOIN json_each(CASE WHEN json_valid(a.detail) THEN a.detail ELSE 'null' END) AS e
      WHERE instr(a.detail, '"mapping"') > 0) AS n
JOIN jobs AS j ON j.id = n.job_id JOIN lanes AS l ON l.id = j.lane_id
WHERE n.mapping IS NOT NULL AND n.object IS NOT NULL AND n.source_id IS NOT NULL;

-- A run that somebody stopped did not die.
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
    outcome    TEXT    CHECK (outcome IN ('done', 'failed', 'cut', 'stopped')),
    pages      INTEGER NOT NULL DEFAULT 0,
    records    INTEGER NOT NULL DEFAULT 0,
    made       INTEGER NOT NULL DEFAULT 0,
    error      TEXT,
    CHECK ((outcome IS NULL) = (ended_at IS NULL))
) STRICT;
INSERT INTO runs_again (id, kind, shop, object, cause, since, node, started_at, seen_at, ended_at, outcome, pages, records, made, error)
    SELECT id, kind, shop, object, cause, since, node, started_at, seen_at, ended_at, outcome, pages, records, made, error FROM runs;
DROP TABLE runs;
ALTER TABLE runs_again RENAME TO runs;
CREATE UNIQUE INDEX runs_open ON runs (shop, object, kind) WHERE ended_at IS NULL;
CREATE INDEX runs_ended ON runs (ended_at) WHERE ended_at IS NOT NULL;
