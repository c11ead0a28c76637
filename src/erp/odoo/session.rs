//! The conversation with one Odoo server: login, pace, context, and what each failure means.
//!
//! Promises: the password check that Odoo makes on `authenticate` (more than a second of its CPU) is paid once, however
//! many workers start together; a refused key is read again from its file and tried once more before anybody is told;
//! every call carries language, time zone and company; no answer to a write is told apart from no answer to a read.
//! Absent: any knowledge of models beyond what a login needs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use secrecy::ExposeSecret as _;
use serde_json::Value;
use tokio::sync::Mutex as AsyncMutex;
use tracing::Instrument as _;

use super::call::Call;
use super::fault::Meaning;
use super::login::{Login, Refusal};
use super::nonsense;
use super::settings::Settings;
use super::turns::{self, Turn, Turns};
use super::wire::{self, Reply};
use crate::domain::{SharedClock, ShopName, System, Timestamp};
use crate::erp::ErpError;
use crate::secret::Secret;
use crate::telemetry::{
    self,
    calls::{self, UnderWay},
};
use crate::transport::{self, Answer, BuildError, Client, Failure};

/// A server, and our login there.
pub(super) struct Session {
    shop: ShopName,
    settings: Settings,
    base: String,
    client: Client,
    pub(super) secret: Secret,
    clock: SharedClock,
    turns: Turns,
    pub(super) login: RwLock<Option<Arc<Login>>>,
    /// Held while logging in, so that only one does; remembers the last refusal.
    pub(super) entrance: AsyncMutex<Option<Refusal>>,
    /// Whether anything ever worked: then a missing database is one that is away for a moment.
    worked: AtomicBool,
    /// Whether the server may have another version by now than the login knows.
    doubted: AtomicBool,
    calls: Mutex<BTreeMap<String, u64>>,
}

impl Session {
    pub(super) fn new(
        settings: Settings,
        secret: Secret,
        connection: &transport::Settings,
        shop: ShopName,
        clock: SharedClock,
    ) -> Result<Self, BuildError> {
        if let Some((key, reason)) = settings.faults().into_iter().next() {
            return Err(BuildError::Invalid {
                what: key.to_owned(),
                reason,
            });
        }
        let turns = Turns::new(settings.max_concurrent_calls as usize, settings.calls_per_second);
        Ok(Self {
            shop,
            base: settings.url.trim_end_matches('/').to_owned(),
            client: Client::new(connection)?,
            secret,
            clock,
            turns,
            login: RwLock::new(None),
            entrance: AsyncMutex::new(None),
            worked: AtomicBool::new(false),
            doubted: AtomicBool::new(false),
            calls: Mutex::new(BTreeMap::new()),
            settings,
        })
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How many calls that give way may run at the same time.
    pub(super) fn lesser_slots(&self) -> usize {
        turns::lesser(self.settings.max_concurrent_calls as usize)
    }

    pub(super) fn shop(&self) -> &ShopName {
        &self.shop
    }

    pub(super) fn base(&self) -> &str {
        &self.base
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The login, if there is one already.
    pub(super) fn known_login(&self) -> Option<Arc<Login>> {
        self.login.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The next call asks the server for its version first: it may have been upgraded under us.
    pub(super) fn doubt_version(&self) {
        self.doubted.store(true, Ordering::Relaxed);
    }

    /// Whether the version is doubted. Only the first who asks is told so.
    pub(super) fn take_doubt(&self) -> bool {
        self.doubted.swap(false, Ordering::Relaxed)
    }

    /// Calls made so far, by method.
    pub(super) fn calls(&self) -> Vec<(String, u64)> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls
            .iter()
            .map(|(method, count)| (method.clone(), *count))
            .collect()
    }

    #[cfg(test)]
    pub(super) fn forget_that_it_worked(&self) {
        self.worked.store(false, Ordering::Relaxed);
    }

    /// Carries out a call. A refused key is read again and tried once more.
    pub(super) async fn call(&self, call: &Call) -> Result<Value, ErpError> {
        let login = self.login().await?;
        // Boxed, or every operation that makes calls would be a future of many kilobytes.
        match Box::pin(self.exchange(&login, call)).await {
            Err(ErpError::Refused { .. }) => {
                let login = self.renew(&login).await?;
                Box::pin(self.exchange(&login, call)).await
            }
            other => other,
        }
    }

    /// Carries out a call that is only made when it is its turn, which may be seconds later: whoever wanted it may be gone by
    /// then. None, and nothing is sent, when there is nothing to call any more. What the call was made of comes back with
    /// its answer.
    pub(super) async fn call_in_turn<T: Send>(
        &self,
        make: impl FnOnce() -> Option<(Call, T)> + Send,
    ) -> Option<Result<(Value, T), ErpError>> {
        // Before the turn: whoever logs in needs turns, too.
        let login = match self.login().await {
            Ok(login) => login,
            Err(error) => return Some(Err(error)),
        };
        let turn = self.turns.next().await;
        let (call, made_of) = make()?;
        let answer = match Box::pin(self.exchange_in(Some(turn), &login, &call)).await {
            Err(ErpError::Refused { .. }) => match self.renew(&login).await {
                Ok(login) => Box::pin(self.exchange(&login, &call)).await,
                Err(error) => Err(error),
            },
            other => other,
        };
        Some(answer.map(|value| (value, made_of)))
    }

    /// Fetches JSON from a page that needs no login.
    pub(super) async fn get(&self, name: &'static str, path: &str) -> Result<Value, ErpError> {
        let mut under_way = calls::begin(System::Erp, || name.to_owned());
        let result = self.page(name, path, &mut under_way).await;
        under_way.ended(outcome(&result));
        self.count_failure(name, result.as_ref().err());
        result
    }

    async fn page(
        &self,
        name: &'static str,
        path: &str,
        under_way: &mut UnderWay,
    ) -> Result<Value, ErpError> {
        let url = format!("{}{path}", self.base);
        let answer = self.timed(None, name, || self.client.get(&url), under_way).await;
        let answer = answer.map_err(ErpError::Unreachable)?;
        if !(200..300).contains(&answer.status()) {
            return Err(ErpError::Unreachable(answer.failure(self.now())));
        }
        let body = answer.json(self.now()).map_err(ErpError::Unreachable)?;
        serde_json::from_slice(body).map_err(|_| nonsense(path, "GET", "it is not valid JSON"))
    }

    /// Calls a JSON-RPC service that is not about a model.
    pub(super) async fn service(
        &self,
        service: &'static str,
        method: &'static str,
        args: &Value,
    ) -> Result<Value, ErpError> {
        let mut under_way = calls::begin(System::Erp, || format!("{method} {service}"));
        let result = self.ask_service(service, method, args, &mut under_way).await;
        under_way.ended(outcome(&result));
        self.count_failure(method, result.as_ref().err());
        result
    }

    async fn ask_service(
        &self,
        service: &'static str,
        method: &'static str,
        args: &Value,
        under_way: &mut UnderWay,
    ) -> Result<Value, ErpError> {
        let body = wire::json_rpc(service, method, args);
        let url = format!("{}/jsonrpc", self.base);
        let answer = self
            .timed(None, method, || self.client.post(&url).json(&body), under_way)
            .await;
        let answer = answer.map_err(ErpError::Unreachable)?;
        let json = answer.json(self.now()).map_err(ErpError::Unreachable)?;
        let reply = wire::read_json_rpc(answer.status(), json)
            .map_err(|reason| nonsense(service, method, &reason))?;
        self.judge(reply, 0, service, method, None).await
    }

    /// One call with one login, as it is.
    pub(super) async fn exchange(&self, login: &Login, call: &Call) -> Result<Value, ErpError> {
        self.exchange_in(None, login, call).await
    }

    /// The same, in a turn that may have come already.
    async fn exchange_in(
        &self,
        turn: Option<Turn<'_>>,
        login: &Login,
        call: &Call,
    ) -> Result<Value, ErpError> {
        let request = || {
            if login.json2 {
                self.client
                    .post(&format!("{}/json/2/{}/{}", self.base, call.model, call.method))
                    .header("X-Odoo-Database", &self.settings.database)
                    .bearer_auth(login.key.expose_secret())
                    .json(&wire::json2_call(call, &login.context))
            } else {
                let body = wire::json_rpc_call(
                    &self.settings.database,
                    login.uid,
                    &login.key,
                    call,
                    &login.context,
                );
                self.client.post(&format!("{}/jsonrpc", self.base)).json(&body)
            }
        };
        let span =
            tracing::debug_span!("erp call", shop = %self.shop, model = %call.model, method = call.method);
        let mut under_way = calls::begin(System::Erp, || format!("{} {}", call.method, call.model));
        let answer = self
            .timed(turn, call.method, request, &mut under_way)
            .instrument(span)
            .await;
        let result = self.understand(login, call, answer).await;
        under_way.ended(outcome(&result));
        self.count_failure(call.method, result.as_ref().err());
        result
    }

    pub(super) fn count_failure(&self, method: &'static str, error: Option<&ErpError>) {
        if let Some(error) = error {
            metrics::counter!(
                telemetry::ERP_ERRORS,
                "shop" => self.shop.to_string(), "method" => method, "code" => error.code()
            )
            .increment(1);
        }
    }

    async fn understand(
        &self,
        login: &Login,
        call: &Call,
        answer: Result<Answer, Failure>,
    ) -> Result<Value, ErpError> {
        let (model, method) = (call.model.as_str(), call.method);
        let now = self.now();
        let answer = match answer {
            Ok(answer) => answer,
            Err(failure) => return Err(self.without_data(login, call, failure).await),
        };
        let body = match answer.json(now) {
            Ok(body) => body,
            Err(failure) => return Err(self.without_data(login, call, failure).await),
        };
        let reply = if login.json2 {
            wire::read_json2(answer.status(), body)
        } else {
            wire::read_json_rpc(answer.status(), body)
        };
        let reply = reply.map_err(|reason| nonsense(model, method, &reason))?;
        let mut result = self
            .judge(reply, login.uid, model, method, answer.retry_after(now))
            .await;
        if let (true, Err(ErpError::Refused { message })) = (login.json2, &mut result) {
            message.push_str(
                "; JSON-2 takes API keys only, no passwords, and an expired key looks like a wrong one",
            );
        }
        result
    }

    /// What it means that something else than data came, or nothing at all.
    async fn without_data(&self, login: &Login, call: &Call, failure: Failure) -> ErpError {
        match failure {
            // JSON-2 answers so when no database can be chosen: a wrong name, or PostgreSQL is down.
            Failure::Page { status: 404, .. } if login.json2 => self.no_database().await,
            Failure::Page { status: 413, .. } => ErpError::Rejected {
                model: call.model.clone(),
                method: call.method.to_owned(),
                message: "the request is larger than the server or a proxy before it allows".to_owned(),
            },
            // Odoo itself never answers a call with a page. One that speaks of this very request, from a server that has
            // worked, is somebody's filter in between: this job's failure and no outage.
            Failure::Page { status, .. }
                if self.worked.load(Ordering::Relaxed) && speaks_of_the_request(status) =>
            {
                ErpError::Rejected {
                    model: call.model.clone(),
                    method: call.method.to_owned(),
                    message: format!(
                        "a page with HTTP {status} came instead of an answer; a firewall or proxy before the ERP may have \
                         refused the request for something in it"
                    ),
                }
            }
            // A crash on the way, most likely over this call: tried again, but counted.
            Failure::Page { status: 500, .. } if self.worked.load(Ordering::Relaxed) => {
                if call.writes {
                    ErpError::Unknown {
                        model: call.model.clone(),
                        method: call.method.to_owned(),
                        source: failure,
                    }
                } else {
                    nonsense(&call.model, call.method, "it is a page with HTTP 500")
                }
            }
            failure if call.writes && failure.outcome_unknown() => ErpError::Unknown {
                model: call.model.clone(),
                method: call.method.to_owned(),
                source: failure,
            },
            failure => ErpError::Unreachable(failure),
        }
    }

    async fn judge(
        &self,
        reply: Reply,
        uid: i64,
        model: &str,
        method: &str,
        retry_after: Option<Duration>,
    ) -> Result<Value, ErpError> {
        match reply {
            Reply::Value(value) => {
                if uid != 0 {
                    self.worked.store(true, Ordering::Relaxed);
                }
                Ok(value)
            }
            Reply::Fault(fault) => match fault.meaning(uid) {
                Meaning::NoDatabase => Err(self.no_database().await),
                meaning => Err(fault.into_error(meaning, model, method, retry_after)),
            },
        }
    }

    /// Tells a wrong database name from a database that is down.
    async fn no_database(&self) -> ErpError {
        let down = ErpError::Down { retry_after: None };
        if self.worked.load(Ordering::Relaxed) || self.database_server_is_up().await == Some(false) {
            return down;
        }
        ErpError::Misconfigured {
            message: format!(
                "there is no database `{}` on that server (or the address leads to something else than Odoo)",
                self.settings.database
            ),
        }
    }

    /// Asks Odoo whether its database server answers; `None` when it does not say.
    async fn database_server_is_up(&self) -> Option<bool> {
        let url = format!("{}/web/health?db_server_status=1", self.base);
        let mut under_way = calls::begin(System::Erp, || "health".to_owned());
        let answer = self
            .timed(None, "health", || self.client.get(&url), &mut under_way)
            .await;
        // A proxy answers, too, with a page or another status, while Odoo itself is away.
        let is_ok = answer
            .as_ref()
            .is_ok_and(|answer| (200..300).contains(&answer.status()) && answer.json(self.now()).is_ok());
        under_way.ended(if is_ok { "ok" } else { "erp_unreachable" });
        let answer = answer.ok()?;
        let health: Value = serde_json::from_slice(answer.json(self.now()).ok()?).ok()?;
        health["db_server_status"].as_bool()
    }

    /// Sends a request in its turn, counts it and measures it.
    async fn timed(
        &self,
        turn: Option<Turn<'_>>,
        method: &'static str,
        request: impl FnOnce() -> reqwest::RequestBuilder,
        under_way: &mut UnderWay,
    ) -> Result<Answer, Failure> {
        let _turn = match turn {
            Some(turn) => turn,
            None => self.turns.next().await,
        };
        *self
            .calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(method.to_owned())
            .or_default() += 1;
        let started = Instant::now();
        under_way.sent();
        let answer = self.client.send(request()).await;
        under_way.answered();
        let outcome = match &answer {
            Ok(answer) if answer.status() < 400 => "answered",
            Ok(_) => "refused",
            Err(_) => "failed",
        };
        metrics::histogram!(
            telemetry::ERP_CALL_SECONDS,
            "shop" => self.shop.to_string(), "method" => method, "outcome" => outcome
        )
        .record(started.elapsed().as_secs_f64());
        answer
    }
}

/// What came of a call, in a word.
fn outcome(result: &Result<Value, ErpError>) -> &'static str {
    result.as_ref().map_or_else(ErpError::code, |_| "ok")
}

/// Whether a page with this status is about the request rather than about the server or its address.
const fn speaks_of_the_request(status: u16) -> bool {
    matches!(status, 400..=499) && !matches!(status, 401 | 404 | 407 | 408 | 413 | 425 | 429)
}
