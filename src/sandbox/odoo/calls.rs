//! One call from its arrival to its outcome: fault, latency, rights, transaction, sabotage.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use rust_decimal::Decimal;
use serde_json::{Value as Json, json};
use tokio_util::sync::CancellationToken;

use super::db::{Db, Row};
use super::env::{ADMIN_UID, Env, SYSTEM_UID};
use super::error::{OdooError, Res};
use super::faults::{Fault, Faults, Sabotage};
use super::methods::{self, Protocol, Signature};
use super::models;
use super::seed::API_UID;
use super::system::{System, lock};
use super::value::{Map, Val};

/// Everything that a running stand-in shares between its calls.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) sys: System,
    pub(super) db: Mutex<Db>,
    pub(super) faults: Faults,
    pub(super) counters: Mutex<Counters>,
    pub(super) books: Mutex<Books>,
}

/// How often what was called.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// By `model/method`, as they arrived (also those that a fault ate).
    pub(super) calls: BTreeMap<String, u64>,
    pub(super) authentications: u64,
    pub(super) versions: u64,
    pub(super) log: Vec<String>,
}

/// What the ERP's own books say that its API does not.
#[derive(Debug, Default)]
pub(super) struct Books {
    /// Orders that were acknowledged and dropped.
    pub(super) lost: BTreeSet<i64>,
}

/// Who calls, as far as the protocol knows.
#[derive(Debug, Clone)]
pub(super) enum Caller {
    /// JSON-RPC: a user number and a password or key.
    Secret { uid: i64, secret: String },
    /// JSON-2: a key alone.
    Key(String),
}

/// How arguments were sent.
#[derive(Debug)]
pub(super) enum Arguments {
    Positional(Vec<Json>, Map),
    Named(Map),
}

/// A model call as it arrived.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) caller: Caller,
    pub(super) model: String,
    pub(super) method: String,
    pub(super) arguments: Arguments,
}

/// What goes back.
#[derive(Debug)]
pub(super) enum Outcome {
    /// `None` is a method that returns nothing.
    Done(Option<Json>),
    Failed(OdooError),
    /// PostgreSQL is away: each protocol says so in its own way.
    NoDatabase,
    /// The connection is closed without a reply.
    Cut,
    /// Something that is not from Odoo's protocol.
    Page {
        status: u16,
        html: bool,
        body: String,
        retry_after: Option<u32>,
    },
}

impl Call {
    fn protocol(&self) -> Protocol {
        match self.arguments {
            Arguments::Positional(..) => Protocol::JsonRpc,
            Arguments::Named(_) => Protocol::Json2,
        }
    }

    /// How many rows or records it saves or acts on; none where it only reads.
    fn rows(&self) -> u32 {
        let (at, name) = match self.method.as_str() {
            "load" => (1, "data"),
            "create" => (0, "vals_list"),
            "write" | "web_save" => (0, "ids"),
            method if method.starts_with("action_") => (0, "ids"),
            _ => return 0,
        };
        let rows = match &self.arguments {
            Arguments::Positional(arguments, named) => arguments.get(at).or_else(|| named.get(name)),
            Arguments::Named(named) => named.get(name),
        };
        // One record may stand without a list.
        let rows = rows.map_or(0, |rows| rows.as_array().map_or(1, Vec::len)).max(1);
        u32::try_from(rows).unwrap_or(u32::MAX)
    }
}

/// A fault for a service beside the models (`common`, `web`), as an outcome; `None` lets the call pass.
pub(super) async fn service_fault(shared: &Shared, service: &str, method: &str) -> Option<Outcome> {
    match shared.faults.take(service, method)? {
        Fault::Delay(time) | Fault::ApplyLate(time) => {
            tokio::time::sleep(time).await;
            None
        }
        fault => Some(without_applying(shared, fault)),
    }
}

/// Runs one call. Cancelling `server` is the process being killed: what was not committed never happened.
pub(super) async fn run(shared: &Shared, server: &CancellationToken, call: Call) -> Outcome {
    shared.count(&call);
    let snapshot = lock(&shared.db).commits;
    let arrived = (shared.sys.options.clock)().naive_utc();
    let fault = shared.faults.take(&call.model, &call.method);
    let (before, after) = match &fault {
        Some(Fault::ApplyLate(time)) => (*time, Duration::ZERO),
        Some(Fault::Delay(time)) => (Duration::ZERO, *time),
        _ => (Duration::ZERO, Duration::ZERO),
    };
    let applies = !matches!(&fault, Some(fault) if !fault.applies());
    let work = async {
        shared.faults.pass_gate().await;
        let options = &shared.sys.options;
        pause(options.latency + options.row_latency * call.rows() + before).await;
        if !applies {
            return None;
        }
        let outcome = shared.apply(&call, arrived, snapshot);
        if !before.is_zero() {
            shared.faults.note_landed();
        }
        pause(after).await;
        Some(outcome)
    };
    let outcome = tokio::select! {
        () = server.cancelled() => return Outcome::Cut,
        outcome = work => outcome,
    };
    match (fault, outcome) {
        (Some(Fault::CloseAfter), _) | (None, None) => Outcome::Cut,
        (Some(Fault::HttpAfter(status)), _) => proxy_page(status, None),
        (_, Some(outcome)) => outcome,
        (Some(fault), None) => without_applying(shared, fault),
    }
}

async fn pause(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

impl Fault {
    /// Whether the call is carried out all the same.
    fn applies(&self) -> bool {
        matches!(
            self,
            Self::CloseAfter | Self::Delay(_) | Self::ApplyLate(_) | Self::HttpAfter(_)
        )
    }
}

fn without_applying(shared: &Shared, fault: Fault) -> Outcome {
    let page = |html, body| Outcome::Page {
        status: 200,
        html,
        body,
        retry_after: None,
    };
    match fault {
        Fault::Http { status, retry_after } => proxy_page(status, retry_after),
        Fault::HttpAfter(status) => proxy_page(status, None),
        Fault::Serialization => Outcome::Failed(OdooError::serialization()),
        Fault::PostgresDown => Outcome::NoDatabase,
        Fault::ConnectionLost => Outcome::Failed(OdooError::connection_lost()),
        Fault::ExpiredKey => Outcome::Failed(OdooError::access_denied()),
        Fault::LoginPage => page(true, super::pages::LOGIN.to_owned()),
        Fault::Garbage => page(false, "\u{1}{\"jsonrpc\": \"2.0\", \"result\": [tru".to_owned()),
        Fault::HugeBody(bytes) => page(false, format!("\"{}\"", "x".repeat(bytes))),
        Fault::Error(error) => Outcome::Failed(error),
        Fault::Question => Outcome::Done(Some(json!({
            "name": "Are you sure?", "type": "ir.actions.act_window", "view_mode": "form",
            "res_model": "confirm.wizard", "target": "new",
        }))),
        Fault::CloseBefore | Fault::CloseAfter | Fault::Delay(_) | Fault::ApplyLate(_) => {
            tracing::trace!(database = shared.sys.options.database, "connection cut on demand");
            Outcome::Cut
        }
    }
}

fn proxy_page(status: u16, retry_after: Option<u32>) -> Outcome {
    Outcome::Page {
        status,
        html: true,
        body: super::pages::proxy(status),
        retry_after,
    }
}

impl Shared {
    fn count(&self, call: &Call) {
        let mut counters = lock(&self.counters);
        let name = format!("{}/{}", call.model, call.method);
        counters.log.push(name.clone());
        *counters.calls.entry(name).or_insert(0) += 1;
    }

    fn apply(&self, call: &Call, now: chrono::NaiveDateTime, snapshot: u64) -> Outcome {
        if self.faults.is_postgres_down() {
            return Outcome::NoDatabase;
        }
        let done = self.user(&call.caller).and_then(|uid| {
            let (outcome, _) = self.execute(uid, call, now, snapshot);
            outcome
        });
        match done {
            Ok(json) => Outcome::Done(json),
            Err(error) => Outcome::Failed(error),
        }
    }

    /// Does something as the administrator, in this process, uncounted and untouched by faults; in a transaction that began
    /// now, or earlier.
    pub(super) fn as_admin(
        &self,
        model: &str,
        method: &str,
        args: Vec<Json>,
        named: Map,
        began: Option<chrono::NaiveDateTime>,
    ) -> Res<Option<Json>> {
        let call = Call {
            caller: Caller::Key(String::new()),
            model: model.to_owned(),
            method: method.to_owned(),
            arguments: Arguments::Positional(args, named),
        };
        let now = began.unwrap_or_else(|| (self.sys.options.clock)().naive_utc());
        let snapshot = lock(&self.db).commits;
        self.execute(ADMIN_UID, &call, now, snapshot).0
    }

    /// The user behind a caller's credentials.
    fn user(&self, caller: &Caller) -> Res<i64> {
        let own = API_UID;
        match caller {
            Caller::Secret { uid, secret } => {
                if !lock(&self.db).exists("res.users", *uid) {
                    return Err(OdooError::missing("res.users", *uid, *uid));
                }
                if *uid == own && self.accepts(secret) {
                    Ok(own)
                } else {
                    Err(OdooError::access_denied())
                }
            }
            Caller::Key(key) if self.sys.is_key(key) && !self.faults.are_keys_expired() => Ok(own),
            Caller::Key(_) => Err(OdooError::unauthorized()),
        }
    }

    /// Whether a secret is the API user's password or one of its keys.
    fn accepts(&self, secret: &str) -> bool {
        let known = secret == self.sys.options.password || self.sys.is_key(secret);
        known && !self.faults.are_keys_expired()
    }

    /// The number of the API user; `None` for a wrong login or secret.
    pub(super) fn authenticate(&self, login: &str, secret: &str) -> Option<i64> {
        (login == self.sys.options.login && self.accepts(secret)).then_some(API_UID)
    }

    /// One transaction.
    fn execute(
        &self,
        uid: i64,
        call: &Call,
        now: chrono::NaiveDateTime,
        snapshot: u64,
    ) -> (Res<Option<Json>>, bool) {
        let mut db = lock(&self.db);
        let start = db.savepoint();
        let mut env = Env::new(&mut db, &self.sys, uid, now, snapshot);
        let outcome = dispatch(&mut env, call);
        let (created, confirmed) = (
            std::mem::take(&mut env.created_orders),
            std::mem::take(&mut env.confirmed_orders),
        );
        let fields_changed = env.fields_changed && outcome.is_ok();
        if outcome.is_err() {
            db.rollback(start);
        }
        if fields_changed {
            let env = Env::new(&mut db, &self.sys, SYSTEM_UID, now, snapshot);
            self.sys.declare(&models::register::custom_fields(&env));
        }
        let wrote = db.is_dirty();
        db.commit();
        if outcome.is_ok() {
            self.strike(&mut db, now, &created, &confirmed);
        }
        (outcome, wrote)
    }

    /// Carries out armed sabotage on an order that was just acknowledged.
    fn strike(&self, db: &mut Db, now: chrono::NaiveDateTime, created: &[i64], confirmed: &[i64]) {
        let Some(sabotage) = self
            .faults
            .take_sabotage(!created.is_empty(), !confirmed.is_empty())
        else {
            return;
        };
        let snapshot = db.commits;
        let mut env = Env::new(db, &self.sys, SYSTEM_UID, now, snapshot);
        match (sabotage, created.first(), confirmed.first()) {
            (Sabotage::Lose, Some(order), _) => drop(lock(&self.books).lost.insert(*order)),
            (Sabotage::Double, Some(order), _) => copy_order(&mut env, *order),
            (Sabotage::Cent, _, Some(order)) => {
                env.db.bends.insert(*order, Decimal::new(1, 2));
                models::amounts::compute(&mut env, *order);
            }
            _ => {}
        }
        db.commit();
    }
}

fn dispatch(env: &mut Env<'_>, call: &Call) -> Res<Option<Json>> {
    let protocol = call.protocol();
    if call.method.starts_with('_') {
        return Err(OdooError::access(format!(
            "Private methods (such as '{}.{}') cannot be called remotely.",
            call.model, call.method
        )));
    }
    let Some(model) = env.schema.model(&call.model) else {
        return Err(match protocol {
            Protocol::JsonRpc => OdooError::user(format!("Object {} doesn't exist", call.model)),
            Protocol::Json2 => OdooError::not_found(format!("the model '{}' does not exist", call.model)),
        });
    };
    let Some(signature) = Signature::find(env.version(), model.name, &call.method) else {
        let text = format!("The method '{}.{}' does not exist", model.name, call.method);
        return Err(match protocol {
            Protocol::JsonRpc => OdooError::attribute(text),
            Protocol::Json2 => OdooError::not_found(text),
        });
    };
    let mut bound = match &call.arguments {
        Arguments::Positional(args, named) => signature.bind_positional(&call.method, args, named.clone())?,
        Arguments::Named(body) => signature.bind_named(body.clone())?,
    };
    env.enter(std::mem::take(&mut bound.context))?;
    methods::run(env, protocol, model, &call.method, &bound)
}

/// Stores an order a second time, lines and all, without external ids.
fn copy_order(env: &mut Env<'_>, order: i64) {
    let Some(row) = env.row("sale.order", order).cloned() else {
        return;
    };
    let number = env.db.next_number("sale.order");
    let mut copy: Row = row;
    copy.insert("name", Val::Text(format!("S{number:05}")));
    let copied = env.insert("sale.order", copy);
    for line in env.db.children("sale.order.line", "order_id", order) {
        if let Some(mut row) = env.row("sale.order.line", line).cloned() {
            row.insert("order_id", Val::Int(copied));
            env.insert("sale.order.line", row);
        }
    }
}
