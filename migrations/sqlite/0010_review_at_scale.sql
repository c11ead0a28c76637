-- Lists of jobs are read newest first, lane by lane and state by state, and end where a page is full. The time of the last
-- change is there so that a list of what changed lately needs nothing but the index. Every id fits the condition: it is
-- there so that only statements that say so take this index, and no other one takes it for its own.
CREATE INDEX jobs_listed ON jobs (lane_id, state, id, updated_at) WHERE id > 0;

-- Clusters are counted from this alone, also the question whether a problem is open.
DROP INDEX problems_cluster;
CREATE INDEX problems_cluster ON problems (cluster, code, shop, job_id, opened_at, seen_at, closed_at) WHERE closed_at IS NULL;
-- The jobs of one cause, and of one kind of problem, in their order.
CREATE INDEX problems_cause ON problems (cluster, job_id) WHERE closed_at IS NULL;
CREATE INDEX problems_code ON problems (code, job_id) WHERE closed_at IS NULL;

-- The audit log by whatever it is asked for, newest first; in groups, for counts; and by time, for what is to be deleted.
DROP INDEX audit_action;
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_counts ON audit (action, shop, at);
CREATE INDEX audit_actor ON audit (actor, id);
CREATE INDEX audit_actor_action ON audit (actor, action, id);
CREATE INDEX audit_action ON audit (action, id);
CREATE INDEX audit_shop ON audit (shop, id) WHERE shop IS NOT NULL;

