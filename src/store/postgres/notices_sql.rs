//! PostgreSQL's spelling of the statements about notifications that differ between the two databases; what each is given and
//! answers is told in SQLite's file of the same name.
//!
//! Whoever changes what waits for an endpoint holds the endpoint's row. Locks are taken in this order: outbox by number,
//! endpoints by name, dispatches by number, notifications by number.

use sqlx::{Postgres, QueryBuilder};

pub(super) const OUTBOX_ADD: &str = "
    INSERT INTO outbox (body, created_at)
    SELECT v ->> 0, (v ->> 1)::bigint FROM json_array_elements($1::json) WITH ORDINALITY AS x (v, place) ORDER BY place";

/// Whoever takes the same is waited for: what it took is gone then, and what comes later is newer than what it took.
pub(super) const OUTBOX_TAKE: &str = "
    DELETE FROM outbox WHERE id = ANY (ARRAY(
        SELECT id FROM outbox WHERE id = ANY (ARRAY(SELECT json_array_elements_text($1::json)::bigint))
        ORDER BY id FOR UPDATE))
    RETURNING id, created_at";

pub(super) const ENDPOINTS_KNOW: &str = "
    INSERT INTO endpoints (name) SELECT v FROM json_array_elements_text($1::json) AS x (v) ORDER BY v
    ON CONFLICT (name) DO NOTHING";

pub(super) const ENDPOINTS_HELD: &str = "
    SELECT name, paused_at FROM endpoints WHERE name = ANY (ARRAY(SELECT json_array_elements_text($1::json)))
    ORDER BY name FOR UPDATE";

pub(super) const ENDPOINTS_CHANGE: &str = "
    UPDATE endpoints SET health = CASE WHEN health = v ->> 6 THEN v ->> 1 ELSE health END,
        paused_because = CASE WHEN paused_at IS NULL AND health = v ->> 6 THEN v ->> 2 ELSE paused_because END,
        paused_at = CASE WHEN paused_at IS NULL AND health = v ->> 6 AND v ->> 2 IS NOT NULL THEN (v ->> 4)::bigint
            ELSE paused_at END,
        told_failing_at = coalesce((v ->> 3)::bigint, told_failing_at),
        given_up_at = CASE WHEN (v ->> 5)::bigint = 1 THEN (v ->> 4)::bigint ELSE given_up_at END
    FROM json_array_elements($1::json) AS x (v) WHERE endpoints.name = v ->> 0";

pub(super) const NOTIFICATIONS_ADD: &str = "
    INSERT INTO notifications (id, notification, event, shop, object, record, body, created_at)
    SELECT (v ->> 0)::bigint, v ->> 1, v ->> 2, v ->> 3, v ->> 4, v ->> 5, v ->> 6, (v ->> 7)::bigint
    FROM json_array_elements($1::json) AS x (v)";

pub(super) const KEYS_ADD: &str = "
    INSERT INTO notification_keys (key, notification_id)
    SELECT v ->> 0, (v ->> 1)::bigint FROM json_array_elements($1::json) AS x (v)
    ON CONFLICT (key, notification_id) DO NOTHING";

pub(super) const WAITING_OF_KEYS: &str = "
    SELECT d.id, d.notification_id, d.endpoint, d.object_key FROM json_array_elements($1::json) AS x (v)
    JOIN dispatches AS d ON d.endpoint = v ->> 0 AND d.object_key = v ->> 1
      AND d.state = 'waiting' AND d.object_key IS NOT NULL AND d.batch IS NULL
    ORDER BY d.id FOR UPDATE OF d";

pub(super) const DISPATCHES_ADD: &str = "
    INSERT INTO dispatches (notification_id, endpoint, event, state, priority, object_key, due_at, sentence,
                            created_at, ended_at)
    SELECT (v ->> 0)::bigint, v ->> 1, v ->> 2, v ->> 3, (v ->> 4)::bigint, v ->> 5, (v ->> 6)::bigint, v ->> 7,
           (v ->> 8)::bigint, (v ->> 9)::bigint
    FROM json_array_elements($1::json) WITH ORDINALITY AS x (v, place) ORDER BY place";

pub(super) const MEMBERS: &str = "
    SELECT id FROM dispatches WHERE endpoint = $2 AND state = 'waiting' AND batch IS NOT NULL
      AND batch = ANY (ARRAY(SELECT json_array_elements_text($1::json))) ORDER BY id";

pub(super) const LIVE: &str = "
    SELECT d.id, d.endpoint, d.tries, d.notification_id,
        CASE WHEN d.batch IS NULL THEN d.object_key ELSE NULL END AS object_key,
        (SELECT n.body IS NOT NULL FROM notifications AS n WHERE n.id = d.notification_id) AS has_body,
        w.id AS rival, w.notification_id AS rival_notification
    FROM json_array_elements($1::json) AS x (v)
    JOIN dispatches AS d ON d.id = (v ->> 0)::bigint AND d.fence = (v ->> 1)::bigint AND d.state = 'sending'
    LEFT JOIN dispatches AS w ON w.endpoint = d.endpoint AND w.object_key = d.object_key AND w.state = 'waiting'
        AND w.object_key IS NOT NULL AND w.batch IS NULL AND d.batch IS NULL
    ORDER BY d.id FOR UPDATE OF d";

pub(super) const OVERDUE: &str = "
    SELECT id, fence, endpoint, tries - coalesce((
        SELECT CASE WHEN t.number <= d.tries THEN t.number ELSE 0 END FROM dispatch_tries AS t
        WHERE t.dispatch_id = d.id ORDER BY t.at DESC, t.id DESC LIMIT 1), 0)
    FROM dispatches AS d WHERE state = 'sending' AND claimed_until <= $1 ORDER BY claimed_until, id LIMIT $2";

pub(super) const DISPATCHES_END: &str = "
    UPDATE dispatches SET state = v ->> 1, due_at = coalesce((v ->> 2)::bigint, due_at),
        tries = greatest(0, tries - (v ->> 3)::bigint),
        failure = CASE WHEN (v ->> 4)::bigint = 1 THEN v ->> 5 ELSE failure END,
        sentence = CASE WHEN (v ->> 4)::bigint = 1 THEN v ->> 6 ELSE sentence END,
        status = CASE WHEN (v ->> 4)::bigint = 1 THEN (v ->> 7)::bigint ELSE status END,
        took_ms = CASE WHEN (v ->> 4)::bigint = 1 THEN (v ->> 8)::bigint ELSE took_ms END,
        ended_at = (v ->> 9)::bigint, claimed_until = NULL
    FROM json_array_elements($1::json) AS x (v) WHERE dispatches.id = (v ->> 0)::bigint";

pub(super) const TRIES_ADD: &str = "
    INSERT INTO dispatch_tries (dispatch_id, number, at, took_ms, failure, sentence, status, headers, answer, is_cut, told_by)
    SELECT (v ->> 0)::bigint, (v ->> 1)::bigint, (v ->> 2)::bigint, (v ->> 3)::bigint, v ->> 4, v ->> 5,
           (v ->> 6)::bigint, v ->> 7, v ->> 8, (v ->> 9)::bigint, (v ->> 10)::bigint
    FROM json_array_elements($1::json) AS x (v)";

/// What somebody is about to send once more is left.
pub(super) const PRUNABLE: &str = "
    SELECT id, notification_id FROM dispatches WHERE ended_at IS NOT NULL AND ended_at < $1
    ORDER BY ended_at, id LIMIT $2 FOR UPDATE SKIP LOCKED";

/// Of two nodes that delete the last two dispatches of a notification at once, the later one waits here for the end of the other, and
/// then sees that nothing else keeps it.
pub(super) const NOTIFICATIONS_HELD: &str = "
    SELECT id FROM notifications WHERE id = ANY (ARRAY(SELECT json_array_elements_text($1::json)::bigint))
    ORDER BY id FOR UPDATE";

pub(super) const DISPATCHES_EVER: &str =
    "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM dispatches_id_seq";

/// A list is bounded and ordered by all columns of its index: where endpoint and state are said to be equal to something, the
/// database may find it cheaper to look through all dispatches in their order until enough fit, of which there may be a million.
pub(super) const LISTED: &str = "dispatches AS d";
pub(super) const LISTED_NEWEST: &str = " ORDER BY d.endpoint DESC, d.state DESC, d.id DESC";
pub(super) const LISTED_OLDEST: &str = " ORDER BY d.endpoint, d.state, d.id";

pub(super) fn push_list(
    query: &mut QueryBuilder<Postgres>,
    endpoint: &str,
    state: &'static str,
    between: (i64, i64),
) {
    query
        .push(" (d.endpoint, d.state, d.id) > (")
        .push_bind(endpoint.to_owned())
        .push(", ")
        .push_bind(state)
        .push(", ")
        .push_bind(between.0)
        .push(") AND (d.endpoint, d.state, d.id) < (")
        .push_bind(endpoint.to_owned())
        .push(", ")
        .push_bind(state)
        .push(", ")
        .push_bind(between.1)
        .push(")");
}

pub(super) const OF_EVENT: &str = "dispatches AS d";
pub(super) const OF_EVENT_NEWEST: &str = " ORDER BY d.event DESC, d.id DESC";

pub(super) fn push_event(query: &mut QueryBuilder<Postgres>, event: &str, before: i64) {
    query
        .push(" (d.event, d.id) > (")
        .push_bind(event.to_owned())
        .push(", -1) AND (d.event, d.id) < (")
        .push_bind(event.to_owned())
        .push(", ")
        .push_bind(before)
        .push(")");
}
