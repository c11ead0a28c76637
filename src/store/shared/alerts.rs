//! Conditions that people are told of, and the messages to them.

use sqlx::Row as _;

use super::events::REMOVED;
use super::{Conn, DbRow, sql};
use crate::domain::{ShopName, Timestamp};
use crate::store::fault::Fault;
use crate::store::rules::clean;
use crate::store::{
    AlertChanges, AlertRow, AlertStanding, AlertsTold, Channel, DueMessage, MessageEnd, NewAlert, NewMessage,
    Renewed, SendFailure,
};

/// Those that last, and those whose end is still to be told, oldest first.
pub(super) async fn pending(conn: &mut Conn) -> Result<Vec<AlertRow>, Fault> {
    let rows = sqlx::query(
        "SELECT id, key, kind, shop, owner, text, url, quotes, since, told_at, absent_since, ended_at
         FROM alerts WHERE end_told_at IS NULL ORDER BY id",
    )
    .fetch_all(conn)
    .await?;
    rows.iter().map(read).collect()
}

fn read(row: &DbRow) -> Result<AlertRow, Fault> {
    let id: i64 = row.try_get("id")?;
    let time = |column| {
        row.try_get::<Option<i64>, _>(column)
            .map(|at| at.map(Timestamp::from_millis))
    };
    Ok(AlertRow {
        id,
        key: row.try_get("key")?,
        kind: row.try_get("kind")?,
        shop: row
            .try_get::<Option<String>, _>("shop")?
            .map(|shop| {
                shop.parse().map_err(|_| Fault::BadRow {
                    table: "alerts",
                    row: id,
                    column: "shop",
                })
            })
            .transpose()?,
        owner: row.try_get("owner")?,
        text: row.try_get("text")?,
        url: row.try_get("url")?,
        quotes: row.try_get::<i64, _>("quotes")? != 0,
        since: Timestamp::from_millis(row.try_get("since")?),
        told_at: time("told_at")?,
        absent_since: time("absent_since")?,
        ended_at: time("ended_at")?,
    })
}

/// Saves what a look found.
pub(super) async fn change(conn: &mut Conn, changes: &AlertChanges, now: Timestamp) -> Result<(), Fault> {
    for alert in &changes.raised {
        raise(conn, alert).await?;
    }
    for renewed in &changes.renewed {
        renew(conn, renewed).await?;
    }
    for (statement, ids) in [
        (
            concat!(
                "UPDATE alerts SET absent_since = $2 WHERE absent_since IS NULL AND ended_at IS NULL AND id ",
                sql::in_array!("$1")
            ),
            &changes.absent,
        ),
        (
            // The time is bound in every statement, so that all take the same parameters.
            concat!(
                "UPDATE alerts SET absent_since = NULL WHERE ended_at IS NULL AND since <= $2 AND id ",
                sql::in_array!("$1")
            ),
            &changes.back,
        ),
        (
            concat!(
                "UPDATE alerts SET ended_at = $2, end_told_at = CASE WHEN told_at IS NULL THEN $2 ELSE NULL END,
                     text = CASE WHEN told_at IS NULL THEN '' ELSE text END,
                     url = CASE WHEN told_at IS NULL THEN NULL ELSE url END
                 WHERE ended_at IS NULL AND id ",
                sql::in_array!("$1")
            ),
            &changes.ended,
        ),
    ] {
        if !ids.is_empty() {
            sqlx::query(statement)
                .bind(serde_json::to_string(ids)?)
                .bind(now.millis())
                .execute(&mut *conn)
                .await?;
        }
    }
    Ok(())
}

async fn raise(conn: &mut Conn, alert: &NewAlert) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO alerts (key, kind, shop, owner, text, url, since, quotes)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (key) WHERE ended_at IS NULL DO NOTHING",
    )
    .bind(clean(&alert.key))
    .bind(clean(&alert.kind))
    .bind(alert.shop.as_ref().map(|shop| shop.as_str().to_owned()))
    .bind(clean(&alert.owner))
    .bind(clean(&alert.text))
    .bind(alert.url.as_deref().map(clean))
    .bind(alert.since.millis())
    .bind(i64::from(alert.quotes))
    .execute(conn)
    .await?;
    Ok(())
}

/// Says of a condition that lasts how it stands by now.
async fn renew(conn: &mut Conn, renewed: &Renewed) -> Result<(), Fault> {
    sqlx::query("UPDATE alerts SET text = $2, url = $3, quotes = $4 WHERE id = $1 AND ended_at IS NULL")
        .bind(renewed.id)
        .bind(clean(&renewed.text))
        .bind(renewed.url.as_deref().map(clean))
        .bind(i64::from(renewed.quotes))
        .execute(conn)
        .await?;
    Ok(())
}

/// Writes messages and what they tell. False, and nothing written, when some of it was told already.
pub(super) async fn tell(conn: &mut Conn, told: &AlertsTold, now: Timestamp) -> Result<bool, Fault> {
    let fresh: i64 = sqlx::query_scalar(concat!(
        "SELECT (SELECT count(*) FROM alerts WHERE told_at IS NULL AND id ",
        sql::in_array!("$1"),
        ") + (SELECT count(*) FROM alerts WHERE end_told_at IS NULL AND ended_at IS NOT NULL AND id ",
        sql::in_array!("$2"),
        ")"
    ))
    .bind(serde_json::to_string(&told.begun)?)
    .bind(serde_json::to_string(&told.ended)?)
    .fetch_one(&mut *conn)
    .await?;
    if usize::try_from(fresh).unwrap_or(0) != told.begun.len() + told.ended.len() {
        return Ok(false);
    }
    for (statement, ids) in [
        (
            concat!(
                "UPDATE alerts SET told_at = $2 WHERE told_at IS NULL AND id ",
                sql::in_array!("$1")
            ),
            &told.begun,
        ),
        (
            concat!(
                "UPDATE alerts SET end_told_at = $2, text = '', url = NULL WHERE end_told_at IS NULL AND id ",
                sql::in_array!("$1")
            ),
            &told.ended,
        ),
    ] {
        if !ids.is_empty() {
            sqlx::query(statement)
                .bind(serde_json::to_string(ids)?)
                .bind(now.millis())
                .execute(&mut *conn)
                .await?;
        }
    }
    for message in &told.messages {
        sqlx::query(
            "INSERT INTO alert_messages (dedup, channel, recipient, subject, body, created_at, next_at, quotes)
             VALUES ($1, $2, $3, $4, $5, $6, $6, $7) ON CONFLICT (dedup) DO NOTHING",
        )
        .bind(clean(&message.dedup))
        .bind(message.channel.as_str())
        .bind(clean(&message.recipient))
        .bind(clean(&message.subject))
        .bind(clean(&message.body))
        .bind(now.millis())
        .bind(serde_json::to_string(&message.quotes)?)
        .execute(&mut *conn)
        .await?;
    }
    Ok(true)
}

/// Takes messages that are due, oldest first: they are due again at `until`, unless it is said what became of them.
pub(super) async fn claim(
    conn: &mut Conn,
    now: Timestamp,
    until: Timestamp,
    limit: u32,
) -> Result<Vec<DueMessage>, Fault> {
    let rows = sqlx::query(
        "UPDATE alert_messages SET next_at = $2
         WHERE ended_at IS NULL AND next_at <= $1 AND id IN (
             SELECT id FROM alert_messages WHERE ended_at IS NULL AND next_at <= $1 ORDER BY next_at, id LIMIT $3)
         RETURNING id, dedup, channel, recipient, subject, body, quotes, created_at, tries",
    )
    .bind(now.millis())
    .bind(until.millis())
    .bind(i64::from(limit))
    .fetch_all(conn)
    .await?;
    let mut due: Vec<DueMessage> = rows.iter().map(read_due).collect::<Result<_, _>>()?;
    due.sort_by_key(|message| message.id);
    Ok(due)
}

fn channel(row: &DbRow, id: i64) -> Result<Channel, Fault> {
    Channel::parse(&row.try_get::<String, _>("channel")?).ok_or(Fault::BadRow {
        table: "alert_messages",
        row: id,
        column: "channel",
    })
}

fn read_due(row: &DbRow) -> Result<DueMessage, Fault> {
    let id: i64 = row.try_get("id")?;
    Ok(DueMessage {
        id,
        message: NewMessage {
            dedup: row.try_get("dedup")?,
            channel: channel(row, id)?,
            recipient: row.try_get("recipient")?,
            subject: row.try_get("subject")?,
            body: row.try_get("body")?,
            quotes: serde_json::from_str(&row.try_get::<String, _>("quotes")?)?,
        },
        created_at: Timestamp::from_millis(row.try_get("created_at")?),
        tries: u32::try_from(row.try_get::<i64, _>("tries")?).unwrap_or(u32::MAX),
    })
}

/// Notes what became of a message. Of one that is not sent again its words are forgotten: they may quote somebody.
pub(super) async fn end(conn: &mut Conn, id: i64, end: &MessageEnd, now: Timestamp) -> Result<(), Fault> {
    let (sent, error, next_at) = match end {
        MessageEnd::Sent => (1_i64, None, None),
        MessageEnd::Failed { error, next_at } => (0, Some(error), Some(*next_at)),
        MessageEnd::GivenUp { error } => (0, Some(error), None),
    };
    sqlx::query(
        "UPDATE alert_messages SET sent = $2, error = coalesce($3, error),
             failed_at = CASE WHEN $2 = 1 THEN failed_at ELSE $5 END,
             tries = tries + 1 - $2, next_at = coalesce($4, next_at),
             ended_at = CASE WHEN $4 IS NULL THEN $5 ELSE NULL END,
             subject = CASE WHEN $4 IS NULL THEN '' ELSE subject END, body = CASE WHEN $4 IS NULL THEN '' ELSE body END
         WHERE id = $1 AND ended_at IS NULL",
    )
    .bind(id)
    .bind(sent)
    .bind(error.map(|error| clean(error)))
    .bind(next_at.map(Timestamp::millis))
    .bind(now.millis())
    .execute(conn)
    .await?;
    Ok(())
}

/// Blanks what alerts of the shop quote of its jobs' problems, and messages that are not sent yet and quote them. What quotes
/// nobody is left: it may be the only word that something is broken.
pub(super) async fn redact(conn: &mut Conn, shop: &ShopName) -> Result<u64, Fault> {
    let alerts = sqlx::query(
        "UPDATE alerts SET text = $2, url = NULL
         WHERE shop = $1 AND quotes = 1 AND end_told_at IS NULL AND (text <> $2 OR url IS NOT NULL)",
    )
    .bind(shop.as_str())
    .bind(REMOVED)
    .execute(&mut *conn)
    .await?
    .rows_affected();
    // A name within the array. `_` fits any character: at worst a message too many is blanked.
    let quoted = format!("%{}%", serde_json::to_string(shop.as_str())?);
    let messages = sqlx::query(
        "UPDATE alert_messages SET subject = $1, body = $1
         WHERE ended_at IS NULL AND body <> $1 AND quotes LIKE $2",
    )
    .bind(REMOVED)
    .bind(quoted)
    .execute(conn)
    .await?
    .rows_affected();
    Ok(alerts + messages)
}

/// When a message to somebody was last written.
pub(super) async fn last_written(conn: &mut Conn, recipient: &str) -> Result<Option<Timestamp>, Fault> {
    let at: Option<i64> =
        sqlx::query_scalar("SELECT max(created_at) FROM alert_messages WHERE recipient = $1")
            .bind(clean(recipient))
            .fetch_one(conn)
            .await?;
    Ok(at.map(Timestamp::from_millis))
}

/// How telling people goes.
pub(super) async fn standing(conn: &mut Conn) -> Result<AlertStanding, Fault> {
    let open: i64 = sqlx::query_scalar("SELECT count(*) FROM alerts WHERE ended_at IS NULL")
        .fetch_one(&mut *conn)
        .await?;
    let (waiting, since): (i64, Option<i64>) =
        sqlx::query_as("SELECT count(*), min(created_at) FROM alert_messages WHERE ended_at IS NULL")
            .fetch_one(&mut *conn)
            .await?;
    let rows = sqlx::query(
        "SELECT f.id, f.failed_at, f.channel, f.recipient, f.error, f.ended_at
         FROM (SELECT channel, recipient, max(failed_at) AS failed_at FROM alert_messages
               WHERE failed_at IS NOT NULL AND sent = 0 GROUP BY channel, recipient) AS g
         JOIN alert_messages AS f ON f.channel = g.channel AND f.recipient = g.recipient AND f.failed_at = g.failed_at
         WHERE f.sent = 0 AND NOT EXISTS (
             SELECT 1 FROM alert_messages AS s WHERE s.sent = 1 AND s.channel = f.channel
             AND s.recipient = f.recipient AND s.ended_at > f.failed_at)
         ORDER BY f.failed_at DESC, f.id DESC",
    )
    .fetch_all(conn)
    .await?;
    let mut failures: Vec<SendFailure> = Vec::new();
    for row in &rows {
        let id = row.try_get("id")?;
        let failure = SendFailure {
            at: Timestamp::from_millis(row.try_get("failed_at")?),
            channel: channel(row, id)?,
            recipient: row.try_get("recipient")?,
            error: row.try_get::<Option<String>, _>("error")?.unwrap_or_default(),
            given_up: row.try_get::<Option<i64>, _>("ended_at")?.is_some(),
        };
        // Many that failed at the same moment are one.
        let is_known = failures
            .iter()
            .any(|known| known.channel == failure.channel && known.recipient == failure.recipient);
        if !is_known {
            failures.push(failure);
        }
    }
    Ok(AlertStanding {
        open: u64::try_from(open).unwrap_or(0),
        waiting: u64::try_from(waiting).unwrap_or(0),
        waiting_since: since.map(Timestamp::from_millis),
        failure: failures.first().cloned(),
        failures,
    })
}
