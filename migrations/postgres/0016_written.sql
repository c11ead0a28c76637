-- Which revision of the mappings wrote which records, as the stories of attempts tell it: so that what a wrong mapping wrote is
-- found without reading all stories. Triggers keep the rows, whatever statement changes a story; a story that is removed for
-- privacy leaves none.
CREATE TABLE written (
    shop       TEXT   NOT NULL,
    mapping    TEXT   NOT NULL,
    direction  TEXT   NOT NULL,
    object     TEXT   NOT NULL,
    source_id  TEXT   NOT NULL,
    attempt_id BIGINT NOT NULL,
    PRIMARY KEY (shop, mapping, direction, object, source_id, attempt_id)
);
CREATE INDEX written_attempt ON written (attempt_id);

-- The notes of a story that tell of a write. What another system said may have a NUL, which JSON can write and a text here cannot be.
CREATE FUNCTION written_in(detail TEXT) RETURNS TABLE (mapping TEXT, object TEXT, source_id TEXT)
LANGUAGE sql IMMUTABLE AS $$
    SELECT n ->> 'mapping', n -> 'of' ->> 'object', n -> 'of' ->> 'source'
    FROM json_array_elements(CASE WHEN detail LIKE '[%' THEN replace(detail, '\u0000', '\ufffd')::json
        ELSE '[]'::json END) AS x (n)
    WHERE json_typeof(n) = 'object' AND n ->> 'mapping' IS NOT NULL
        AND n -> 'of' ->> 'object' IS NOT NULL AND n -> 'of' ->> 'source' IS NOT NULL
$$;
CREATE FUNCTION note_written() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO written (shop, mapping, direction, object, source_id, attempt_id)
    SELECT l.shop, n.mapping, l.direction, n.object, n.source_id, NEW.id
    FROM written_in(NEW.detail) AS n
    JOIN jobs AS j ON j.id = NEW.job_id JOIN lanes AS l ON l.id = j.lane_id
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE FUNCTION forget_written() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    DELETE FROM written WHERE attempt_id = OLD.id;
    RETURN NULL;
END $$;
CREATE TRIGGER written_told AFTER INSERT ON attempts
    FOR EACH ROW WHEN (NEW.detail LIKE '%"mapping"%') EXECUTE FUNCTION note_written();
CREATE TRIGGER written_removed AFTER UPDATE OF detail ON attempts FOR EACH ROW EXECUTE FUNCTION forget_written();
CREATE TRIGGER written_gone AFTER DELETE ON attempts FOR EACH ROW EXECUTE FUNCTION forget_written();

INSERT INTO written (shop, mapping, direction, object, source_id, attempt_id)
SELECT l.shop, n.mapping, l.direction, n.object, n.source_id, a.id
FROM attempts AS a CROSS JOIN LATERAL written_in(a.detail) AS n
JOIN jobs AS j ON j.id = a.job_id JOIN lanes AS l ON l.id = j.lane_id
WHERE a.detail LIKE '%"mapping"%'
ON CONFLICT DO NOTHING;

-- A run that somebody stopped did not die.
ALTER TABLE runs DROP CONSTRAINT runs_outcome_check;
ALTER TABLE runs ADD CONSTRAINT runs_outcome_check CHECK (outcome IN ('done', 'failed', 'cut', 'stopped'));
