//! SQLite's spelling of the statements that differ between the two databases. Many rows go in as one JSON array and
//! come out as one: each statement costs a change of threads, each row that is returned another message.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use crate::store::SERVING;
use crate::store::fault::Fault;
use crate::store::rules::{clean, millis};
use crate::store::sqlite::Conn;
use crate::store::sqlite::intake::NewEvent;

/// `IN (…)` over a JSON array of plain values.
macro_rules! in_array {
    ($parameter:literal) => {
        concat!("IN (SELECT value FROM json_each(", $parameter, "))")
    };
}
pub(super) use in_array;

/// `IN (…)` over a JSON array of texts.
macro_rules! in_texts {
    ($parameter:literal) => {
        concat!("IN (SELECT value FROM json_each(", $parameter, "))")
    };
}
pub(super) use in_texts;

/// The same over a JSON array of whole numbers.
macro_rules! in_numbers {
    ($parameter:literal) => {
        concat!("IN (SELECT value FROM json_each(", $parameter, "))")
    };
}
pub(super) use in_numbers;

/// A comparison with the ids that a question of its own finds, which is asked once: begin and end.
pub(super) const AMONG: (&str, &str) = ("IN (", ")");

/// The newest jobs of each list (a lane's jobs in one state): begin (an array of `[lane, state]` follows), the question for
/// one list, end. Without the index's name the database would read all jobs in their order until enough fit.
pub(super) const EACH_LIST: (&str, &str, &str) = (
    "SELECT o.id AS id FROM json_each(",
    ") AS c CROSS JOIN jobs AS o WHERE o.id IN (SELECT j.id FROM jobs AS j INDEXED BY jobs_listed
        WHERE j.lane_id = c.value ->> 0 AND j.state = c.value ->> 1 AND j.id > 0",
    ")",
);

/// The newest jobs of each list that are found by one name: begin (an array of `[lane, state]` follows), the question for one list
/// (which name follows), end.
pub(super) const EACH_NAMED_LIST: (&str, &str, &str) = (
    "SELECT o.id AS id FROM json_each(",
    ") AS c CROSS JOIN jobs AS o WHERE o.id IN (SELECT n.job_id FROM names_at_rest AS n CROSS JOIN jobs AS j
        WHERE j.id = n.job_id AND n.lane_id = c.value ->> 0 AND n.state = c.value ->> 1 AND j.state || '' = n.state",
    ")",
);

/// The jobs `j` of open problems `p`, in the order of these: begin (where the problems are follows), then what is asked of the
/// problems, then what is asked of the jobs, end.
pub(super) const OF_PROBLEMS: (&str, &str, &str, &str) = (
    "SELECT j.id AS id FROM ",
    " CROSS JOIN jobs AS j WHERE j.id = p.job_id AND p.closed_at IS NULL AND p.job_id IS NOT NULL",
    "",
    "",
);

/// Open problems `p` of one cause of one shop, in the order of their jobs. Without the index's name all problems of the code may
/// be read, of which another cause may have hundreds of thousands.
pub(super) const OF_ONE_CAUSE: &str = "problems AS p INDEXED BY problems_jobs";

/// Jobs `j` that ended, by when they did.
pub(super) const BY_THEIR_END: &str = "jobs AS j INDEXED BY jobs_ended";

/// Lines of the audit log since a time that is not long ago. Without the index's name all lines would be read in the order of the counts.
pub(super) const AUDIT_LATELY: &str = "audit INDEXED BY audit_at";

/// Jobs `j` that are open, by when they were first heard of. Without the index's name the database may read all jobs of a lane.
macro_rules! open_since {
    () => {
        "jobs AS j INDEXED BY jobs_open_since"
    };
}
pub(super) use open_since;

/// No body, of the same type as one.
macro_rules! no_body {
    () => {
        "NULL"
    };
}
pub(super) use no_body;

/// `$1`: array of `[hour, shop, object, direction, kind, bound, count]`, in the order of the key.
pub(super) const TALLIES_ADD: &str = "
    INSERT INTO tallies (hour, shop, object, direction, kind, bound_ms, count)
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6
    FROM json_each($1) WHERE true
    ON CONFLICT (hour, shop, object, direction, kind, bound_ms) DO UPDATE SET count = tallies.count + excluded.count";

/// `$1`: array of `[job, kind, value]`.
pub(super) const JOB_NAMES_ADD: &str = "
    INSERT INTO job_names (job_id, kind, value)
    SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each($1) WHERE true
    ON CONFLICT (kind, value, job_id) DO NOTHING";

/// `$1`: shop, `$2`: array of `[name, value]`, no name twice, `$3`: now. What stands there already is no change.
pub(super) const CURSORS_SET: &str = "
    INSERT INTO cursors (shop, name, value, updated_at)
    SELECT $1, value ->> 0, value ->> 1, $3 FROM json_each($2) WHERE true
    ON CONFLICT (shop, name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at
    WHERE cursors.value <> excluded.value";

/// `$1`: array of jobs. Those of them that limits hold, and no person.
pub(super) const HELD_BY_LIMITS: &str = concat!(
    "SELECT id, lane_id, source_id FROM jobs WHERE state = 'held' AND held_by IS NULL AND id ",
    in_array!("$1"),
    " ORDER BY id"
);

/// Holds the rows that a question finds until the transaction ends: the one writer sees to that.
pub(super) const FOR_UPDATE: &str = "";

/// The same for the jobs among them.
pub(super) const FOR_UPDATE_OF_JOBS: &str = "";

/// Ends the leases of processes that served: whoever held them is gone.
pub(super) async fn free_leases(conn: &mut Conn) -> Result<(), Fault> {
    sqlx::query("DELETE FROM leases WHERE substr(holder, 1, length($1)) = $1")
        .bind(SERVING)
        .execute(conn)
        .await?;
    Ok(())
}

/// Ends a lease whose holder is dead: whoever serves next has done that at its start.
#[expect(clippy::unused_async, reason = "PostgreSQL asks its database")]
pub(super) async fn end_lease_of_the_dead(_conn: &mut Conn, _name: &str, _holder: &str) -> Result<(), Fault> {
    Ok(())
}

/// The time by which nodes and runs are seen to live: this machine's, because only one serves.
macro_rules! seen_now {
    ($parameter:literal) => {
        $parameter
    };
}
pub(super) use seen_now;

/// Whether the row of a node is that of a process that lives.
macro_rules! lives {
    () => {
        "(gone = 0)"
    };
}
pub(super) use lives;

/// Has nobody else change revisions until the transaction ends: the one writer sees to that.
#[expect(clippy::unused_async, reason = "PostgreSQL asks its database")]
pub(super) async fn alone(_conn: &mut Conn) -> Result<(), Fault> {
    Ok(())
}

/// Has no attempt lock a record until the transaction ends: the one writer sees to that.
#[expect(clippy::unused_async, reason = "PostgreSQL asks its database")]
pub(super) async fn keep_locks(_conn: &mut Conn) -> Result<(), Fault> {
    Ok(())
}

/// `$1`: lane, `$2`: at most so many. Jobs that wait and that no other job waits for.
pub(super) const WAITING_ALONE: &str = "
    SELECT j.id FROM jobs AS j JOIN lanes AS l ON l.id = j.lane_id
    WHERE j.lane_id = $1 AND j.state IN ('available', 'scheduled', 'retryable') AND NOT EXISTS (
        SELECT 1 FROM jobs AS w WHERE w.waits_on = l.record_prefix || j.source_id AND w.waits_on IS NOT NULL
            AND w.state = 'scheduled' AND w.id <> j.id)
    ORDER BY j.priority, j.run_at, j.id LIMIT $2";

/// `$1`: array of deduplication keys. Those that are stored, and the highest event number ever given.
pub(super) const DEDUP_KNOWN: &str = "
    SELECT (SELECT json_group_array(x.value) FROM json_each($1) AS x
            WHERE EXISTS (SELECT 1 FROM events WHERE dedup = unhex(x.value))),
        coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0)";

/// `$1`: array of jobs that are wanted, each key once. A job that rests until a time
/// (`retryable`, `scheduled`) keeps it: whoever asked for the rest knows nothing of the event.
pub(super) const JOBS_WANT: &str = "
    INSERT INTO jobs (lane_id, source_id, state, priority, run_at, wanted, events, wanted_since, triggered_at, cause,
                      created_at, updated_at, import_id)
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 4,
           value ->> 7, value ->> 8, value ->> 4, value ->> 4, value ->> 9
    FROM json_each($1) WHERE true
    ON CONFLICT (lane_id, source_id) WHERE ended_at IS NULL DO UPDATE SET
        wanted = wanted + excluded.wanted,
        events = events + excluded.events,
        priority = min(priority, excluded.priority),
        later_since = CASE state WHEN 'running' THEN coalesce(later_since, excluded.wanted_since) END,
        later_triggered_at = CASE state WHEN 'running'
            THEN CASE WHEN later_since IS NULL THEN excluded.triggered_at ELSE later_triggered_at END END,
        run_at = CASE WHEN state IN ('problem', 'held') AND held_by IS NULL AND excluded.state = 'available'
            THEN excluded.run_at ELSE run_at END,
        failed_attempts = CASE WHEN state IN ('problem', 'held') AND held_by IS NULL AND excluded.state = 'available'
            THEN 0 ELSE failed_attempts END,
        state = CASE WHEN state IN ('problem', 'held') AND held_by IS NULL AND excluded.state = 'available'
            THEN 'available' ELSE state END,
        import_effect = CASE WHEN excluded.import_id IS NULL OR excluded.import_id IS import_id THEN import_effect END,
        import_id = coalesce(excluded.import_id, import_id),
        updated_at = excluded.updated_at";

/// `$1`: the same array. What stands there now: `[id, lane_id, source_id, wanted]`. Rows that are returned come one by one, each with
/// a change of threads; this is one.
pub(super) const JOBS_WANTED: &str = "
    SELECT json_group_array(json_array(j.id, j.lane_id, j.source_id, j.wanted)) FROM json_each($1) AS x
    CROSS JOIN jobs AS j ON j.lane_id = x.value ->> 0 AND j.source_id = x.value ->> 1 AND j.ended_at IS NULL";

/// `$1`: now. Each lane that has a ready job and whose shop is not paused, with the time of the oldest, and 1 where nothing is
/// ready but jobs of imports. Notices about the shop itself know no pause.
pub(super) const READY_LANES: &str = "
    SELECT coalesce(json_group_array(json_array(id, min(due, imported), due > $1)), '[]') FROM (
        SELECT l.id AS id, min(
            coalesce((SELECT run_at FROM jobs WHERE lane_id = l.id AND priority = 0
                AND state IN ('available', 'scheduled', 'retryable') ORDER BY run_at LIMIT 1), 9223372036854775807),
            coalesce((SELECT run_at FROM jobs WHERE lane_id = l.id AND priority = 1
                AND state IN ('available', 'scheduled', 'retryable') ORDER BY run_at LIMIT 1), 9223372036854775807),
            coalesce((SELECT run_at FROM jobs WHERE lane_id = l.id AND priority = 2 AND import_id IS NULL
                AND state IN ('available', 'scheduled', 'retryable') ORDER BY run_at LIMIT 1), 9223372036854775807)
        ) AS due,
        coalesce((SELECT run_at FROM jobs WHERE lane_id = l.id AND priority = 2 AND import_id IS NOT NULL
            AND state IN ('available', 'scheduled', 'retryable') ORDER BY run_at LIMIT 1), 9223372036854775807)
            AS imported
        FROM lanes AS l
        WHERE l.object = 'shop' OR NOT EXISTS (SELECT 1 FROM pauses AS z WHERE z.shop = l.shop))
    WHERE due <= $1 OR imported <= $1";

/// `$1`: lane, `$2`: now, `$3`: at most so many. Jobs of imports only where nothing else is ready in the lane: then other
/// lanes are looked at first.
pub(super) const CANDIDATES: &str = "
    SELECT coalesce(json_group_array(json_array(id, source_id, fence, failed_attempts, attempts,
                                                unclean_at, wanted_since, triggered_at, record_name, import_id,
                                                (SELECT p.code || ' ' || p.cluster FROM problems AS p
                                                 WHERE p.job_id = x.id AND p.closed_at IS NULL),
                                                priority)), '[]')
    FROM (SELECT * FROM (
        SELECT * FROM (SELECT * FROM jobs WHERE lane_id = $1 AND priority = 0 AND run_at <= $2
            AND state IN ('available', 'scheduled', 'retryable') ORDER BY run_at, id LIMIT $3)
        UNION ALL
        SELECT * FROM (SELECT * FROM jobs WHERE lane_id = $1 AND priority = 1 AND run_at <= $2
            AND state IN ('available', 'scheduled', 'retryable') ORDER BY run_at, id LIMIT $3)
        UNION ALL
        SELECT * FROM (SELECT * FROM jobs WHERE lane_id = $1 AND priority = 2 AND import_id IS NULL AND run_at <= $2
            AND state IN ('available', 'scheduled', 'retryable') ORDER BY run_at, id LIMIT $3)
        UNION ALL
        SELECT * FROM (SELECT * FROM jobs WHERE lane_id = $1 AND priority = 2 AND import_id IS NOT NULL AND run_at <= $2
            AND state IN ('available', 'scheduled', 'retryable')
            AND NOT EXISTS (SELECT 1 FROM jobs WHERE lane_id = $1 AND priority = 0 AND run_at <= $2
                AND state IN ('available', 'scheduled', 'retryable'))
            AND NOT EXISTS (SELECT 1 FROM jobs WHERE lane_id = $1 AND priority = 1 AND run_at <= $2
                AND state IN ('available', 'scheduled', 'retryable'))
            AND NOT EXISTS (SELECT 1 FROM jobs WHERE lane_id = $1 AND priority = 2 AND import_id IS NULL AND run_at <= $2
                AND state IN ('available', 'scheduled', 'retryable'))
            ORDER BY run_at, id LIMIT $3)
    ) LIMIT $3) AS x";

/// `$1`: array of `[record, job]`. Locks those records that are free.
pub(super) const LOCKS_TAKE: &str = "
    INSERT INTO locks (record, job_id) SELECT value ->> 0, value ->> 1 FROM json_each($1) WHERE true
    ON CONFLICT (record) DO NOTHING";

/// `$1`: array of `[record, job]`. Those pairs whose record is in another job's hands.
pub(super) const LOCKS_OF_OTHERS: &str = "
    SELECT coalesce(json_group_array(json_array(l.record, x.value ->> 1)), '[]')
    FROM json_each($1) AS x CROSS JOIN locks AS l ON l.record = x.value ->> 0 WHERE l.job_id <> x.value ->> 1";

/// `$1`: array of `[record, job]`. Takes back what was locked just now.
pub(super) const LOCKS_UNDO: &str = "
    DELETE FROM locks WHERE (record, job_id) IN (SELECT value ->> 0, value ->> 1 FROM json_each($1))";

/// `$1`: array of jobs. The records that they hold: `[record, job]`.
pub(super) const LOCKS_HELD: &str = concat!(
    "SELECT coalesce(json_group_array(json_array(record, job_id)), '[]') FROM locks WHERE job_id ",
    in_array!("$1")
);

/// `$1`: array of jobs, `$2`: node, `$3`: now, `$4`: lease, `$5`: the store's number of the node (unused here).
pub(super) const CLAIM: &str = concat!(
    "UPDATE jobs SET state = 'running', fence = fence + 1, taken = wanted, attempts = attempts + 1, node = $2,
        claimed_at = $3, lease_until = $4, waits_on = NULL, later_since = NULL, later_triggered_at = NULL,
        system_down = NULL, updated_at = $3
     WHERE id ",
    in_array!("$1"),
    " AND $5 IS NULL"
);

/// `$1`: array of `[record, job]`, `$2`: looked at again then, `$3`: now.
pub(super) const SET_ASIDE: &str = "
    UPDATE jobs SET state = 'scheduled', waits_on = x.value ->> 0, run_at = $2, updated_at = $3
    FROM json_each($1) AS x WHERE jobs.id = x.value ->> 1";

/// `$1`: array of `[job, fence]`. Those that do not run under this fence.
pub(super) const LEASES_LOST: &str = "
    SELECT coalesce(json_group_array(x.value ->> 0), '[]') FROM json_each($1) AS x
    WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE id = x.value ->> 0 AND fence = x.value ->> 1 AND state = 'running')";

/// `$1`: array of `[job, fence]`, `$2`: lease.
pub(super) const LEASES_EXTEND: &str = "
    UPDATE jobs SET lease_until = $2 FROM json_each($1) AS x
    WHERE jobs.id = x.value ->> 0 AND jobs.fence = x.value ->> 1 AND jobs.state = 'running'";

/// `$1`: now. The jobs to take back: `[id, attempts, node, claimed_at, unclean_attempts, record_name]`. The first term is
/// the partial index's own: SQLite uses one only where the statement repeats its condition.
pub(super) const RECLAIMABLE: &str = "
    SELECT coalesce(json_group_array(json_array(id, attempts, node, claimed_at, unclean_attempts, record_name)), '[]')
    FROM jobs WHERE state IN ('running', 'held', 'problem') AND state = 'running' AND lease_until <= $1";

/// `$1`: array of `[job, state, run_at]`, `$2`: now.
pub(super) const RECLAIM: &str = "
    UPDATE jobs SET state = x.value ->> 1, run_at = x.value ->> 2, lease_until = NULL, unclean_at = $2,
        unclean_attempts = unclean_attempts + 1, later_since = NULL, later_triggered_at = NULL, updated_at = $2
    FROM json_each($1) AS x WHERE jobs.id = x.value ->> 0";

/// `$1`: array of jobs. What the end of an attempt must know.
pub(super) const STANDINGS: &str = "
    SELECT coalesce(json_group_array(json_array(j.id, j.lane_id, j.state, j.fence, j.run_at, j.wanted,
        j.taken, j.attempts, j.failed_attempts, j.unclean_attempts, j.unclean_at, j.wanted_since, j.triggered_at,
        j.later_since, j.later_triggered_at, j.node)), '[]')
    FROM json_each($1) AS x CROSS JOIN jobs AS j ON j.id = x.value";

/// `$1`: array of changes.
pub(super) const CHANGE: &str = "
    UPDATE jobs SET state = v ->> 'state', run_at = v ->> 'run_at', attempts = v ->> 'attempts',
        failed_attempts = v ->> 'failed_attempts', unclean_attempts = v ->> 'unclean_attempts',
        unclean_at = v ->> 'unclean_at',
        system_down = v ->> 'system_down', waits_on = v ->> 'waits_on', wanted_since = v ->> 'wanted_since',
        triggered_at = v ->> 'triggered_at', later_since = NULL, later_triggered_at = NULL, lease_until = NULL,
        reason = v ->> 'reason', record_name = coalesce(v ->> 'record_name', record_name),
        erp_name = coalesce(v ->> 'erp_name', erp_name),
        last_summary = coalesce(v ->> 'last_summary', last_summary), updated_at = v ->> 'updated_at',
        ended_at = v ->> 'ended_at'
    FROM (SELECT value AS v FROM json_each($1)) WHERE jobs.id = v ->> 'id'";

/// `$1`: array of attempts.
pub(super) const ATTEMPTS_INSERT: &str = "
    INSERT INTO attempts (job_id, number, node, started_at, ended_at, outcome, summary, detail, revision)
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7,
           value ->> 8
    FROM json_each($1)";

/// `$1`: array of `[record, job]`, `$2`: now. Wakes the jobs that wait for one of the records, but none by its own release.
pub(super) const WAKE: &str = "
    UPDATE jobs SET state = 'available', run_at = $2, waits_on = NULL, updated_at = $2
    WHERE id IN (SELECT j.id FROM json_each($1) AS x CROSS JOIN jobs AS j ON j.waits_on = x.value ->> 0
        WHERE j.waits_on IS NOT NULL AND j.state = 'scheduled' AND j.id <> x.value ->> 1)";

/// `$1`: record. The job that has it locked.
pub(super) const LOCK_OF: &str = "SELECT job_id FROM locks WHERE record = $1";

/// `$1`: lane, `$2`: source id. The state of the open job.
pub(super) const OPEN_STATE: &str =
    "SELECT state FROM jobs WHERE lane_id = $1 AND source_id = $2 AND ended_at IS NULL";

/// `$1`: job. Its row as people's orders find it.
pub(super) const JOB_FOR_PERSON: &str = "SELECT state, lane_id, source_id FROM jobs WHERE id = $1";

/// `$1`: array of links. The positions of those whose ERP record belongs to another source record that is not among
/// them.
pub(super) const LINKS_IN_CONFLICT: &str = "
    SELECT coalesce(json_group_array(x.key), '[]') FROM json_each($1) AS x
    WHERE x.value ->> 'state' <> 'retired' AND x.value ->> 'kind' <> 'address' AND EXISTS (
        SELECT 1 FROM links AS l
        WHERE l.shop = x.value ->> 'shop' AND l.kind = x.value ->> 'kind' AND l.erp_id = x.value ->> 'erp_id'
          AND l.kind <> 'address' AND l.state <> 'retired' AND l.source_id <> x.value ->> 'source_id'
          AND NOT EXISTS (SELECT 1 FROM json_each($1) AS o WHERE o.value ->> 'shop' = l.shop
              AND o.value ->> 'kind' = l.kind AND o.value ->> 'source_id' = l.source_id))";

/// `$1`: array of links, `$2`: now.
pub(super) const LINKS_SAVE: &str = "
    INSERT INTO links (shop, kind, source_id, model, erp_id, erp_name, state, source_updated_at, agreed, agreed_out,
                       writes, updated_at)
    SELECT v ->> 'shop', v ->> 'kind', v ->> 'source_id', v ->> 'model', v ->> 'erp_id', v ->> 'erp_name',
           v ->> 'state', v ->> 'source_updated_at', v ->> 'agreed', v ->> 'agreed_out', v ->> 'writes', $2
    FROM (SELECT value AS v FROM json_each($1)) WHERE true
    ON CONFLICT (shop, kind, source_id) DO UPDATE SET model = excluded.model, erp_id = excluded.erp_id,
        erp_name = coalesce(excluded.erp_name, erp_name), state = excluded.state,
        source_updated_at = coalesce(excluded.source_updated_at, source_updated_at), agreed = excluded.agreed,
        agreed_out = CASE WHEN excluded.erp_id = erp_id THEN coalesce(excluded.agreed_out, agreed_out)
                          ELSE excluded.agreed_out END,
        writes = coalesce(excluded.writes, writes), updated_at = excluded.updated_at";

/// `$1`: now. Ready work whose time lies in the future, because the clock was set back.
pub(super) const CLOCK_WENT_BACK: &str = "
    UPDATE jobs SET run_at = $1 WHERE state IN ('available', 'scheduled', 'retryable') AND state = 'available'
        AND lane_id IN (SELECT id FROM lanes) AND priority IN (0, 1, 2) AND run_at > $1";

/// The highest event number ever given.
pub(super) const EVENTS_EVER: &str =
    "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0)";

/// `$1`: ended since then. `[lane, state, count, oldest]` of open jobs and of those. Of the open ones only those that run are counted
/// here; how many others there are is kept (`job_counts`), and the oldest of each is looked up.
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

/// Makes sure that jobs are wanted (an array as text). Returns what stands there afterwards: id, lane, source id, wanted.
pub(super) async fn want(conn: &mut Conn, wants: &str) -> Result<Vec<(i64, i64, String, i64)>, Fault> {
    sqlx::query(JOBS_WANT).bind(wants).execute(&mut *conn).await?;
    let wanted: String = sqlx::query_scalar(JOBS_WANTED)
        .bind(wants)
        .fetch_one(conn)
        .await?;
    Ok(serde_json::from_str(&wanted)?)
}

/// Which of the deduplication keys (an array as text) are stored, and the highest event number ever given.
pub(super) async fn known(conn: &mut Conn, keys: &str) -> Result<(BTreeSet<String>, i64), Fault> {
    let (known, last): (String, i64) = sqlx::query_as(DEDUP_KNOWN).bind(keys).fetch_one(conn).await?;
    Ok((serde_json::from_str(&known)?, last))
}

/// Numbers for events that are about to be stored.
#[expect(clippy::unused_async, reason = "PostgreSQL asks its database")]
pub(super) async fn reserve_event_ids(_conn: &mut Conn, last: i64, count: usize) -> Result<Vec<i64>, Fault> {
    // The writer's transaction keeps everybody else out until the rows are there.
    Ok((last + 1..).take(count).collect())
}

/// At most so many events go in by one statement.
const MOST_EVENTS: usize = 64;

/// Statements for 1, 2, 4, … events: few enough to be kept prepared. A row without a number is no event.
pub(super) static EVENTS_INSERT: LazyLock<Vec<String>> = LazyLock::new(|| {
    let row = format!("(?{})", ",?".repeat(13));
    (0..=MOST_EVENTS.ilog2())
        .map(|power| {
            let rows = vec![row.as_str(); 1 << power].join(",");
            format!(
                "INSERT INTO events (id, shop, topic, webhook_id, event_id, dedup, triggered_at, received_at, api_version,
                                     body, body_codec, body_sha256, job_id, reason)
                 SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL"
            )
        })
        .collect()
});

/// Stores events. Their values are bound one by one: taking them out of JSON would cost more than storing them.
pub(super) async fn insert_events(conn: &mut Conn, events: &[NewEvent<'_>]) -> Result<(), Fault> {
    for some in events.chunks(MOST_EVENTS) {
        let power = some.len().next_power_of_two().ilog2();
        let mut insert = sqlx::query(EVENTS_INSERT[power as usize].as_str());
        for event in some {
            let delivery = &event.unit.delivery;
            insert = insert
                .bind(event.id)
                .bind(delivery.shop.as_str())
                .bind(clean(&delivery.topic))
                .bind(delivery.webhook_id.as_deref().map(clean))
                .bind(delivery.event_id.as_deref().map(clean))
                .bind(event.unit.dedup.as_slice())
                .bind(millis(delivery.triggered_at))
                .bind(delivery.received_at.millis())
                .bind(delivery.api_version.as_deref().map(clean))
                .bind(event.unit.packed.bytes.as_slice())
                .bind(event.unit.packed.codec)
                .bind(clean(&delivery.body_sha256))
                .bind(event.job.map(|job| job.0))
                .bind(event.reason());
        }
        insert.execute(&mut *conn).await?;
    }
    Ok(())
}

/// `$1`: array of `[job, item]`.
pub(super) const JOB_ITEMS_ADD: &str = "
    INSERT INTO job_items (job_id, item) SELECT value ->> 0, value ->> 1 FROM json_each($1) WHERE true
    ON CONFLICT (job_id, item) DO NOTHING";

/// `$1`: lane, `$2`: item. An open job of the lane that has this item, or of which no items are known yet. One that could not
/// even be read waits for a person, and must not hold up everything meanwhile.
pub(super) const ITEM_IN_WORK: &str = "
    SELECT j.id FROM jobs AS j WHERE j.lane_id = $1 AND j.ended_at IS NULL
       AND (EXISTS (SELECT 1 FROM job_items AS i WHERE i.job_id = j.id AND i.item = $2)
            OR (j.state NOT IN ('problem', 'held')
                AND NOT EXISTS (SELECT 1 FROM job_items AS i WHERE i.job_id = j.id)))
    ORDER BY j.source_id LIMIT 1";
