//! Making due what waits until later: an endpoint goes on, or the clock was set back. A million may wait: it goes in steps, each a
//! transaction of its own, and a step is bounded by what it looks at.

use std::time::Duration;

use super::{Conn, held, sql};
use crate::domain::{LONGEST_RETRY_WAIT, Timestamp};
use crate::store::fault::Fault;
use crate::store::rules::clean;

/// How many dispatches one step looks at.
const STEP: i64 = if cfg!(test) { 3 } else { 2_000 };

/// No claim holds for longer: an attempt may take a minute, and a claim a little longer.
const LONGEST_CLAIM: Duration = Duration::from_secs(300);

/// `$1`: endpoint, `$2`: priority, `$3` and `$4`: due after then, and the number of the last that was looked at, `$5`: at most so
/// many: `[id, due_at, tries]`, in their order.
pub(in super::super) const LATER: &str = "
    SELECT id, due_at, tries FROM dispatches
    WHERE endpoint = $1 AND priority = $2 AND state = 'waiting' AND (due_at, id) > ($3, $4)
    ORDER BY due_at, id LIMIT $5";

/// What is to be due now of what waits until later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    /// All of it.
    Every,
    /// What only a clock that was ahead can have put off: what was not tried yet, and what waits for very long. What a receiver that
    /// asked for rest is not sent before its end is seen to by who sends.
    PutOff,
}

/// How far it has come.
#[derive(Clone, Debug)]
pub(in super::super) struct Hastening {
    which: Which,
    now: Timestamp,
    /// What is left: an endpoint, a priority, and after which time and number.
    left: Vec<(String, i64, i64, i64)>,
}

impl Hastening {
    fn of(endpoints: &[String], which: Which, now: Timestamp) -> Self {
        let left = endpoints
            .iter()
            .flat_map(|name| (0..=2).map(|priority| (clean(name), priority, now.millis(), i64::MAX)))
            .collect();
        Self { which, now, left }
    }

    /// Of all that waits for an endpoint.
    pub(in super::super) fn of_endpoint(name: &str, now: Timestamp) -> Self {
        Self::of(&[name.to_owned()], Which::Every, now)
    }

    /// Whether nothing is left.
    pub(in super::super) fn is_over(&self) -> bool {
        self.left.is_empty()
    }
}

/// What a clock that was set back to `now` has put off. Claims that only it holds end soon.
pub(in super::super) async fn put_off(conn: &mut Conn, now: Timestamp) -> Result<Hastening, Fault> {
    sqlx::query("UPDATE dispatches SET claimed_until = $1 WHERE state = 'sending' AND claimed_until > $1")
        .bind(now.plus(LONGEST_CLAIM).millis())
        .execute(&mut *conn)
        .await?;
    let names: Vec<String> = sqlx::query_scalar("SELECT name FROM endpoints ORDER BY name")
        .fetch_all(conn)
        .await?;
    Ok(Hastening::of(&names, Which::PutOff, now))
}

/// One step.
pub(in super::super) async fn step(conn: &mut Conn, mut hastening: Hastening) -> Result<Hastening, Fault> {
    let Some((endpoint, priority, after, id)) = hastening.left.pop() else {
        return Ok(hastening);
    };
    held(conn, &[endpoint.as_str()]).await?;
    let rows: Vec<(i64, i64, i64)> = sqlx::query_as(LATER)
        .bind(&endpoint)
        .bind(priority)
        .bind(after)
        .bind(id)
        .bind(STEP)
        .fetch_all(&mut *conn)
        .await?;
    let latest = hastening.now.plus(LONGEST_RETRY_WAIT).millis();
    let ids: Vec<i64> = rows
        .iter()
        .filter(|(_, due_at, tries)| hastening.which == Which::Every || *tries == 0 || *due_at > latest)
        .map(|(id, ..)| *id)
        .collect();
    if !ids.is_empty() {
        sqlx::query(concat!(
            "UPDATE dispatches SET due_at = $2 WHERE state = 'waiting' AND due_at > $2 AND id ",
            sql::in_array!("$1")
        ))
        .bind(serde_json::to_string(&ids)?)
        .bind(hastening.now.millis())
        .execute(conn)
        .await?;
    }
    if let Some((id, due_at, _)) = rows.last()
        && i64::try_from(rows.len()).is_ok_and(|looked| looked >= STEP)
    {
        hastening.left.push((endpoint, priority, *due_at, *id));
    }
    Ok(hastening)
}
