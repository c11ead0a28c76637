//! PostgreSQL's spelling of the statements that differ between the two databases. What each of them is given and answers
//! is told once, in SQLite's file of the same name; here stands what is special: which rows are locked, and why.
//!
//! Every transaction takes its row locks in this order, so that none waits for another in a circle: jobs by number (or
//! skipping what others hold), then locks by record.

use std::collections::BTreeSet;

use serde_json::json;

use crate::store::fault::Fault;
use crate::store::postgres::Conn;
use crate::store::postgres::intake::NewEvent;
use crate::store::rules::{clean, millis};

/// A comparison with a JSON array of numbers. As an array it is looked up through an index whatever the statistics say.
macro_rules! in_array {
    ($parameter:literal) => {
        concat!(
            "= ANY (ARRAY(SELECT json_array_elements_text(",
            $parameter,
            "::json)::bigint))"
        )
    };
}
pub(super) use in_array;

/// A comparison with a JSON array of texts.
macro_rules! in_texts {
    ($parameter:literal) => {
        concat!(
            "= ANY (ARRAY(SELECT json_array_elements_text(",
            $parameter,
            "::json)))"
        )
    };
}
pub(super) use in_texts;

/// A comparison with a JSON array of whole numbers.
macro_rules! in_numbers {
    ($parameter:literal) => {
        concat!(
            "= ANY (ARRAY(SELECT json_array_elements_text(",
            $parameter,
            "::json)::bigint))"
        )
    };
}
pub(super) use in_numbers;

/// A comparison with the ids that a question of its own finds. As an array it is asked once, and the ids are looked up
/// through the primary key whatever the statistics say.
pub(super) const AMONG: (&str, &str) = ("= ANY (ARRAY(", "))");

/// The newest jobs of each list.
pub(super) const EACH_LIST: (&str, &str, &str) = (
    "SELECT o.id AS id FROM json_array_elements(",
    "::json) AS c CROSS JOIN LATERAL (SELECT j.id FROM jobs AS j
        WHERE j.lane_id = (c.value ->> 0)::bigint AND j.state = c.value ->> 1 AND j.id > 0",
    ") AS o",
);

/// The newest jobs of each list that are found by one name.
pub(super) const EACH_NAMED_LIST: (&str, &str, &str) = (
    "SELECT o.id AS id FROM json_array_elements(",
    "::json) AS c CROSS JOIN LATERAL (SELECT j.id FROM names_at_rest AS n JOIN jobs AS j ON j.id = n.job_id
        WHERE n.lane_id = (c.value ->> 0)::bigint AND n.state = c.value ->> 1 AND j.state = n.state",
    ") AS o",
);

/// The jobs of open problems. With the offset each job is looked up for its problem: else all jobs may be read in their order until
/// enough have one of the cause.
pub(super) const OF_PROBLEMS: (&str, &str, &str, &str) = (
    "SELECT p.job_id AS id FROM (SELECT p.job_id FROM ",
    " WHERE p.closed_at IS NULL AND p.job_id IS NOT NULL",
    ") AS p CROSS JOIN LATERAL (SELECT j.id FROM jobs AS j WHERE j.id = p.job_id",
    " OFFSET 0) AS j",
);

/// Open problems `p` of one cause of one shop, in the order of their jobs: the statistics know.
pub(super) const OF_ONE_CAUSE: &str = "problems AS p";

/// Jobs `j` that ended, by when they did: the statistics know.
pub(super) const BY_THEIR_END: &str = "jobs AS j";

/// Lines of the audit log since a time that is not long ago: the statistics know.
pub(super) const AUDIT_LATELY: &str = "audit";

/// Jobs `j` that are open, by when they were first heard of: the statistics know.
macro_rules! open_since {
    () => {
        "jobs AS j"
    };
}
pub(super) use open_since;

/// No body, of the same type as one.
macro_rules! no_body {
    () => {
        "NULL::bytea"
    };
}
pub(super) use no_body;

/// The database's clock in milliseconds: leases of all nodes are measured by this one.
macro_rules! now {
    () => {
        "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
    };
}

/// The time by which nodes and runs are seen to live: the database's, because clocks of machines differ.
macro_rules! seen_now {
    ($parameter:literal) => {
        concat!(
            "((extract(epoch FROM clock_timestamp()) * 1000)::bigint + 0 * ",
            $parameter,
            "::bigint)"
        )
    };
}
pub(super) use seen_now;

/// Whether the row of a node is that of a process that lives: one that died has lost its row in `nodes`.
macro_rules! lives {
    () => {
        "(gone = 0 AND node_id IS NOT NULL)"
    };
}
pub(super) use lives;

/// Stands between a lease's holder and the number of its node.
pub(super) const OF_NODE: &str = "@";

/// Ends the lease if another than `holder` has it, of a node that is dead: its row is gone, or nobody holds its advisory lock.
pub(super) async fn end_lease_of_the_dead(conn: &mut Conn, name: &str, holder: &str) -> Result<(), Fault> {
    let held: Option<String> = sqlx::query_scalar("SELECT holder FROM leases WHERE name = $1")
        .bind(clean(name))
        .fetch_optional(&mut *conn)
        .await?;
    let node_of = |holder: &str| holder.rsplit_once(OF_NODE)?.1.parse::<i64>().ok();
    let Some((held, node)) = held.and_then(|held| node_of(&held).map(|node| (held, node))) else {
        return Ok(());
    };
    // Of our own session it is not known here whether it was cut; that we live is.
    if node_of(holder) == Some(node) {
        return Ok(());
    }
    let lock_key: Option<i64> = sqlx::query_scalar("SELECT lock_key FROM nodes WHERE id = $1")
        .bind(node)
        .fetch_optional(&mut *conn)
        .await?;
    let is_dead = match lock_key {
        Some(lock_key) => {
            sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)")
                .bind(lock_key)
                .fetch_one(&mut *conn)
                .await?
        }
        None => true,
    };
    if is_dead {
        sqlx::query("DELETE FROM leases WHERE name = $1 AND holder = $2")
            .bind(clean(name))
            .bind(held)
            .execute(conn)
            .await?;
    }
    Ok(())
}

/// Has nobody else change revisions until the transaction ends. (Advisory locks belong to the whole database.)
pub(super) async fn alone(conn: &mut Conn) -> Result<(), Fault> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('revisions of ' || current_schema(), 0))")
        .execute(conn)
        .await?;
    Ok(())
}

/// Has no attempt lock a record until the transaction ends. An attempt that locks one right after it sees what was saved.
pub(super) async fn keep_locks(conn: &mut Conn) -> Result<(), Fault> {
    sqlx::query("LOCK TABLE locks IN SHARE ROW EXCLUSIVE MODE")
        .execute(conn)
        .await?;
    Ok(())
}

/// What a claim or an end holds at this moment is passed over: it is running, or waited for.
pub(super) const WAITING_ALONE: &str = "
    SELECT j.id FROM jobs AS j JOIN lanes AS l ON l.id = j.lane_id
    WHERE j.lane_id = $1 AND j.state IN ('available', 'scheduled', 'retryable') AND NOT EXISTS (
        SELECT 1 FROM jobs AS w WHERE w.waits_on = l.record_prefix || j.source_id AND w.waits_on IS NOT NULL
            AND w.state = 'scheduled' AND w.id <> j.id)
    ORDER BY j.priority, j.run_at, j.id LIMIT $2 FOR UPDATE OF j SKIP LOCKED";

const DEDUP_KNOWN: &str = "
    SELECT coalesce(json_agg(v), '[]')::text FROM json_array_elements_text($1::json) AS x (v)
    WHERE EXISTS (SELECT 1 FROM events WHERE dedup = decode(v, 'hex'))";

const EVENTS_INSERT: &str = "
    INSERT INTO events (id, shop, topic, webhook_id, event_id, dedup, triggered_at, received_at, api_version, body,
                        body_codec, body_sha256, job_id, reason)
    SELECT (v ->> 0)::bigint, v ->> 1, v ->> 2, v ->> 3, v ->> 4, decode(v ->> 5, 'hex'), (v ->> 6)::bigint,
           (v ->> 7)::bigint, v ->> 8, substring($2::bytea FROM 1 + (v ->> 9)::int FOR (v ->> 10)::int), v ->> 11,
           v ->> 12, (v ->> 13)::bigint, v ->> 14
    FROM json_array_elements($1::json) AS x (v)";

const JOBS_WANT: &str = "
    INSERT INTO jobs AS j (lane_id, source_id, state, priority, run_at, wanted, events, wanted_since, triggered_at,
                           cause, created_at, updated_at, import_id)
    SELECT (v ->> 0)::bigint, v ->> 1, v ->> 2, (v ->> 3)::bigint, (v ->> 4)::bigint, (v ->> 5)::bigint,
           (v ->> 6)::bigint, (v ->> 4)::bigint, (v ->> 7)::bigint, v ->> 8, (v ->> 4)::bigint, (v ->> 4)::bigint,
           (v ->> 9)::bigint
    FROM json_array_elements($1::json) AS x (v)
    ON CONFLICT (lane_id, source_id) WHERE ended_at IS NULL DO UPDATE SET
        wanted = j.wanted + excluded.wanted,
        events = j.events + excluded.events,
        priority = least(j.priority, excluded.priority),
        later_since = CASE j.state WHEN 'running' THEN coalesce(j.later_since, excluded.wanted_since) END,
        later_triggered_at = CASE j.state WHEN 'running'
            THEN CASE WHEN j.later_since IS NULL THEN excluded.triggered_at ELSE j.later_triggered_at END END,
        run_at = CASE WHEN j.state IN ('problem', 'held') AND j.held_by IS NULL AND excluded.state = 'available'
            THEN excluded.run_at ELSE j.run_at END,
        failed_attempts = CASE WHEN j.state IN ('problem', 'held') AND j.held_by IS NULL AND excluded.state = 'available'
            THEN 0 ELSE j.failed_attempts END,
        state = CASE WHEN j.state IN ('problem', 'held') AND j.held_by IS NULL AND excluded.state = 'available'
            THEN 'available' ELSE j.state END,
        import_effect = CASE WHEN excluded.import_id IS NULL OR excluded.import_id IS NOT DISTINCT FROM j.import_id
            THEN j.import_effect END,
        import_id = coalesce(excluded.import_id, j.import_id),
        updated_at = excluded.updated_at
    RETURNING id, lane_id, source_id, wanted";

/// `$1`: array of `[hour, shop, object, direction, kind, bound, count]`, in the order of the key. The rows are locked in this
/// order and after all others, so that ends of attempts on several nodes wait for each other in turn.
pub(super) const TALLIES_ADD: &str = "
    INSERT INTO tallies (hour, shop, object, direction, kind, bound_ms, count)
    SELECT (v ->> 0)::bigint, v ->> 1, v ->> 2, v ->> 3, v ->> 4, (v ->> 5)::bigint, (v ->> 6)::bigint
    FROM json_array_elements($1::json) AS x (v)
    ON CONFLICT (hour, shop, object, direction, kind, bound_ms) DO UPDATE SET count = tallies.count + excluded.count";

/// `$1`: array of `[job, kind, value]`.
pub(super) const JOB_NAMES_ADD: &str = "
    INSERT INTO job_names (job_id, kind, value)
    SELECT (v ->> 0)::bigint, v ->> 1, v ->> 2 FROM json_array_elements($1::json) AS x (v)
    ON CONFLICT (kind, value, job_id) DO NOTHING";

/// In the order of the key, so that no two transactions wait for each other.
pub(super) const CURSORS_SET: &str = "
    INSERT INTO cursors (shop, name, value, updated_at)
    SELECT $1, v ->> 0, v ->> 1, $3 FROM json_array_elements($2::json) AS x (v)
    ON CONFLICT (shop, name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at
    WHERE cursors.value <> excluded.value";

/// Held until the transaction ends: what is planned anew meanwhile is no more what the person saw.
pub(super) const HELD_BY_LIMITS: &str = concat!(
    "SELECT id, lane_id, source_id FROM jobs WHERE state = 'held' AND held_by IS NULL AND id ",
    in_array!("$1"),
    " ORDER BY id FOR UPDATE"
);

/// Holds the rows that a question finds until the transaction ends.
pub(super) const FOR_UPDATE: &str = " FOR UPDATE";

/// The same for the jobs among them.
pub(super) const FOR_UPDATE_OF_JOBS: &str = " FOR UPDATE OF j";

pub(super) const READY_LANES: &str = "
    SELECT coalesce(json_agg(json_build_array(id, least(due, imported),
        CASE WHEN due <= $1 THEN 0 ELSE 1 END)), '[]')::text FROM (
        SELECT l.id, least(
            (SELECT run_at FROM jobs WHERE lane_id = l.id AND priority = 0
                AND state IN ('available', 'scheduled', 'retryable') ORDER BY run_at LIMIT 1),
            (SELECT run_at FROM jobs WHERE lane_id = l.id AND priority = 1
                AND state IN ('available', 'scheduled', 'retryable') ORDER BY run_at LIMIT 1),
            (SELECT run_at FROM jobs WHERE lane_id = l.id AND priority = 2 AND import_id IS NULL
                AND state IN ('available', 'scheduled', 'retryable') ORDER BY run_at LIMIT 1)
        ) AS due,
        (SELECT run_at FROM jobs WHERE lane_id = l.id AND priority = 2 AND import_id IS NOT NULL
            AND state IN ('available', 'scheduled', 'retryable') ORDER BY run_at LIMIT 1) AS imported
        FROM lanes AS l
        WHERE l.object = 'shop' OR NOT EXISTS (SELECT 1 FROM pauses AS z WHERE z.shop = l.shop)) AS x
    WHERE due <= $1 OR imported <= $1";

/// Rows that another node is about to claim are passed over; the rest stays ours until the claim is committed.
pub(super) const CANDIDATES: &str = "
    SELECT coalesce(json_agg(json_build_array(id, source_id, fence, failed_attempts, attempts, unclean_at,
                                              wanted_since, triggered_at, record_name, import_id,
                                              (SELECT p.code || ' ' || p.cluster FROM problems AS p
                                               WHERE p.job_id = x.id AND p.closed_at IS NULL),
                                              priority)), '[]')::text
    FROM (SELECT * FROM (
        SELECT * FROM (SELECT * FROM jobs WHERE lane_id = $1 AND priority = 0 AND run_at <= $2
            AND state IN ('available', 'scheduled', 'retryable')
            ORDER BY run_at, id LIMIT $3 FOR UPDATE SKIP LOCKED) AS urgent
        UNION ALL
        SELECT * FROM (SELECT * FROM jobs WHERE lane_id = $1 AND priority = 1 AND run_at <= $2
            AND state IN ('available', 'scheduled', 'retryable')
            ORDER BY run_at, id LIMIT $3 FOR UPDATE SKIP LOCKED) AS live
        UNION ALL
        SELECT * FROM (SELECT * FROM jobs WHERE lane_id = $1 AND priority = 2 AND import_id IS NULL AND run_at <= $2
            AND state IN ('available', 'scheduled', 'retryable')
            ORDER BY run_at, id LIMIT $3 FOR UPDATE SKIP LOCKED) AS background
        UNION ALL
        SELECT * FROM (SELECT * FROM jobs WHERE lane_id = $1 AND priority = 2 AND import_id IS NOT NULL AND run_at <= $2
            AND state IN ('available', 'scheduled', 'retryable')
            AND NOT EXISTS (SELECT 1 FROM jobs AS o WHERE o.lane_id = $1 AND o.priority = 0 AND o.run_at <= $2
                AND o.state IN ('available', 'scheduled', 'retryable'))
            AND NOT EXISTS (SELECT 1 FROM jobs AS o WHERE o.lane_id = $1 AND o.priority = 1 AND o.run_at <= $2
                AND o.state IN ('available', 'scheduled', 'retryable'))
            AND NOT EXISTS (SELECT 1 FROM jobs AS o WHERE o.lane_id = $1 AND o.priority = 2 AND o.import_id IS NULL
                AND o.run_at <= $2 AND o.state IN ('available', 'scheduled', 'retryable'))
            ORDER BY run_at, id LIMIT $3 FOR UPDATE SKIP LOCKED) AS imported
    ) AS every LIMIT $3) AS x";

pub(super) const LOCKS_TAKE: &str = "
    INSERT INTO locks (record, job_id) SELECT v ->> 0, (v ->> 1)::bigint FROM json_array_elements($1::json) AS x (v)
    ON CONFLICT (record) DO NOTHING";

/// Held until our own transaction ends: a release that is under way is waited for, and one that comes later waits for us
/// and then finds whoever we set to wait.
pub(super) const LOCKS_OF_OTHERS: &str = "
    SELECT coalesce(json_agg(json_build_array(record, job_id)), '[]')::text FROM (
        SELECT l.record, (v ->> 1)::bigint AS job_id FROM json_array_elements($1::json) AS x (v)
        JOIN locks AS l ON l.record = v ->> 0 WHERE l.job_id <> (v ->> 1)::bigint
        ORDER BY l.record FOR SHARE OF l) AS others";

pub(super) const LOCKS_UNDO: &str = "
    DELETE FROM locks USING json_array_elements($1::json) AS x (v)
    WHERE record = v ->> 0 AND job_id = (v ->> 1)::bigint";

pub(super) const LOCKS_HELD: &str = concat!(
    "SELECT coalesce(json_agg(json_build_array(record, job_id)), '[]')::text FROM (
        SELECT record, job_id FROM locks WHERE job_id ",
    in_array!("$1"),
    " ORDER BY record FOR UPDATE) AS held"
);

pub(super) const CLAIM: &str = concat!(
    "UPDATE jobs SET state = 'running', fence = fence + 1, taken = wanted, attempts = attempts + 1, node = $2,
        claimed_at = $3, lease_until = ",
    now!(),
    " + $4, waits_on = NULL, later_since = NULL, later_triggered_at = NULL, system_down = NULL, updated_at = $3,
        node_id = $5
     WHERE id ",
    in_array!("$1")
);

pub(super) const SET_ASIDE: &str = "
    UPDATE jobs SET state = 'scheduled', waits_on = v ->> 0, run_at = $2, updated_at = $3
    FROM json_array_elements($1::json) AS x (v) WHERE jobs.id = (v ->> 1)::bigint";

pub(super) const LEASES_LOST: &str = "
    SELECT coalesce(json_agg((v ->> 0)::bigint), '[]')::text FROM json_array_elements($1::json) AS x (v)
    WHERE NOT EXISTS (SELECT 1 FROM jobs
        WHERE id = (v ->> 0)::bigint AND fence = (v ->> 1)::bigint AND state = 'running')";

/// `$2` is how long from now, by the database's clock.
pub(super) const LEASES_EXTEND: &str = concat!(
    "UPDATE jobs SET lease_until = ",
    now!(),
    " + $2 FROM (SELECT j.id FROM json_array_elements($1::json) AS x (v)
         JOIN jobs AS j ON j.id = (v ->> 0)::bigint
         WHERE j.fence = (v ->> 1)::bigint AND j.state = 'running' ORDER BY j.id FOR UPDATE OF j) AS held
     WHERE jobs.id = held.id"
);

pub(super) const RECLAIM: &str = "
    UPDATE jobs SET state = v ->> 1, run_at = (v ->> 2)::bigint, lease_until = NULL, node_id = NULL, unclean_at = $2,
        unclean_attempts = unclean_attempts + 1, later_since = NULL, later_triggered_at = NULL, updated_at = $2
    FROM json_array_elements($1::json) AS x (v) WHERE jobs.id = (v ->> 0)::bigint";

pub(super) const STANDINGS: &str = concat!(
    "SELECT coalesce(json_agg(json_build_array(id, lane_id, state, fence, run_at, wanted, taken, attempts,
        failed_attempts, unclean_attempts, unclean_at, wanted_since, triggered_at, later_since, later_triggered_at,
        node)), '[]')::text
     FROM (SELECT * FROM jobs WHERE id ",
    in_array!("$1"),
    " ORDER BY id FOR UPDATE) AS held"
);

pub(super) const CHANGE: &str = "
    UPDATE jobs SET state = c.state, run_at = c.run_at, attempts = c.attempts, failed_attempts = c.failed_attempts,
        unclean_attempts = c.unclean_attempts, unclean_at = c.unclean_at, system_down = c.system_down,
        waits_on = c.waits_on,
        wanted_since = c.wanted_since, triggered_at = c.triggered_at, later_since = NULL, later_triggered_at = NULL,
        lease_until = NULL, node_id = NULL, reason = c.reason, record_name = coalesce(c.record_name, jobs.record_name),
        erp_name = coalesce(c.erp_name, jobs.erp_name),
        last_summary = coalesce(c.last_summary, jobs.last_summary), updated_at = c.updated_at, ended_at = c.ended_at
    FROM json_to_recordset($1::json) AS c (id bigint, state text, run_at bigint, attempts bigint,
        failed_attempts bigint, unclean_attempts bigint, unclean_at bigint, system_down text, waits_on text, wanted_since bigint,
        triggered_at bigint, reason text, record_name text, erp_name text, last_summary text, updated_at bigint,
        ended_at bigint)
    WHERE jobs.id = c.id";

pub(super) const ATTEMPTS_INSERT: &str = "
    INSERT INTO attempts (job_id, number, node, started_at, ended_at, outcome, summary, detail, revision)
    SELECT (v ->> 0)::bigint, (v ->> 1)::bigint, v ->> 2, (v ->> 3)::bigint, (v ->> 4)::bigint, v ->> 5, v ->> 6,
           v ->> 7, (v ->> 8)::bigint
    FROM json_array_elements($1::json) AS x (v)";

/// A waiting job that is due may be in the hands of a claim at this moment: that wakes it as well, and is not waited for.
pub(super) const WAKE: &str = "
    WITH resting AS (SELECT j.id FROM json_array_elements($1::json) AS x (v) JOIN jobs AS j ON j.waits_on = v ->> 0
            WHERE j.state = 'scheduled' AND j.id <> (v ->> 1)::bigint AND j.run_at > $2
            ORDER BY j.id FOR UPDATE OF j),
        due AS (SELECT j.id FROM json_array_elements($1::json) AS x (v) JOIN jobs AS j ON j.waits_on = v ->> 0
            WHERE j.state = 'scheduled' AND j.id <> (v ->> 1)::bigint AND j.run_at <= $2
            ORDER BY j.id FOR UPDATE OF j SKIP LOCKED)
    UPDATE jobs SET state = 'available', run_at = $2, waits_on = NULL, updated_at = $2
    WHERE id = ANY (ARRAY(SELECT id FROM resting UNION SELECT id FROM due))";

/// A release that is under way is waited for; one that comes later finds us waiting.
pub(super) const LOCK_OF: &str = "SELECT job_id FROM locks WHERE record = $1 FOR SHARE";

pub(super) const OPEN_STATE: &str =
    "SELECT state FROM jobs WHERE lane_id = $1 AND source_id = $2 AND ended_at IS NULL FOR SHARE";

pub(super) const JOB_FOR_PERSON: &str = "SELECT state, lane_id, source_id FROM jobs WHERE id = $1 FOR UPDATE";

pub(super) const LINKS_IN_CONFLICT: &str = "
    SELECT coalesce(json_agg(position - 1), '[]')::text
    FROM json_array_elements($1::json) WITH ORDINALITY AS x (v, position)
    WHERE v ->> 'state' <> 'retired' AND v ->> 'kind' <> 'address' AND EXISTS (
        SELECT 1 FROM links AS l
        WHERE l.shop = v ->> 'shop' AND l.kind = v ->> 'kind' AND l.erp_id = (v ->> 'erp_id')::bigint
          AND l.kind <> 'address' AND l.state <> 'retired' AND l.source_id <> v ->> 'source_id'
          AND NOT EXISTS (SELECT 1 FROM json_array_elements($1::json) AS o (w) WHERE w ->> 'shop' = l.shop
              AND w ->> 'kind' = l.kind AND w ->> 'source_id' = l.source_id))";

pub(super) const LINKS_SAVE: &str = "
    INSERT INTO links AS l (shop, kind, source_id, model, erp_id, erp_name, state, source_updated_at, agreed,
                            agreed_out, writes, updated_at)
    SELECT shop, kind, source_id, model, erp_id, erp_name, state, source_updated_at, agreed, agreed_out, writes, $2
    FROM json_to_recordset($1::json) AS x (shop text, kind text, source_id text, model text, erp_id bigint,
        erp_name text, state text, source_updated_at bigint, agreed text, agreed_out text, writes text)
    ON CONFLICT (shop, kind, source_id) DO UPDATE SET model = excluded.model, erp_id = excluded.erp_id,
        erp_name = coalesce(excluded.erp_name, l.erp_name), state = excluded.state,
        source_updated_at = coalesce(excluded.source_updated_at, l.source_updated_at), agreed = excluded.agreed,
        agreed_out = CASE WHEN excluded.erp_id = l.erp_id THEN coalesce(excluded.agreed_out, l.agreed_out)
                          ELSE excluded.agreed_out END,
        writes = coalesce(excluded.writes, l.writes), updated_at = excluded.updated_at";

pub(super) const CLOCK_WENT_BACK: &str = "
    UPDATE jobs SET run_at = $1 WHERE id = ANY (ARRAY(
        SELECT id FROM jobs WHERE state IN ('available', 'scheduled', 'retryable') AND state = 'available'
            AND lane_id = ANY (ARRAY(SELECT id FROM lanes)) AND priority IN (0, 1, 2) AND run_at > $1
            ORDER BY id FOR UPDATE SKIP LOCKED))";

/// Numbers of transactions that were given up are missing, so this may be a little more than there were events.
pub(super) const EVENTS_EVER: &str =
    "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM events_id_seq";

pub(super) const COUNTS: &str = "
    SELECT k.lane_id, k.state, k.count, (SELECT min(j.created_at) FROM jobs AS j
        WHERE j.ended_at IS NULL AND j.lane_id = k.lane_id AND j.state = k.state)
    FROM job_counts AS k WHERE k.count > 0
    UNION ALL
    SELECT lane_id, state, count(*), min(created_at) FROM jobs
        WHERE state IN ('running', 'held', 'problem') AND state = 'running' GROUP BY lane_id, state
    UNION ALL
    SELECT lane_id, state, count(*), min(created_at) FROM jobs
        WHERE ended_at IS NOT NULL AND ended_at >= $1 GROUP BY lane_id, state";

/// The nodes with running jobs whose session is gone. Their advisory locks become ours until the transaction ends, so
/// that two nodes never take back the same.
const DEAD_NODES: &str = "
    WITH working AS MATERIALIZED (
        SELECT id, lock_key FROM nodes
        WHERE id = ANY (ARRAY(SELECT DISTINCT node_id FROM jobs WHERE state = 'running' AND node_id IS NOT NULL)))
    SELECT coalesce(json_agg(id), '[]')::text FROM working WHERE pg_try_advisory_xact_lock(lock_key)";

/// `$1`: dead nodes.
const RECLAIMABLE: &str = concat!(
    "SELECT coalesce(json_agg(json_build_array(id, attempts, node, claimed_at, unclean_attempts, record_name)),
        '[]')::text
     FROM (SELECT * FROM jobs WHERE state = 'running' AND (lease_until <= ",
    now!(),
    " OR node_id ",
    in_array!("$1"),
    ") ORDER BY id FOR UPDATE SKIP LOCKED) AS dead"
);

/// The running jobs of dead nodes, and those whose lease ended.
pub(super) async fn reclaimable(conn: &mut Conn) -> Result<String, Fault> {
    let nodes: String = sqlx::query_scalar(DEAD_NODES).fetch_one(&mut *conn).await?;
    Ok(sqlx::query_scalar(RECLAIMABLE)
        .bind(nodes)
        .fetch_one(conn)
        .await?)
}

/// `$1`: array of jobs that are wanted. Those that exist are locked in the order of their numbers.
const WANTED: &str = "
    SELECT count(*) FROM (SELECT j.id FROM json_array_elements($1::json) AS x (v)
        JOIN jobs AS j ON j.lane_id = (v ->> 0)::bigint AND j.source_id = v ->> 1 AND j.ended_at IS NULL
        ORDER BY j.id FOR UPDATE OF j) AS held";

/// Makes sure that jobs are wanted, holding their rows in the same order as everybody.
pub(super) async fn want(conn: &mut Conn, wants: &str) -> Result<Vec<(i64, i64, String, i64)>, Fault> {
    let _: i64 = sqlx::query_scalar(WANTED)
        .bind(wants)
        .fetch_one(&mut *conn)
        .await?;
    Ok(sqlx::query_as(JOBS_WANT).bind(wants).fetch_all(conn).await?)
}

/// Which of the deduplication keys (an array as text) are stored. Numbers come from a sequence.
pub(super) async fn known(conn: &mut Conn, keys: &str) -> Result<(BTreeSet<String>, ()), Fault> {
    let known: String = sqlx::query_scalar(DEDUP_KNOWN).bind(keys).fetch_one(conn).await?;
    Ok((serde_json::from_str(&known)?, ()))
}

/// Numbers for events that are about to be stored.
pub(super) async fn reserve_event_ids(conn: &mut Conn, (): (), count: usize) -> Result<Vec<i64>, Fault> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    Ok(
        sqlx::query_scalar("SELECT nextval('events_id_seq') FROM generate_series(1, $1)")
            .bind(count)
            .fetch_all(conn)
            .await?,
    )
}

/// Stores events, all by one statement.
pub(super) async fn insert_events(conn: &mut Conn, events: &[NewEvent<'_>]) -> Result<(), Fault> {
    let mut rows = Vec::with_capacity(events.len());
    let mut bodies = Vec::with_capacity(events.iter().map(|event| event.unit.packed.bytes.len()).sum());
    for event in events {
        let delivery = &event.unit.delivery;
        rows.push(json!([
            event.id,
            delivery.shop,
            clean(&delivery.topic),
            delivery.webhook_id.as_deref().map(clean),
            delivery.event_id.as_deref().map(clean),
            hex::encode(event.unit.dedup),
            millis(delivery.triggered_at),
            delivery.received_at,
            delivery.api_version.as_deref().map(clean),
            bodies.len(),
            event.unit.packed.bytes.len(),
            event.unit.packed.codec,
            clean(&delivery.body_sha256),
            event.job,
            event.reason(),
        ]));
        bodies.extend_from_slice(&event.unit.packed.bytes);
    }
    sqlx::query(EVENTS_INSERT)
        .bind(serde_json::to_string(&rows)?)
        .bind(bodies)
        .execute(conn)
        .await?;
    Ok(())
}

/// `$1`: array of `[job, item]`.
pub(super) const JOB_ITEMS_ADD: &str = "
    INSERT INTO job_items (job_id, item)
    SELECT (v ->> 0)::bigint, v ->> 1 FROM json_array_elements($1::json) AS x (v)
    ON CONFLICT (job_id, item) DO NOTHING";

/// `$1`: lane, `$2`: item. An open job of the lane that has this item, or of which no items are known yet. One that could not
/// even be read waits for a person, and must not hold up everything meanwhile.
pub(super) const ITEM_IN_WORK: &str = "
    SELECT j.id FROM jobs AS j WHERE j.lane_id = $1 AND j.ended_at IS NULL
       AND (EXISTS (SELECT 1 FROM job_items AS i WHERE i.job_id = j.id AND i.item = $2)
            OR (j.state NOT IN ('problem', 'held')
                AND NOT EXISTS (SELECT 1 FROM job_items AS i WHERE i.job_id = j.id)))
    ORDER BY j.source_id LIMIT 1";
