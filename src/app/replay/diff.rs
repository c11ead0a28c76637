//! Two plans of one record: which fields would become something else. Pure.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::sync::{Preview, Step};

/// What would be written to one record: its fields, each with what it becomes and what stands there now.
type Row = BTreeMap<String, (String, Option<String>)>;

/// The records that a plan writes to, by model and number or name. Several that are to be made may have no name that tells them
/// apart.
type Rows = BTreeMap<(String, String), Vec<Row>>;

/// Under what the steps of a plan are told, in the place of a model.
const STEPS: &str = "then";

/// A field that one plan makes something else of than the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FieldDifference {
    /// The record that is written to: its model, or what it is on the shop.
    pub(super) model: String,
    /// Its field; of what is done without one, and of a step that follows, what is done.
    pub(super) field: String,
    /// What it becomes by the first plan; where that one leaves it alone, what stands there now.
    pub(super) old: Option<String>,
    /// Likewise by the second plan.
    pub(super) new: Option<String>,
}

/// What a plan came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// It writes this; steps that follow (parcels, invoices, payments) are among it.
    Plan(Rows),
    /// A person would be needed: the problem's code.
    Problem(String),
    /// Nothing of it is carried over: why.
    LeftAlone(String),
    /// The side that it comes from does not have it (any more).
    Gone,
}

impl Made {
    pub(super) fn of(preview: &Preview) -> Self {
        if let Some(problem) = &preview.problem {
            return Self::Problem(problem.code.0.clone());
        }
        if let Some(reason) = &preview.left_alone {
            return Self::LeftAlone(reason.clone());
        }
        let mut rows = Rows::new();
        for write in &preview.writes {
            let mut row: Row = write
                .fields
                .iter()
                .map(|field| (field.field.clone(), (field.then.clone(), field.now.clone())))
                .collect();
            if row.is_empty() {
                // Something is done as a whole: confirmed, cancelled, removed.
                row.insert(write.action.clone(), (write.record.clone(), None));
            }
            let place = (write.model.clone(), write.record.clone());
            rows.entry(place).or_default().push(row);
        }
        for step in &preview.steps {
            let act = step.act.to_string();
            let row = Row::from([(act.clone(), (told(step), None))]);
            rows.entry((STEPS.to_owned(), act)).or_default().push(row);
        }
        Self::Plan(rows)
    }
}

/// A step in words.
fn told(step: &Step) -> String {
    let mut text = step.what.clone();
    if let Some(amount) = step.amount {
        text = format!("{text}, {} {}", amount.normalize(), step.currency);
    }
    if let Some(problem) = &step.problem {
        text = format!("{text} (a person: {})", problem.code.0);
    }
    text
}

/// The fields that differ between what two plans write.
pub(super) fn differences(old: &Rows, new: &Rows) -> Vec<FieldDifference> {
    let mut found = Vec::new();
    let nothing = Vec::new();
    let only_new = new.keys().filter(|place| !old.contains_key(*place));
    for place in old.keys().chain(only_new) {
        let before = old.get(place).unwrap_or(&nothing);
        let after = new.get(place).unwrap_or(&nothing);
        for (was, is) in pairs(before, after) {
            compare(&place.0, was, is, &mut found);
        }
    }
    found
}

/// Which row of one plan is which of the other, without those that are the same in both: a row that is made in front of others
/// changes none of them. What is left is matched by what most fields agree on, then by its position.
fn pairs<'r>(old: &'r [Row], new: &'r [Row]) -> Vec<(Option<&'r Row>, Option<&'r Row>)> {
    let mut left: Vec<&Row> = new.iter().collect();
    let mut others = Vec::new();
    for row in old {
        match left.iter().position(|other| *other == row) {
            Some(same) => {
                left.remove(same);
            }
            None => others.push(row),
        }
    }
    let mut pairs = Vec::new();
    for row in others {
        let alike = |other: &Row| {
            row.iter()
                .filter(|(field, value)| other.get(*field) == Some(*value))
                .count()
        };
        let best = left
            .iter()
            .enumerate()
            .max_by_key(|(at, other)| (alike(other), Reverse(*at)))
            .map(|(at, _)| at);
        pairs.push((Some(row), best.map(|at| left.remove(at))));
    }
    pairs.extend(left.into_iter().map(|row| (None, Some(row))));
    pairs
}

fn compare(model: &str, old: Option<&Row>, new: Option<&Row>, found: &mut Vec<FieldDifference>) {
    let mut tell = |field: &str, old: Option<&String>, new: Option<&String>| {
        if old != new {
            found.push(FieldDifference {
                model: model.to_owned(),
                field: field.to_owned(),
                old: old.cloned(),
                new: new.cloned(),
            });
        }
    };
    for (field, (then, now)) in old.into_iter().flatten() {
        // A plan that does not name the field leaves what stands there.
        let other = new.and_then(|new| new.get(field)).map(|(then, _)| then);
        tell(field, Some(then), other.or(now.as_ref()));
    }
    for (field, (then, now)) in new.into_iter().flatten() {
        if old.is_none_or(|old| !old.contains_key(field)) {
            tell(field, now.as_ref(), Some(then));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_plans_do_is_no_difference() {
        let plan = |fields: &[(&str, &str, Option<&str>)]| -> Rows {
            let row: Row = fields
                .iter()
                .map(|(field, then, now)| ((*field).to_owned(), ((*then).to_owned(), now.map(str::to_owned))))
                .collect();
            Rows::from([(("res.partner".to_owned(), "7".to_owned()), vec![row])])
        };
        let told = |old: &[_], new: &[_]| -> Vec<(String, Option<String>, Option<String>)> {
            differences(&plan(old), &plan(new))
                .into_iter()
                .map(|found| (found.field, found.old, found.new))
                .collect()
        };
        let field = |name: &str, old: Option<&str>, new: Option<&str>| {
            (name.to_owned(), old.map(str::to_owned), new.map(str::to_owned))
        };
        // Drift that either version would put right.
        let drift = ("name", "Ada", Some("Adda"));
        assert_eq!(told(&[drift], &[drift]), []);
        // Both write, and something else.
        let other = ("name", "ADA", Some("Adda"));
        assert_eq!(
            told(&[drift], &[other]),
            [field("name", Some("Ada"), Some("ADA"))]
        );
        // Only one writes: the other one leaves what stands there.
        assert_eq!(told(&[drift], &[]), [field("name", Some("Ada"), Some("Adda"))]);
        assert_eq!(told(&[], &[drift]), [field("name", Some("Adda"), Some("Ada"))]);
        // A record that is to be made has nothing yet.
        assert_eq!(
            told(&[], &[("comment", "new", None)]),
            [field("comment", None, Some("new"))]
        );
    }

    #[test]
    fn a_row_that_comes_first_changes_none_of_the_others() {
        let row = |name: &str, price: &str| {
            Row::from(
                [("name", name), ("price", price)]
                    .map(|(field, then)| (field.to_owned(), (then.to_owned(), None))),
            )
        };
        let lines = |rows: Vec<Row>| Rows::from([(("sale.order.line".to_owned(), String::new()), rows)]);
        let told = |old: Vec<Row>, new: Vec<Row>| -> Vec<(String, Option<String>, Option<String>)> {
            differences(&lines(old), &lines(new))
                .into_iter()
                .map(|found| (found.field, found.old, found.new))
                .collect()
        };
        let some = |text: &str| Some(text.to_owned());
        let (mug, shirt) = (row("Mug", "5"), row("Shirt", "20"));
        let gift = row("Gift wrap", "3");
        assert_eq!(
            told(
                vec![mug.clone(), shirt.clone()],
                vec![gift, mug.clone(), shirt.clone()]
            ),
            [
                ("name".to_owned(), None, some("Gift wrap")),
                ("price".to_owned(), None, some("3"))
            ]
        );
        // What changed a little is found again, wherever it stands.
        assert_eq!(
            told(vec![mug.clone(), shirt], vec![row("Shirt", "25"), mug]),
            [("price".to_owned(), some("20"), some("25"))]
        );
    }

    #[test]
    fn steps_are_compared_too() {
        let step = |amount: &str| {
            let row = Row::from([("invoice".to_owned(), (amount.to_owned(), None))]);
            Rows::from([((STEPS.to_owned(), "invoice".to_owned()), vec![row])])
        };
        let found = differences(&step("all, 10 EUR"), &step("all, 12 EUR"));
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].model.as_str(), found[0].field.as_str()),
            ("then", "invoice")
        );
        assert_eq!(differences(&step("all, 10 EUR"), &Rows::new()).len(), 1);
    }
}
