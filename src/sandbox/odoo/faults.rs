//! Faults on demand: what the next calls meet, and what an untrustworthy ERP does behind its client's back.
//!
//! Rules are looked at in the order they were added; the first that fits a call and has turns left is used. A rule
//! without a model or method fits every model call, but not `common` (`version`, `authenticate`) or `web` (pages):
//! name those as the model to reach them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::error::OdooError;
use super::system::lock;

/// What happens to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The connection is closed without a reply; nothing was done.
    CloseBefore,
    /// The call is carried out and committed, then the connection is closed without a reply.
    CloseAfter,
    /// The call is carried out at once, its reply is held back this long.
    Delay(Duration),
    /// The call is carried out only after this long, even when the client has left by then.
    ApplyLate(Duration),
    /// A proxy in front answers with this status and an HTML page; nothing was done.
    Http {
        /// 429, 502, 503, 504…
        status: u16,
        /// Seconds in `Retry-After`.
        retry_after: Option<u32>,
    },
    /// The call is carried out, then the proxy answers with this status and an HTML page.
    HttpAfter(u16),
    /// PostgreSQL gave up after concurrent updates; rolled back.
    Serialization,
    /// PostgreSQL cannot be reached; nothing was done.
    PostgresDown,
    /// The database connection was lost in the middle; rolled back.
    ConnectionLost,
    /// The key is taken for a wrong one.
    ExpiredKey,
    /// A page to log in on, as `200 text/html`.
    LoginPage,
    /// `200 application/json` with a body that is no JSON.
    Garbage,
    /// `200 application/json` with a body of about this many bytes.
    HugeBody(usize),
    /// Any exception of the server; rolled back.
    Error(OdooError),
    /// A window with a question to the user is the answer, and nothing is done.
    Question,
}

/// When a fault strikes.
#[derive(Debug, Clone)]
pub struct Rule {
    fault: Fault,
    model: Option<String>,
    method: Option<String>,
    skip: u32,
    left: Option<u32>,
}

impl Rule {
    /// Strikes the next model call, once.
    pub fn new(fault: Fault) -> Self {
        Self {
            fault,
            model: None,
            method: None,
            skip: 0,
            left: Some(1),
        }
    }

    /// Only calls on this model; `common` and `web` are the services beside the models.
    #[must_use]
    pub fn model(mut self, model: &str) -> Self {
        self.model = Some(model.to_owned());
        self
    }

    /// Only calls of this method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    /// Lets so many fitting calls pass first.
    #[must_use]
    pub fn skip(mut self, calls: u32) -> Self {
        self.skip = calls;
        self
    }

    /// Strikes so many times.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.left = Some(times);
        self
    }

    /// Strikes until the faults are cleared.
    #[must_use]
    pub fn always(mut self) -> Self {
        self.left = None;
        self
    }

    fn fits(&self, model: &str, method: &str) -> bool {
        let service = ["common", "web"].contains(&model);
        let model_fits = self.model.as_deref().map_or(!service, |wanted| wanted == model);
        model_fits && self.method.as_deref().is_none_or(|wanted| wanted == method)
    }
}

/// What an ERP does that cannot be trusted. Each strikes once, and only the ERP's own ledger shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// The next order that is created is acknowledged and answers every call, but is not in the books.
    Lose,
    /// The next order that is created is stored a second time.
    Double,
    /// The next order that is confirmed comes to a cent more, once the confirmation was answered.
    Cent,
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<Rule>,
    fired: Vec<(String, Fault)>,
    postgres_down: bool,
    keys_expired: bool,
    sabotage: Vec<Sabotage>,
}

/// The switchboard of a running stand-in.
#[derive(Debug, Default)]
pub struct Faults {
    state: Mutex<State>,
    /// Whether arriving calls wait.
    gate: watch::Sender<bool>,
    waiting: AtomicUsize,
    /// Late calls that have taken effect.
    landed: AtomicUsize,
}

impl Faults {
    /// Strikes the next model call.
    pub fn next(&self, fault: Fault) {
        self.add(Rule::new(fault));
    }

    /// Strikes the next `times` model calls.
    pub fn next_n(&self, times: u32, fault: Fault) {
        self.add(Rule::new(fault).times(times));
    }

    /// Strikes the next call of one method.
    pub fn on(&self, model: &str, method: &str, fault: Fault) {
        self.add(Rule::new(fault).model(model).method(method));
    }

    /// Adds a rule.
    pub fn add(&self, rule: Rule) {
        lock(&self.state).rules.push(rule);
    }

    /// Takes PostgreSQL away, or gives it back: for all calls and the health page.
    pub fn set_postgres_down(&self, down: bool) {
        lock(&self.state).postgres_down = down;
    }

    /// Takes all keys and passwords for wrong ones, or stops doing so.
    pub fn set_keys_expired(&self, expired: bool) {
        lock(&self.state).keys_expired = expired;
    }

    /// Makes model calls wait after they arrived and before they do anything, so that they overlap for certain.
    pub fn hold(&self) {
        self.gate.send_replace(true);
    }

    /// Lets all held calls go on.
    pub fn release(&self) {
        self.gate.send_replace(false);
    }

    /// How many calls wait at the moment.
    pub fn held(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// How many calls of [`Fault::ApplyLate`] have taken effect so far.
    pub fn landed(&self) -> usize {
        self.landed.load(Ordering::SeqCst)
    }

    pub(super) fn note_landed(&self) {
        self.landed.fetch_add(1, Ordering::SeqCst);
    }

    /// Arms a sabotage; several of them strike one after the other.
    pub fn sabotage(&self, sabotage: Sabotage) {
        lock(&self.state).sabotage.push(sabotage);
    }

    /// Removes all rules and switches, disarms sabotage that has not struck, and releases held calls.
    pub fn clear(&self) {
        self.release();
        let mut state = lock(&self.state);
        let fired = std::mem::take(&mut state.fired);
        *state = State {
            fired,
            ..State::default()
        };
    }

    /// The faults that struck, each with its `model/method`, in order.
    pub fn fired(&self) -> Vec<(String, Fault)> {
        lock(&self.state).fired.clone()
    }

    /// Rules that still have turns left.
    pub fn pending(&self) -> usize {
        lock(&self.state)
            .rules
            .iter()
            .filter(|rule| rule.left != Some(0))
            .count()
    }

    /// The fault for a call, if a rule fits.
    pub(super) fn take(&self, model: &str, method: &str) -> Option<Fault> {
        let mut state = lock(&self.state);
        let rule = state
            .rules
            .iter_mut()
            .find(|rule| rule.left != Some(0) && rule.fits(model, method))?;
        if rule.skip > 0 {
            rule.skip -= 1;
            return None;
        }
        rule.left = rule.left.map(|left| left - 1);
        let fault = rule.fault.clone();
        state.fired.push((format!("{model}/{method}"), fault.clone()));
        Some(fault)
    }

    pub(super) fn is_postgres_down(&self) -> bool {
        lock(&self.state).postgres_down
    }

    pub(super) fn are_keys_expired(&self) -> bool {
        lock(&self.state).keys_expired
    }

    /// Waits while calls are held.
    pub(super) async fn pass_gate(&self) {
        let mut gate = self.gate.subscribe();
        if !*gate.borrow() {
            return;
        }
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let opened = gate.wait_for(|held| !held).await.is_ok();
        debug_assert!(opened, "the gate lives as long as the faults");
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }

    /// Takes a sabotage that has its occasion now.
    pub(super) fn take_sabotage(&self, created: bool, confirmed: bool) -> Option<Sabotage> {
        let mut state = lock(&self.state);
        let at = state.sabotage.iter().position(|sabotage| match sabotage {
            Sabotage::Lose | Sabotage::Double => created,
            Sabotage::Cent => confirmed,
        })?;
        Some(state.sabotage.remove(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_strike_in_order_and_as_often_as_they_say() {
        let faults = Faults::default();
        faults.add(Rule::new(Fault::Garbage).model("sale.order").skip(1).times(2));
        faults.next(Fault::LoginPage);
        for (model, method, expected) in [
            ("sale.order", "load", None),
            ("res.partner", "load", Some(Fault::LoginPage)),
            ("res.partner", "load", None),
            ("sale.order", "read", Some(Fault::Garbage)),
            ("common", "version", None),
            ("sale.order", "read", Some(Fault::Garbage)),
            ("sale.order", "read", None),
        ] {
            assert_eq!(faults.take(model, method), expected, "{model}/{method}");
        }
        assert_eq!(faults.fired().len(), 3);
        assert_eq!(faults.pending(), 0);
    }
}
