//! A plan as it is kept with a job that waits, and what makes two plans the same.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{FieldValue, NewProblem, Object};
use crate::sync::agree::hash;
use crate::sync::preview::{MADE_FIRST, Preview, PreviewedWrite};

pub use crate::store::WAITING_FOR_APPROVAL;

/// What is done by a plan that nothing could be shown of.
const NOT_SHOWN: &str = "write";

/// What would be written, as it is kept with a job until a person approves of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// Its hash: what an approval names. Two plans of the same hash write the same over the same.
    pub plan: String,
    /// One sentence: what would happen.
    pub verdict: String,
    /// Why it waits.
    pub because: Vec<String>,
    /// Whether another plan of this job was approved, which this one is not.
    #[serde(default)]
    pub changed: bool,
    /// Every record that would be written, in order.
    pub writes: Vec<PreviewedWrite>,
    /// What would follow.
    pub steps: Vec<PlannedStep>,
    /// What a person would be asked when all this is done.
    pub then: Option<Asked>,
}

/// A step that would follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedStep {
    /// What kind of thing, e.g. `invoice`.
    pub act: String,
    /// What it is about, in words.
    pub what: String,
    /// What it comes to, with its currency.
    pub amount: Option<String>,
}

/// A question that comes after a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Asked {
    /// The kind of problem.
    pub code: String,
    /// What is wrong.
    pub reason: String,
    /// What to do.
    pub fix: String,
}

impl Plan {
    /// That nothing is written.
    pub(super) fn nothing() -> Self {
        Self::default()
    }

    /// That something is written about a record which the rehearsal cannot show.
    pub(super) fn not_shown(object: Object, record: &str, because: Vec<String>) -> Self {
        let mut plan = Self {
            verdict: format!(
                "something about this {object} would be written that cannot be shown beforehand"
            ),
            because,
            writes: vec![PreviewedWrite {
                action: NOT_SHOWN.to_owned(),
                model: object.to_string(),
                record: record.to_owned(),
                fields: Vec::new(),
            }],
            ..Self::default()
        };
        plan.plan = plan.hashed();
        plan
    }

    /// What a rehearsal showed.
    pub(super) fn new(preview: Preview, because: Vec<String>) -> Self {
        let steps = preview
            .steps
            .into_iter()
            .filter(|step| step.problem.is_none())
            .map(|step| PlannedStep {
                act: step.act.to_string(),
                what: step.what,
                amount: step.amount.map(|amount| format!("{amount} {}", step.currency)),
            });
        let mut plan = Self {
            plan: String::new(),
            verdict: preview.verdict,
            because,
            changed: false,
            writes: preview.writes,
            steps: steps.collect(),
            then: preview.problem.map(|problem| Asked {
                code: problem.code.0,
                reason: problem.reason,
                fix: problem.fix,
            }),
        };
        plan.plan = plan.hashed();
        plan
    }

    /// The plan with which a job was held; none where its problem is another one.
    pub fn of(problem: &NewProblem) -> Option<Self> {
        if problem.code.0 != WAITING_FOR_APPROVAL {
            return None;
        }
        // Without its detail (it was taken out at a person's request) there is nothing to approve of.
        serde_json::from_value(problem.detail.clone()).ok()
    }

    /// Whether nothing is written.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.steps.is_empty()
    }

    /// Over everything that is written and what it is written over; not over the words around it, nor over the mapping's
    /// name for a source.
    fn hashed(&self) -> String {
        let mut text = String::new();
        let mut add = |parts: &[&str]| {
            for part in parts {
                // With its length, so that no two lists of parts make the same text.
                text.push_str(&part.len().to_string());
                text.push(':');
                text.push_str(part);
            }
            text.push('\n');
        };
        for write in &self.writes {
            add(&["write", &write.action, &write.model, &write.record]);
            for field in &write.fields {
                match &field.now {
                    Some(now) => add(&["field", &field.field, &field.then, now]),
                    None => add(&["field", &field.field, &field.then]),
                }
            }
        }
        for step in &self.steps {
            add(&[
                "step",
                &step.act,
                &step.what,
                step.amount.as_deref().unwrap_or(""),
            ]);
        }
        hash(&FieldValue::Text(text))
    }

    /// Each thing that is done, by itself, as short hashes: so that the rest of a plan that was cut short can be told from
    /// something new. Of a value that only a record made first will have, any value is meant.
    pub(super) fn parts(&self) -> BTreeSet<String> {
        let mut parts = BTreeSet::new();
        for write in &self.writes {
            parts.insert(part(&["act", &write.action, &write.model, &write.record]));
            parts.insert(part(&["any", &write.action, &write.model]));
            for field in &write.fields {
                let then = if field.then == MADE_FIRST {
                    "*"
                } else {
                    field.then.as_str()
                };
                let mut words = vec![
                    "field",
                    write.model.as_str(),
                    write.record.as_str(),
                    field.field.as_str(),
                    then,
                ];
                words.extend(field.now.as_deref());
                parts.insert(part(&words));
                if write.action == "create" {
                    parts.insert(part(&["made", &write.model, &field.field, then]));
                }
            }
        }
        for step in &self.steps {
            let amount = step.amount.as_deref().unwrap_or("");
            parts.insert(part(&["step", &step.act, &step.what, amount]));
        }
        parts
    }

    /// Whether all of it is among these parts of a plan that began: the same over the same. What stands in a record by now
    /// must be what stood there when it was approved; in a record that was made since, what was to stand there.
    pub(super) fn is_rest_of(&self, parts: &BTreeSet<String>) -> bool {
        let has = |words: &[&str]| parts.contains(&part(words));
        let writes = self.writes.iter().all(|write| {
            let did = |action: &str| has(&["act", action, &write.model, &write.record]);
            let did_any = |action: &str| has(&["any", action, &write.model]);
            // A record that was made in the beginning has a number by now, which the plan could not name.
            let is_made = !did("update") && !did("adopt") && did_any("create");
            let acts = did(&write.action)
                || match write.action.as_str() {
                    "update" => did("adopt") || is_made,
                    "confirm" => is_made && did_any("confirm"),
                    _ => false,
                };
            acts && write.fields.iter().all(|field| {
                let then = [field.then.as_str(), "*"];
                let is_there = field.now.as_ref().is_none_or(|now| *now == field.then);
                let mut known = then.iter().map(|then| {
                    let mut words = vec![
                        "field",
                        write.model.as_str(),
                        write.record.as_str(),
                        field.field.as_str(),
                        *then,
                    ];
                    let over_nothing = is_there && has(&words);
                    words.extend(field.now.as_deref());
                    over_nothing || has(&words)
                });
                let made = |then: &&str| has(&["made", &write.model, &field.field, *then]);
                known.any(|is_known| is_known) || (is_made && is_there && then.iter().any(made))
            })
        });
        let steps = self.steps.iter().all(|step| {
            let amount = step.amount.as_deref().unwrap_or("");
            has(&["step", &step.act, &step.what, amount])
        });
        writes && steps
    }
}

/// Half of a hash is enough to tell the parts of one plan apart.
fn part(words: &[&str]) -> String {
    let mut text = String::new();
    for word in words {
        text.push_str(&word.len().to_string());
        text.push(':');
        text.push_str(word);
    }
    hash(&FieldValue::Text(text)).chars().take(16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::preview::PreviewedField;

    fn plan(writes: &[(&str, &str, &[(&str, &str)])]) -> Plan {
        let writes = writes.iter().map(|(action, model, fields)| PreviewedWrite {
            action: (*action).to_owned(),
            model: (*model).to_owned(),
            record: "order_1".to_owned(),
            fields: fields
                .iter()
                .map(|(field, then)| PreviewedField {
                    field: (*field).to_owned(),
                    now: None,
                    then: (*then).to_owned(),
                    source: "anything".to_owned(),
                })
                .collect(),
        });
        let mut plan = Plan {
            writes: writes.collect(),
            ..Plan::default()
        };
        plan.plan = plan.hashed();
        plan
    }

    #[test]
    fn a_plan_is_the_same_if_it_writes_the_same_over_the_same() {
        let one = plan(&[("create", "sale.order", &[("note", "a"), ("ref", "b")])]);
        let mut same = one.clone();
        same.writes[0].fields[0].source = "another expression".to_owned();
        same.verdict = "other words".to_owned();
        assert_eq!(same.hashed(), one.plan);
        for other in [
            plan(&[("create", "sale.order", &[("note", "ab"), ("ref", "")])]),
            plan(&[("create", "sale.order", &[("note", "a")])]),
            plan(&[("update", "sale.order", &[("note", "a"), ("ref", "b")])]),
        ] {
            assert_ne!(other.plan, one.plan);
        }
        let mut over = one.clone();
        over.writes[0].fields[0].now = Some("what a person wrote meanwhile".to_owned());
        assert_ne!(over.hashed(), one.plan);
    }

    #[test]
    fn the_rest_of_a_plan_holds_nothing_new() {
        let whole = plan(&[
            ("create", "res.partner", &[("name", "Ada")]),
            (
                "create",
                "sale.order",
                &[("partner_id", MADE_FIRST), ("note", "x")],
            ),
            ("confirm", "sale.order", &[]),
        ]);
        let parts = whole.parts();
        for (case, fits, rest) in [
            (
                "the partner is made",
                true,
                plan(&[
                    ("create", "sale.order", &[("partner_id", "#7"), ("note", "x")]),
                    ("confirm", "sale.order", &[]),
                ]),
            ),
            (
                "the draft is made",
                true,
                plan(&[
                    ("update", "sale.order", &[("note", "x")]),
                    ("confirm", "sale.order", &[]),
                ]),
            ),
            (
                "another value",
                false,
                plan(&[("update", "sale.order", &[("note", "y")])]),
            ),
            (
                "another field",
                false,
                plan(&[("update", "sale.order", &[("origin", "x")])]),
            ),
            ("another act", false, plan(&[("cancel", "sale.order", &[])])),
            (
                "another model",
                false,
                plan(&[("update", "res.partner.bank", &[("name", "Ada")])]),
            ),
        ] {
            assert_eq!(rest.is_rest_of(&parts), fits, "{case}");
        }
    }

    /// An update of these lines: number, what stands there, what is to.
    fn lines(updates: &[(&str, &str, &str)]) -> Plan {
        let writes = updates.iter().map(|(record, now, then)| PreviewedWrite {
            action: "update".to_owned(),
            model: "sale.order.line".to_owned(),
            record: (*record).to_owned(),
            fields: vec![PreviewedField {
                field: "product_uom_qty".to_owned(),
                now: Some((*now).to_owned()),
                then: (*then).to_owned(),
                source: "line.quantity".to_owned(),
            }],
        });
        Plan {
            writes: writes.collect(),
            ..Plan::default()
        }
    }

    #[test]
    fn the_rest_of_a_plan_is_written_over_what_was_seen_and_nothing_else() {
        let parts = lines(&[("#5", "10", "12"), ("#6", "12", "10")]).parts();
        for (case, fits, rest) in [
            (
                "all of it",
                true,
                lines(&[("#5", "10", "12"), ("#6", "12", "10")]),
            ),
            ("one of two", true, lines(&[("#6", "12", "10")])),
            ("a person wrote 15 meanwhile", false, lines(&[("#5", "15", "12")])),
            ("swapped", false, lines(&[("#5", "12", "10"), ("#6", "10", "12")])),
            ("another line", false, lines(&[("#7", "10", "12")])),
        ] {
            assert_eq!(rest.is_rest_of(&parts), fits, "{case}");
        }
        let mut made = plan(&[("create", "sale.order", &[("note", "x")])]);
        let parts = made.parts();
        made.writes[0].action = "update".to_owned();
        made.writes[0].record = "#9".to_owned();
        assert!(made.is_rest_of(&parts));
        made.writes[0].fields[0].now = Some("what a person wrote meanwhile".to_owned());
        assert!(!made.is_rest_of(&parts), "over what nobody saw");
    }
}
