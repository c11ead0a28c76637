//! SQLite's spelling of the statements about notifications that differ between the two databases.

use sqlx::{QueryBuilder, Sqlite};

/// `$1`: array of `[body, at]`. Puts notifications into the outbox, in their order.
pub(super) const OUTBOX_ADD: &str = "
    INSERT INTO outbox (body, created_at) SELECT value ->> 0, value ->> 1 FROM json_each($1) ORDER BY key";

/// `$1`: array of numbers. Takes them out of the outbox.
pub(super) const OUTBOX_TAKE: &str =
    "DELETE FROM outbox WHERE id IN (SELECT value FROM json_each($1)) RETURNING id, created_at";

/// `$1`: array of names. Makes rows of endpoints that are not known yet.
pub(super) const ENDPOINTS_KNOW: &str = "
    INSERT INTO endpoints (name) SELECT value FROM json_each($1) WHERE true ON CONFLICT (name) DO NOTHING";

/// `$1`: array of names. Those that are known, with since when they are paused.
pub(super) const ENDPOINTS_HELD: &str =
    "SELECT name, paused_at FROM endpoints WHERE name IN (SELECT value FROM json_each($1))";

/// `$1`: array of `[name, health, pause, told_failing_at, at, has_given_up, health as it was read]`. Where somebody else changed the
/// health since it was read, a person has let the endpoint go on: it is neither written nor is the endpoint paused for it.
pub(super) const ENDPOINTS_CHANGE: &str = "
    UPDATE endpoints SET health = CASE WHEN health = x.value ->> 6 THEN x.value ->> 1 ELSE health END,
        paused_because = CASE WHEN paused_at IS NULL AND health = x.value ->> 6 THEN x.value ->> 2 ELSE paused_because END,
        paused_at = CASE WHEN paused_at IS NULL AND health = x.value ->> 6 AND x.value ->> 2 IS NOT NULL THEN x.value ->> 4
            ELSE paused_at END,
        told_failing_at = coalesce(x.value ->> 3, told_failing_at),
        given_up_at = CASE WHEN x.value ->> 5 = 1 THEN x.value ->> 4 ELSE given_up_at END
    FROM json_each($1) AS x WHERE endpoints.name = x.value ->> 0";

/// `$1`: array of `[id, notification, event, shop, object, record, body, created_at]`.
pub(super) const NOTIFICATIONS_ADD: &str = "
    INSERT INTO notifications (id, notification, event, shop, object, record, body, created_at)
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7
    FROM json_each($1)";

/// `$1`: array of `[key, notification]`.
pub(super) const KEYS_ADD: &str = "
    INSERT INTO notification_keys (key, notification_id) SELECT value ->> 0, value ->> 1 FROM json_each($1) WHERE true
    ON CONFLICT (key, notification_id) DO NOTHING";

/// `$1`: array of `[endpoint, object_key]`. What waits of these: `[id, notification, endpoint, object_key]`.
pub(super) const WAITING_OF_KEYS: &str = "
    SELECT d.id, d.notification_id, d.endpoint, d.object_key FROM json_each($1) AS x CROSS JOIN dispatches AS d
    WHERE d.endpoint = x.value ->> 0 AND d.object_key = x.value ->> 1
      AND d.state = 'waiting' AND d.object_key IS NOT NULL AND d.batch IS NULL";

/// `$1`: array of `[notification, endpoint, event, state, priority, object_key, due_at, sentence, created_at, ended_at]`.
pub(super) const DISPATCHES_ADD: &str = "
    INSERT INTO dispatches (notification_id, endpoint, event, state, priority, object_key, due_at, sentence,
                            created_at, ended_at)
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7,
           value ->> 8, value ->> 9
    FROM json_each($1) ORDER BY key";

/// `$1`: array of batches, `$2`: endpoint. What waits of these batches of the endpoint. It is asked for, whatever a batch is called: what
/// is claimed for one must never be sent to another. Without a hint all that waits for the endpoint is gone through.
pub(super) const MEMBERS: &str = "
    SELECT d.id FROM json_each($1) AS x CROSS JOIN dispatches AS d INDEXED BY dispatches_batch
    WHERE d.endpoint = $2 AND d.batch = x.value AND d.state = 'waiting' AND d.batch IS NOT NULL ORDER BY d.id";

/// `$1`: array of `[id, fence]`. Those that are being sent under this claim, with whether there is something to send, and the
/// waiting dispatch about the same where the newer replaces the older: `[id, endpoint, tries, notification, object_key, has_body,
/// rival, rival_notification]`.
pub(super) const LIVE: &str = "
    SELECT d.id, d.endpoint, d.tries, d.notification_id,
        CASE WHEN d.batch IS NULL THEN d.object_key ELSE NULL END AS object_key,
        n.body IS NOT NULL AS has_body, w.id AS rival, w.notification_id AS rival_notification
    FROM json_each($1) AS x CROSS JOIN dispatches AS d CROSS JOIN notifications AS n
    LEFT JOIN dispatches AS w ON w.endpoint = d.endpoint AND w.object_key = d.object_key AND w.state = 'waiting'
        AND w.object_key IS NOT NULL AND w.batch IS NULL AND d.batch IS NULL
    WHERE d.id = x.value ->> 0 AND d.fence = x.value ->> 1 AND d.state = 'sending' AND n.id = d.notification_id";

/// `$1`: now, `$2`: at most so many. Claims that ended without a word, each with how many of its dispatch did since an outcome was
/// noted: `[id, fence, endpoint, unnoted]`. Of one that a person sent once more, a try of before may pass for one of now: then
/// that is fewer than it was.
pub(super) const OVERDUE: &str = "
    SELECT id, fence, endpoint, tries - coalesce((
        SELECT CASE WHEN t.number <= d.tries THEN t.number ELSE 0 END FROM dispatch_tries AS t
        WHERE t.dispatch_id = d.id ORDER BY t.at DESC, t.id DESC LIMIT 1), 0)
    FROM dispatches AS d WHERE state = 'sending' AND claimed_until <= $1 ORDER BY claimed_until, id LIMIT $2";

/// `$1`: array of `[id, state, due_at, tries_less, is_told, failure, sentence, status, took_ms, ended_at]`. Ends claims.
pub(super) const DISPATCHES_END: &str = "
    UPDATE dispatches SET state = v ->> 1, due_at = coalesce(v ->> 2, due_at), tries = max(0, tries - (v ->> 3)),
        failure = CASE WHEN v ->> 4 = 1 THEN v ->> 5 ELSE failure END,
        sentence = CASE WHEN v ->> 4 = 1 THEN v ->> 6 ELSE sentence END,
        status = CASE WHEN v ->> 4 = 1 THEN v ->> 7 ELSE status END,
        took_ms = CASE WHEN v ->> 4 = 1 THEN v ->> 8 ELSE took_ms END,
        ended_at = v ->> 9, claimed_until = NULL
    FROM (SELECT value AS v FROM json_each($1)) AS x WHERE dispatches.id = v ->> 0";

/// `$1`: array of `[dispatch, number, at, took_ms, failure, sentence, status, headers, answer, is_cut, told_by]`.
pub(super) const TRIES_ADD: &str = "
    INSERT INTO dispatch_tries (dispatch_id, number, at, took_ms, failure, sentence, status, headers, answer, is_cut, told_by)
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7,
           value ->> 8, value ->> 9, value ->> 10
    FROM json_each($1)";

/// `$1`: ended before then, `$2`: at most so many: `[id, notification]`.
pub(super) const PRUNABLE: &str = "
    SELECT id, notification_id FROM dispatches WHERE ended_at IS NOT NULL AND ended_at < $1
    ORDER BY ended_at, id LIMIT $2";

/// `$1`: array of numbers. Those of these notifications that are there, of which nobody else deletes anything meanwhile.
pub(super) const NOTIFICATIONS_HELD: &str =
    "SELECT id FROM notifications WHERE id IN (SELECT value FROM json_each($1)) ORDER BY id";

/// The highest number that a dispatch ever had.
pub(super) const DISPATCHES_EVER: &str =
    "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'dispatches'), 0)";

/// Dispatches `d` of one list, which [`push_list`] tells, and the orders of such a list.
pub(super) const LISTED: &str = "dispatches AS d INDEXED BY dispatches_listed";
pub(super) const LISTED_NEWEST: &str = " ORDER BY d.id DESC";
pub(super) const LISTED_OLDEST: &str = " ORDER BY d.id";

/// An endpoint's dispatches in one state, with numbers between these.
pub(super) fn push_list(
    query: &mut QueryBuilder<Sqlite>,
    endpoint: &str,
    state: &'static str,
    between: (i64, i64),
) {
    query
        .push(" d.endpoint = ")
        .push_bind(endpoint.to_owned())
        .push(" AND d.state = ")
        .push_bind(state)
        .push(" AND d.id > ")
        .push_bind(between.0)
        .push(" AND d.id < ")
        .push_bind(between.1);
}

/// Dispatches `d` of one type of event, and their order.
pub(super) const OF_EVENT: &str = "dispatches AS d INDEXED BY dispatches_event";
pub(super) const OF_EVENT_NEWEST: &str = " ORDER BY d.id DESC";

/// The dispatches of one type of event, with lower numbers than this one.
pub(super) fn push_event(query: &mut QueryBuilder<Sqlite>, event: &str, before: i64) {
    query
        .push(" d.event = ")
        .push_bind(event.to_owned())
        .push(" AND d.id < ")
        .push_bind(before);
}
