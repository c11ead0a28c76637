-- What is shown of open jobs and problems is counted as they change, so that showing it costs what is shown and not what
-- there is. Triggers keep the counts, whatever statement changes the rows.

-- How many jobs each lane has in each open state but `running`: of those there are never many, and leaving them out makes the way
-- from a claim to an end cost nothing here.
CREATE TABLE job_counts (
    lane_id INTEGER NOT NULL,
    state   TEXT    NOT NULL,
    count   INTEGER NOT NULL,
    PRIMARY KEY (lane_id, state)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER job_counts_made AFTER INSERT ON jobs WHEN NEW.ended_at IS NULL AND NEW.state <> 'running' BEGIN
    INSERT INTO job_counts (lane_id, state, count) VALUES (NEW.lane_id, NEW.state, 1)
    ON CONFLICT (lane_id, state) DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER job_counts_left AFTER UPDATE OF state ON jobs
WHEN OLD.state <> NEW.state AND OLD.ended_at IS NULL AND OLD.state <> 'running' BEGIN
    UPDATE job_counts SET count = count - 1 WHERE lane_id = OLD.lane_id AND state = OLD.state;
END;
CREATE TRIGGER job_counts_reached AFTER UPDATE OF state ON jobs
WHEN OLD.state <> NEW.state AND NEW.ended_at IS NULL AND NEW.state <> 'running' BEGIN
    INSERT INTO job_counts (lane_id, state, count) VALUES (NEW.lane_id, NEW.state, 1)
    ON CONFLICT (lane_id, state) DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER job_counts_gone AFTER DELETE ON jobs WHEN OLD.ended_at IS NULL AND OLD.state <> 'running' BEGIN
    UPDATE job_counts SET count = count - 1 WHERE lane_id = OLD.lane_id AND state = OLD.state;
END;
INSERT INTO job_counts (lane_id, state, count)
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
CREATE TABLE problem_counts (
    cluster  TEXT    NOT NULL,
    code     TEXT    NOT NULL,
    shop     TEXT    NOT NULL,
    problems INTEGER NOT NULL,
    jobs     INTEGER NOT NULL,
    newest   INTEGER,
    PRIMARY KEY (cluster, code, shop)
) STRICT, WITHOUT ROWID;
CREATE INDEX problem_counts_most ON problem_counts (problems, newest);

CREATE TRIGGER problem_counts_opened AFTER INSERT ON problems WHEN NEW.closed_at IS NULL BEGIN
    INSERT INTO problem_counts (cluster, code, shop, problems, jobs, newest)
    VALUES (NEW.cluster, NEW.code, NEW.shop, 1, NEW.job_id IS NOT NULL, NULL)
    ON CONFLICT (cluster, code, shop) DO UPDATE SET problems = problems + 1, jobs = jobs + excluded.jobs;
    UPDATE problem_counts SET newest = (SELECT p.id FROM problems AS p WHERE p.closed_at IS NULL AND p.cluster = NEW.cluster
            AND p.code = NEW.code AND p.shop = NEW.shop ORDER BY p.opened_at DESC, p.id DESC LIMIT 1)
    WHERE cluster = NEW.cluster AND code = NEW.code AND shop = NEW.shop;
END;
CREATE TRIGGER problem_counts_changed AFTER UPDATE OF closed_at, cluster, code, shop ON problems
WHEN OLD.closed_at IS NULL AND (NEW.closed_at IS NOT NULL OR OLD.cluster <> NEW.cluster OR OLD.code <> NEW.code
    OR OLD.shop <> NEW.shop) BEGIN
    DELETE FROM problem_counts WHERE cluster = OLD.cluster AND code = OLD.code AND shop = OLD.shop AND problems = 1;
    UPDATE problem_counts SET problems = problems - 1, jobs = jobs - (OLD.job_id IS NOT NULL),
        newest = (SELECT p.id FROM problems AS p WHERE p.closed_at IS NULL AND p.cluster = OLD.cluster
            AND p.code = OLD.code AND p.shop = OLD.shop ORDER BY p.opened_at DESC, p.id DESC LIMIT 1)
    WHERE cluster = OLD.cluster AND code = OLD.code AND shop = OLD.shop;
    INSERT INTO problem_counts (cluster, code, shop, problems, jobs, newest)
    SELECT NEW.cluster, NEW.code, NEW.shop, 1, NEW.job_id IS NOT NULL, NULL WHERE NEW.closed_at IS NULL
    ON CONFLICT (cluster, code, shop) DO UPDATE SET problems = problems + 1, jobs = jobs + excluded.jobs;
    UPDATE problem_counts SET newest = (SELECT p.id FROM problems AS p WHERE p.closed_at IS NULL AND p.cluster = NEW.cluster
            AND p.code = NEW.code AND p.shop = NEW.shop ORDER BY p.opened_at DESC, p.id DESC LIMIT 1)
    WHERE NEW.closed_at IS NULL AND cluster = NEW.cluster AND code = NEW.code AND shop = NEW.shop;
END;
CREATE TRIGGER problem_counts_gone AFTER DELETE ON problems WHEN OLD.closed_at IS NULL BEGIN
    DELETE FROM problem_counts WHERE cluster = OLD.cluster AND code = OLD.code AND shop = OLD.shop AND problems = 1;
    UPDATE problem_counts SET problems = problems - 1, jobs = jobs - (OLD.job_id IS NOT NULL),
        newest = (SELECT p.id FROM problems AS p WHERE p.closed_at IS NULL AND p.cluster = OLD.cluster
            AND p.code = OLD.code AND p.shop = OLD.shop ORDER BY p.opened_at DESC, p.id DESC LIMIT 1)
    WHERE cluster = OLD.cluster AND code = OLD.code AND shop = OLD.shop;
END;
INSERT INTO problem_counts (cluster, code, shop, problems, jobs, newest)
SELECT p.cluster, p.code, p.shop, count(*), count(p.job_id),
    (SELECT n.id FROM problems AS n WHERE n.closed_at IS NULL AND n.cluster = p.cluster AND n.code = p.code AND n.shop = p.shop
     ORDER BY n.opened_at DESC, n.id DESC LIMIT 1)
FROM problems AS p WHERE p.closed_at IS NULL GROUP BY p.cluster, p.code, p.shop;

-- What people did lately is counted by reading that much of the log.
DROP INDEX audit_at;
CREATE INDEX audit_at ON audit (at, action, shop);

-- By what else the jobs are found that need a person, lane by lane: the articles of half a million jobs that wait are not
-- looked through one by one. Rows come and go with the job's state and its names.
CREATE TABLE names_at_rest (
    kind    TEXT    NOT NULL,
    value   TEXT    NOT NULL,
    lane_id INTEGER NOT NULL,
    state   TEXT    NOT NULL,
    job_id  INTEGER NOT NULL,
    PRIMARY KEY (kind, value, lane_id, state, job_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX names_at_rest_job ON names_at_rest (job_id);

CREATE TRIGGER names_at_rest_state AFTER UPDATE OF state ON jobs
WHEN OLD.state <> NEW.state AND (OLD.state IN ('held', 'problem') OR NEW.state IN ('held', 'problem')) BEGIN
    DELETE FROM names_at_rest WHERE job_id = OLD.id;
    INSERT INTO names_at_rest (kind, value, lane_id, state, job_id)
    SELECT n.kind, n.value, NEW.lane_id, NEW.state, NEW.id FROM job_names AS n
    WHERE n.job_id = NEW.id AND NEW.state IN ('held', 'problem');
END;
CREATE TRIGGER names_at_rest_noted AFTER INSERT ON job_names BEGIN
    INSERT INTO names_at_rest (kind, value, lane_id, state, job_id)
    SELECT NEW.kind, NEW.value, j.lane_id, j.state, j.id FROM jobs AS j
    WHERE j.id = NEW.job_id AND j.state IN ('held', 'problem');
END;
CREATE TRIGGER names_at_rest_gone AFTER DELETE ON job_names BEGIN
    DELETE FROM names_at_rest WHERE job_id = OLD.job_id AND kind = OLD.kind AND value = OLD.value;
END;
INSERT INTO names_at_rest (kind, value, lane_id, state, job_id)
SELECT n.kind, n.value, j.lane_id, j.state, j.id FROM jobs AS j JOIN job_names AS n ON n.job_id = j.id
WHERE j.state IN ('running', 'held', 'problem') AND j.state IN ('held', 'problem');
