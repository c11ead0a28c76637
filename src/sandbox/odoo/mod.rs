//! A stand-in for Odoo: the external API of versions 17, 18 and 19 on loopback, over an in-memory database.
//!
//! It plays what was observed on the real servers, traps included: errors in HTTP 200 replies, replies without a
//! result, prices that do not stick, `action_confirm` that overwrites the date, wizards instead of cancellations, the
//! tax arithmetic of both rounding methods. It also fails on demand ([`Faults`]), and keeps a [`Ledger`] of its own so
//! that tests can compare what a client believes with what the ERP holds.
//!
//! What is not here: tax reports, bank statements, stock levels, translations, rights finer than model and operation, access from anywhere
//! but 127.0.0.1. Nothing in here uses the rest of the crate, so that both cannot share a mistake.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use serde_json::Value as Json;
use tokio::net::TcpSocket;

use self::calls::{Books, Counters, Shared};
use self::db::Db;
use self::server::Process;
use self::system::{System, lock};

mod actions;
mod calls;
mod db;
mod env;
mod error;
mod external;
mod faults;
mod html;
mod http;
mod json2;
mod jsonrpc;
mod ledger;
mod load;
mod methods;
mod models;
mod options;
mod orm;
mod pages;
mod person;
mod schema;
mod seed;
mod server;
mod system;
mod value;

#[cfg(test)]
mod tests;

pub use self::error::OdooError;
pub use self::faults::{Fault, Faults, Rule, Sabotage};
pub use self::ledger::{
    InvoiceLineView, InvoiceView, Ledger, LineView, MoveView, OrderView, PartnerView, PaymentView,
    PickingView, ProductView, TaxView,
};
pub use self::options::{
    Clock, ClosedPeriod, CompanySeed, CustomField, Denied, JournalKind, JournalSeed, Options, Rounding,
    ServiceSeed, TaxSeed, Version,
};

/// Whether the server listens.
enum Listening {
    Up(Process),
    /// The port is held without listening on it.
    Down(TcpSocket),
    /// Between two states, or stopped.
    Neither,
}

/// A running stand-in ERP. Dropping it stops it.
pub struct OdooSandbox {
    shared: Arc<Shared>,
    port: u16,
    listening: Mutex<Listening>,
}

impl fmt::Debug for OdooSandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OdooSandbox")
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl OdooSandbox {
    /// Starts a stand-in on 127.0.0.1, inside the current tokio runtime.
    ///
    /// # Errors
    /// When the port is taken.
    #[expect(clippy::unused_async, reason = "asynchronous because it needs the runtime")]
    pub async fn start(options: Options) -> io::Result<Self> {
        let socket = server::reserve(options.port)?;
        let port = socket.local_addr()?.port();
        let sys = System::new(options);
        let mut db = Db::new(sys.schema());
        seed::plant(&mut db, &sys).map_err(io::Error::other)?;
        let shared = Arc::new(Shared {
            sys,
            db: Mutex::new(db),
            faults: Faults::default(),
            counters: Mutex::new(Counters::default()),
            books: Mutex::new(Books::default()),
        });
        let process = Process::start(socket, Arc::clone(&shared))?;
        Ok(Self {
            shared,
            port,
            listening: Mutex::new(Listening::Up(process)),
        })
    }

    /// Base URL, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it was started with.
    pub fn options(&self) -> &Options {
        &self.shared.sys.options
    }

    /// The first API key it was started with.
    pub fn api_key(&self) -> &str {
        self.shared
            .sys
            .options
            .api_keys
            .first()
            .map_or("", String::as_str)
    }

    /// The API user's number (`uid`).
    pub fn uid(&self) -> i64 {
        seed::API_UID
    }

    /// The ERP's own books.
    pub fn ledger(&self) -> Ledger {
        Ledger::new(Arc::clone(&self.shared))
    }

    /// Faults on demand.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// Refuses connections from now on, as a stopped server does; data and port stay. Open connections are cut, and
    /// calls that had not committed never happened.
    ///
    /// # Errors
    /// When the port cannot be kept.
    pub async fn down(&self) -> io::Result<()> {
        let before = std::mem::replace(&mut *lock(&self.listening), Listening::Neither);
        let after = match before {
            Listening::Up(process) => {
                process.kill().await;
                Listening::Down(self.keep_port().await?)
            }
            other => other,
        };
        *lock(&self.listening) = after;
        Ok(())
    }

    /// Takes the port that was just given up. Connections of the server that ended a moment ago may hold it a little longer.
    async fn keep_port(&self) -> io::Result<TcpSocket> {
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(20));
        for _ in 0..250 {
            match server::reserve(self.port) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    tick.tick().await;
                }
                done => return done,
            }
        }
        server::reserve(self.port)
    }

    /// Listens again after [`down`](Self::down).
    ///
    /// # Errors
    /// When the port cannot be listened on.
    #[expect(
        clippy::unused_async,
        reason = "asynchronous like its counterpart: it needs the runtime"
    )]
    pub async fn up(&self) -> io::Result<()> {
        let mut listening = lock(&self.listening);
        *listening = match std::mem::replace(&mut *listening, Listening::Neither) {
            Listening::Down(socket) => Listening::Up(Process::start(socket, Arc::clone(&self.shared))?),
            other => other,
        };
        Ok(())
    }

    /// Stops for good. The [`Ledger`] can still be read.
    pub async fn stop(&self) {
        let before = std::mem::replace(&mut *lock(&self.listening), Listening::Neither);
        if let Listening::Up(process) = before {
            process.kill().await;
        }
    }

    /// Replaces the API user's keys: what rotating or revoking a key does.
    pub fn set_api_keys(&self, keys: Vec<String>) {
        self.shared.sys.set_keys(keys);
    }

    /// Takes rights from the API user.
    pub fn deny(&self, denied: Denied) {
        self.shared.sys.deny(denied);
    }

    /// Gives back all rights that were taken.
    pub fn allow_all(&self) {
        self.shared.sys.allow_all();
    }

    /// Does what a person could do in the ERP: any method, as the administrator, in this process; not counted, and
    /// untouched by faults. Arguments as in JSON-RPC: positional ones (ids first), then named ones.
    ///
    /// # Errors
    /// What the method raises.
    pub fn as_admin(&self, model: &str, method: &str, args: Json, named: Json) -> Result<Json, OdooError> {
        self.carry_out(None, model, method, args, named)
    }

    /// As [`as_admin`](Self::as_admin), in a transaction that began at `began` and is committed now: what it writes becomes
    /// visible late, with a `write_date` behind that of rows which are visible already.
    ///
    /// # Errors
    /// What the method raises.
    pub fn as_admin_since(
        &self,
        began: DateTime<Utc>,
        model: &str,
        method: &str,
        args: Json,
        named: Json,
    ) -> Result<Json, OdooError> {
        self.carry_out(Some(began), model, method, args, named)
    }

    fn carry_out(
        &self,
        began: Option<DateTime<Utc>>,
        model: &str,
        method: &str,
        args: Json,
        named: Json,
    ) -> Result<Json, OdooError> {
        let args = match args {
            Json::Array(args) => args,
            other => vec![other],
        };
        let named = match named {
            Json::Object(named) => named,
            _ => value::Map::new(),
        };
        let began = began.map(|began| began.naive_utc());
        Ok(self
            .shared
            .as_admin(model, method, args, named, began)?
            .unwrap_or(Json::Null))
    }
}
