//! Rights that one holder has at a time.

use super::{Conn, sql};
use crate::domain::Timestamp;
use crate::store::fault::Fault;
use crate::store::rules::clean;

/// Takes a right, or keeps it for longer. Of many that ask at once one gets it. It ends by its time, and with the process that
/// holds it where that is known.
pub(super) async fn take(
    conn: &mut Conn,
    name: &str,
    holder: &str,
    now: Timestamp,
    until: Timestamp,
) -> Result<bool, Fault> {
    sql::end_lease_of_the_dead(conn, name, holder).await?;
    // The length is what counts: of several machines, the database's clock says when it is over.
    let taken = sqlx::query(concat!(
        "INSERT INTO leases (name, holder, until) VALUES ($1, $2, ",
        sql::seen_now!("$3"),
        " + ($4 - $3)) ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
         WHERE leases.holder = excluded.holder OR leases.until <= ",
        sql::seen_now!("$3")
    ))
    .bind(clean(name))
    .bind(clean(holder))
    .bind(now.millis())
    .bind(until.millis())
    .execute(&mut *conn)
    .await?;
    Ok(taken.rows_affected() > 0)
}

/// Gives a right back, if it is this holder's.
pub(super) async fn release(conn: &mut Conn, name: &str, holder: &str) -> Result<(), Fault> {
    sqlx::query("DELETE FROM leases WHERE name = $1 AND holder = $2")
        .bind(clean(name))
        .bind(clean(holder))
        .execute(conn)
        .await?;
    Ok(())
}
