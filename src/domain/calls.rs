//! The calls that an attempt made, as people are shown them: to whom, what was called, how long it took, what came of it.
//! No arguments and no answers, so that nothing personal and no secret can be in it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::domain::System;

/// So many calls are kept one by one; of the others there is the number.
const KEPT: usize = 100;

/// What stands for the calls among an attempt's notes.
const NOTE: &str = "calls";

/// One call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Call {
    /// To whom.
    pub system: System,
    /// The operation's name; in the ERP the method and the model, e.g. `web_read sale.order`.
    pub name: String,
    /// Milliseconds from the request to its answer.
    pub took_ms: u64,
    /// `ok`, the code of the failure, or `cut_off` where nobody waited for the answer any more.
    pub outcome: String,
}

/// How many calls went to one system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CallTotal {
    /// The system.
    pub system: System,
    /// All of them.
    pub calls: u64,
    /// Those whose outcome was not `ok`.
    pub failed: u64,
    /// Milliseconds in all; calls at the same time count each.
    pub took_ms: u64,
}

/// The calls of an attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Calls {
    /// The first hundred, in the order of their answers.
    pub first: Vec<Call>,
    /// How many more there were.
    pub more: u64,
    /// All of them by system.
    pub totals: Vec<CallTotal>,
}

impl Calls {
    /// Adds a call.
    pub fn add(&mut self, call: Call) {
        let place = self
            .totals
            .binary_search_by_key(&call.system, |total| total.system);
        let at = place.unwrap_or_else(|at| {
            let none = CallTotal {
                system: call.system,
                calls: 0,
                failed: 0,
                took_ms: 0,
            };
            self.totals.insert(at, none);
            at
        });
        let total = &mut self.totals[at];
        total.calls += 1;
        total.failed += u64::from(call.outcome != "ok");
        total.took_ms = total.took_ms.saturating_add(call.took_ms);
        if self.first.len() < KEPT {
            self.first.push(call);
        } else {
            self.more += 1;
        }
    }

    /// All calls to all systems.
    pub fn count(&self) -> u64 {
        self.totals.iter().map(|total| total.calls).sum()
    }

    /// The details of an attempt with these calls as one more note. Without calls they stay what they are.
    pub fn noted(&self, detail: Value) -> Value {
        if self.totals.is_empty() {
            return detail;
        }
        let note = json!({ "what": NOTE, "detail": self });
        match detail {
            Value::Null => json!([note]),
            Value::Array(mut notes) => {
                notes.push(note);
                Value::Array(notes)
            }
            other => json!([other, note]),
        }
    }

    /// The calls that an attempt's details tell of, and the details without them.
    pub fn taken_from(detail: Value) -> (Option<Self>, Value) {
        let Value::Array(mut notes) = detail else {
            return (None, detail);
        };
        let calls = match notes.last() {
            Some(last) if last["what"] == NOTE => Self::deserialize(&last["detail"]).ok(),
            _ => None,
        };
        if calls.is_some() {
            notes.pop();
        }
        (calls, Value::Array(notes))
    }

    /// Of an attempt's details nothing but the calls: they hold no value of a record.
    pub fn alone(detail: Value) -> Value {
        let (calls, _) = Self::taken_from(detail);
        calls.unwrap_or_default().noted(Value::Null)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(system: System, outcome: &str) -> Call {
        Call {
            system,
            name: "web_read sale.order".to_owned(),
            took_ms: 7,
            outcome: outcome.to_owned(),
        }
    }

    #[test]
    fn the_first_are_kept_and_all_are_counted() {
        let mut calls = Calls::default();
        for n in 0..130 {
            calls.add(call(System::Erp, if n == 120 { "erp_busy" } else { "ok" }));
        }
        calls.add(call(System::Shopify, "ok"));
        assert_eq!((calls.first.len(), calls.more, calls.count()), (100, 31, 131));
        let systems: Vec<System> = calls.totals.iter().map(|total| total.system).collect();
        assert_eq!(
            systems,
            [System::Shopify, System::Erp],
            "whichever was called first"
        );
        let erp = &calls.totals[1];
        assert_eq!(
            (erp.system, erp.calls, erp.failed, erp.took_ms),
            (System::Erp, 130, 1, 130 * 7)
        );
    }

    #[test]
    fn they_are_found_again_among_the_notes_and_alone_without_them() {
        let mut calls = Calls::default();
        calls.add(call(System::Erp, "ok"));
        for notes in [
            json!(null),
            json!([]),
            json!([{ "what": "partner", "detail": { "name": "Ada" } }]),
        ] {
            let kept = calls.noted(notes.clone());
            assert!(!Calls::alone(kept.clone()).to_string().contains("Ada"));
            assert_eq!(
                Calls::taken_from(Calls::alone(kept.clone())).0.as_ref(),
                Some(&calls)
            );
            let (found, rest) = Calls::taken_from(kept);
            assert_eq!(found.as_ref(), Some(&calls), "{notes}");
            assert_eq!(
                rest.as_array().unwrap().len(),
                notes.as_array().map_or(0, Vec::len)
            );
        }
        assert_eq!(Calls::default().noted(json!({ "plan": 1 })), json!({ "plan": 1 }));
        assert_eq!(
            Calls::alone(json!([{ "what": "partner", "detail": "Ada" }])),
            Value::Null
        );
        // A handler of another kind.
        assert_eq!(
            Calls::taken_from(calls.noted(json!({ "plan": 1 }))).1,
            json!([{ "plan": 1 }])
        );
    }
}
