//! Failures inside an operation, before they are told to the caller as a [`StoreError`].

use crate::store::StoreError;

/// Why a step of an operation failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// The database said so.
    Sql(sqlx::Error),
    /// The database did not answer in time.
    TooLong,
    /// A row that this version cannot read.
    BadRow {
        table: &'static str,
        row: i64,
        column: &'static str,
    },
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

/// Values that go into or come out of the database as JSON.
impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self::Sql(sqlx::Error::Decode(Box::new(error)))
    }
}

impl Fault {
    /// For the caller, who tried to do this.
    pub(super) fn told(self, trying: &'static str) -> StoreError {
        match self {
            Self::BadRow { table, row, column } => StoreError::BadRow { table, row, column },
            Self::TooLong => StoreError::Unavailable {
                trying,
                source: sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()),
            },
            Self::Sql(sqlx::Error::PoolClosed) => StoreError::Closed,
            Self::Sql(source) if may_pass(&source) => StoreError::Unavailable { trying, source },
            Self::Sql(source) => StoreError::Failed { trying, source },
        }
    }

    /// Whether the database is away or has no time, so that another unit fares no better.
    pub(super) fn is_outage(&self) -> bool {
        match self {
            Self::TooLong | Self::Sql(sqlx::Error::PoolClosed) => true,
            Self::Sql(error) => may_pass(error) && !self.is_lost_race(),
            Self::BadRow { .. } => false,
        }
    }

    /// Whether a unique key stood in the way.
    pub(super) fn is_unique_violation(&self) -> bool {
        matches!(self, Self::Sql(sqlx::Error::Database(error)) if error.is_unique_violation())
    }

    /// Whether PostgreSQL gave this transaction up in favour of another one: the same may work at once.
    pub(super) fn is_lost_race(&self) -> bool {
        let Self::Sql(sqlx::Error::Database(error)) = self else {
            return false;
        };
        // Deadlock and serialization failure.
        matches!(error.code().as_deref(), Some("40P01" | "40001"))
    }
}

/// Whether the same operation may work later without anybody changing the program.
fn may_pass(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| code_may_pass(&code)),
        _ => false,
    }
}

/// SQLite: the number of the result (<https://www.sqlite.org/rescode.html>), whose last byte is the primary code.
/// PostgreSQL: five characters, the first two being the class
/// (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
fn code_may_pass(code: &str) -> bool {
    const SQLITE_BUSY: u32 = 5;
    const SQLITE_LOCKED: u32 = 6;
    const SQLITE_NOMEM: u32 = 7;
    const SQLITE_IOERR: u32 = 10;
    const SQLITE_FULL: u32 = 13;
    const SQLITE_CANTOPEN: u32 = 14;
    const SQLITE_PROTOCOL: u32 = 15;
    if code.len() == 5 {
        // Connection, no resources, operator's intervention, system error, transaction rolled back.
        return ["08", "53", "57", "58", "40"].contains(&&code[..2]);
    }
    code.parse::<u32>().is_ok_and(|number| {
        matches!(
            number & 0xff,
            SQLITE_BUSY
                | SQLITE_LOCKED
                | SQLITE_NOMEM
                | SQLITE_IOERR
                | SQLITE_FULL
                | SQLITE_CANTOPEN
                | SQLITE_PROTOCOL
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_may_pass() {
        for (code, expected) in [
            ("5", true),
            ("517", true),   // busy: snapshot
            ("13", true),    // full
            ("2067", false), // unique constraint
            ("1", false),    // error in the statement
            ("40P01", true), // deadlock
            ("57P01", true), // administrator ended the connection
            ("53300", true), // too many connections
            ("23505", false),
            ("42601", false),
        ] {
            assert_eq!(code_may_pass(code), expected, "{code}");
        }
    }
}
