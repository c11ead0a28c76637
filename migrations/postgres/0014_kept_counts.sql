-- What is shown of open jobs and problems is counted as they change, so that showing it costs what is shown and not what
-- there is. Triggers note each statement's changes in rows of their own, so that no two transactions wait for one count; now and
-- then the changes are added up. What is kept and what changed since are together what there is.

-- How many jobs each lane has in each open state but `running`: of those there are never many, and leaving them out makes the way
-- from a claim to an end cost little here.
CREATE TABLE job_counts_kept (
    lane_id BIGINT NOT NULL,
    state   TEXT   NOT NULL,
    count   BIGINT NOT NULL,
    PRIMARY KEY (lane_id, state)
);
CREATE TABLE job_counts_changed (
    lane_id BIGINT NOT NULL,
    state   TEXT   NOT NULL,
    change  BIGINT NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
CREATE VIEW job_counts AS
    SELECT lane_id, state, sum(count)::bigint AS count
    FROM (SELECT lane_id, state, count FROM job_counts_kept
          UNION ALL SELECT lane_id, state, change FROM job_counts_changed) AS c
    GROUP BY lane_id, state;

CREATE FUNCTION note_made_jobs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO job_counts_changed (lane_id, state, change)
    SELECT lane_id, state, count(*) FROM made WHERE ended_at IS NULL AND state <> 'running' GROUP BY lane_id, state;
    RETURN NULL;
END $$;
CREATE FUNCTION note_changed_jobs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO job_counts_changed (lane_id, state, change)
    SELECT lane_id, state, sum(one)
    FROM (SELECT lane_id, state, 1 AS one FROM made WHERE ended_at IS NULL AND state <> 'running'
          UNION ALL SELECT lane_id, state, -1 FROM gone WHERE ended_at IS NULL AND state <> 'running') AS c
    GROUP BY lane_id, state HAVING sum(one) <> 0;
    RETURN NULL;
END $$;
CREATE FUNCTION note_deleted_jobs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO job_counts_changed (lane_id, state, change)
    SELECT lane_id, state, - count(*) FROM gone WHERE ended_at IS NULL AND state <> 'running' GROUP BY lane_id, state;
    RETURN NULL;
END $$;
CREATE TRIGGER job_counts_made AFTER INSERT ON jobs
    REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION note_made_jobs();
CREATE TRIGGER job_counts_changed AFTER UPDATE ON jobs
    REFERENCING OLD TABLE AS gone NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION note_changed_jobs();
CREATE TRIGGER job_counts_gone AFTER DELETE ON jobs
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION note_deleted_jobs();
INSERT INTO job_counts_kept (lane_id, state, count)
SELECT lane_id, state, count(*) FROM jobs WHERE ended_at IS NULL AND state <> 'running' GROUP BY lane_id, state;

-- The oldest open job of each lane in each state, and what is late whatever waits for a person.
DROP INDEX jobs_open_since;
CREATE INDEX jobs_open_since ON jobs (lane_id, state, created_at) WHERE ended_at IS NULL;

-- The first and the newest open problem of each cause, the one that was seen last, and its jobs in their order.
DROP INDEX problems_cluster;
CREATE INDEX problems_cluster ON problems (cluster, code, shop, opened_at, id) WHERE closed_at IS NULL;
CREATE INDEX problems_seen ON problems (cluster, code, shop, seen_at) WHERE closed_at IS NULL;
CREATE INDEX problems_jobs ON problems (cluster, code, shop, job_id) WHERE closed_at IS NULL;

-- How many problems of each cause are open, of how many jobs, and the newest of them. A cause that is over leaves no row: it may
-- be made of somebody's name.
CREATE TABLE problem_counts_kept (
    cluster  TEXT   NOT NULL,
    code     TEXT   NOT NULL,
    shop     TEXT   NOT NULL,
    problems BIGINT NOT NULL,
    jobs     BIGINT NOT NULL,
    newest   BIGINT,
    PRIMARY KEY (cluster, code, shop)
);
CREATE INDEX problem_counts_most ON problem_counts_kept (problems, newest);
CREATE TABLE problem_counts_changed (
    cluster  TEXT   NOT NULL,
    code     TEXT   NOT NULL,
    shop     TEXT   NOT NULL,
    problems BIGINT NOT NULL,
    jobs     BIGINT NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
CREATE VIEW problem_counts AS
    SELECT cluster, code, shop, sum(problems)::bigint AS problems, sum(jobs)::bigint AS jobs
    FROM (SELECT cluster, code, shop, problems, jobs FROM problem_counts_kept
          UNION ALL SELECT cluster, code, shop, problems, jobs FROM problem_counts_changed) AS c
    GROUP BY cluster, code, shop;

CREATE FUNCTION note_opened_problems() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO problem_counts_changed (cluster, code, shop, problems, jobs)
    SELECT cluster, code, shop, count(*), count(job_id) FROM made WHERE closed_at IS NULL GROUP BY cluster, code, shop;
    RETURN NULL;
END $$;
CREATE FUNCTION note_changed_problems() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO problem_counts_changed (cluster, code, shop, problems, jobs)
    SELECT cluster, code, shop, sum(one), sum(CASE WHEN job_id IS NULL THEN 0 ELSE one END)
    FROM (SELECT cluster, code, shop, job_id, 1 AS one FROM made WHERE closed_at IS NULL
          UNION ALL SELECT cluster, code, shop, job_id, -1 FROM gone WHERE closed_at IS NULL) AS c
    GROUP BY cluster, code, shop HAVING sum(one) <> 0;
    RETURN NULL;
END $$;
CREATE FUNCTION note_deleted_problems() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO problem_counts_changed (cluster, code, shop, problems, jobs)
    SELECT cluster, code, shop, - count(*), - count(job_id) FROM gone WHERE closed_at IS NULL GROUP BY cluster, code, shop;
    RETURN NULL;
END $$;
CREATE TRIGGER problem_counts_opened AFTER INSERT ON problems
    REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION note_opened_problems();
CREATE TRIGGER problem_counts_changed AFTER UPDATE ON problems
    REFERENCING OLD TABLE AS gone NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION note_changed_problems();
CREATE TRIGGER problem_counts_gone AFTER DELETE ON problems
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION note_deleted_problems();
INSERT INTO problem_counts_kept (cluster, code, shop, problems, jobs, newest)
SELECT p.cluster, p.code, p.shop, count(*), count(p.job_id), (array_agg(p.id ORDER BY p.opened_at DESC, p.id DESC))[1]
FROM problems AS p WHERE p.closed_at IS NULL GROUP BY p.cluster, p.code, p.shop;

-- What people did lately is counted by reading that much of the log.
DROP INDEX audit_at;
CREATE INDEX audit_at ON audit (at, action, shop);

-- By what else the jobs are found that need a person, lane by lane: the articles of half a million jobs that wait are not
-- looked through one by one. Rows come and go with the job's state and its names.
CREATE TABLE names_at_rest (
    kind    TEXT   NOT NULL,
    value   TEXT   NOT NULL,
    lane_id BIGINT NOT NULL,
    state   TEXT   NOT NULL,
    job_id  BIGINT NOT NULL,
    PRIMARY KEY (kind, value, lane_id, state, job_id)
);
CREATE INDEX names_at_rest_job ON names_at_rest (job_id);

CREATE FUNCTION follow_state_of_names() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    DELETE FROM names_at_rest WHERE job_id = OLD.id;
    IF NEW.state IN ('held', 'problem') THEN
        INSERT INTO names_at_rest (kind, value, lane_id, state, job_id)
        SELECT n.kind, n.value, NEW.lane_id, NEW.state, NEW.id FROM job_names AS n WHERE n.job_id = NEW.id;
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION follow_noted_names() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO names_at_rest (kind, value, lane_id, state, job_id)
    SELECT m.kind, m.value, j.lane_id, j.state, j.id FROM made AS m JOIN jobs AS j ON j.id = m.job_id
    WHERE j.state IN ('held', 'problem');
    RETURN NULL;
END $$;
CREATE FUNCTION follow_deleted_names() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    DELETE FROM names_at_rest AS r USING gone AS g WHERE r.job_id = g.job_id AND r.kind = g.kind AND r.value = g.value;
    RETURN NULL;
END $$;
CREATE TRIGGER names_at_rest_state AFTER UPDATE OF state ON jobs FOR EACH ROW
    WHEN (OLD.state <> NEW.state AND (OLD.state IN ('held', 'problem') OR NEW.state IN ('held', 'problem')))
    EXECUTE FUNCTION follow_state_of_names();
CREATE TRIGGER names_at_rest_noted AFTER INSERT ON job_names
    REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION follow_noted_names();
CREATE TRIGGER names_at_rest_gone AFTER DELETE ON job_names
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION follow_deleted_names();
INSERT INTO names_at_rest (kind, value, lane_id, state, job_id)
SELECT n.kind, n.value, j.lane_id, j.state, j.id FROM jobs AS j JOIN job_names AS n ON n.job_id = j.id
WHERE j.state IN ('held', 'problem');
