//! Expressions over names that others choose: what notifications go by, in the mappings' own language.

use std::sync::Arc;

use super::check::Scope;
use super::condition::ConditionError;
use super::expr::{Compiled, Frame};
use super::types::{Kind, Typed};
use crate::domain::{Fact, Shape};

/// An expression over given names. Unlike in a mapping, a number that is written out may stand beside an exact one
/// (`order.totals.total > 1000`): it is taken for just the number that it says.
#[derive(Clone, Debug)]
pub struct FreeExpression(Arc<Compiled>);

impl FreeExpression {
    /// Checks and compiles a text. Facts are later given in the order of the names.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn new(text: &str, names: &[(&'static str, Shape)]) -> Result<Self, ConditionError> {
        let mut scope = Scope::default();
        for (name, shape) in names {
            scope = scope.with(name, Typed::from(shape));
        }
        scope.takes_written_numbers = true;
        Compiled::new(text, &scope)
            .map(|compiled| Self(Arc::new(compiled)))
            .map_err(|wrong| {
                let meant = text
                    .get(wrong.place.clone())
                    .and_then(|part| elsewhere(part, &scope));
                ConditionError {
                    place: wrong.place,
                    message: wrong.message,
                    label: wrong.label,
                    help: meant.or(wrong.help),
                }
            })
    }

    /// Its value; empty where a part of what it reads is.
    ///
    /// # Errors
    /// When it cannot be worked out, as when a record that it reads is not known. The reason names no value.
    pub fn value(&self, facts: &[Fact]) -> Result<Fact, String> {
        self.is_known(facts)?;
        let value = self.0.value(&frame(facts))?;
        Ok(value.into_owned())
    }

    /// Whether it holds, as a condition.
    ///
    /// # Errors
    /// As [`FreeExpression::value`], and when it is an exact number, which is no condition.
    pub fn holds(&self, facts: &[Fact]) -> Result<bool, String> {
        if self.0.typed.kind == Kind::Decimal {
            return Err("an exact number is no condition: compare it with another".to_owned());
        }
        self.is_known(facts)?;
        self.0.holds(&frame(facts))
    }

    /// Whether everything that it reads of is there. What is not cannot be compared: any answer would be made up.
    fn is_known(&self, facts: &[Fact]) -> Result<(), String> {
        let is_there = |slot: &usize| !matches!(facts.get(*slot), None | Some(Fact::Null));
        if self.0.slots.iter().all(is_there) {
            Ok(())
        } else {
            Err("what it reads is not known of this event".to_owned())
        }
    }
}

fn frame(facts: &[Fact]) -> Frame<'_> {
    Frame {
        slots: facts.iter().collect(),
    }
}

/// Where a name that is not known at its place stands instead, outside of lists: `order.totals.total` for `total`.
fn elsewhere(name: &str, scope: &Scope) -> Option<String> {
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return None;
    }
    let mut found: Vec<String> = Vec::new();
    for (top, typed) in &scope.names {
        look(name, top, typed, &mut found);
    }
    found.sort_by_key(|path| (path.matches('.').count(), path.clone()));
    found.first().map(|path| format!("did you mean `{path}`?"))
}

fn look(name: &str, path: &str, typed: &Typed, found: &mut Vec<String>) {
    let Kind::Record(parts) = &typed.kind else {
        return;
    };
    for (part, typed) in parts {
        let path = format!("{path}.{part}");
        if part == name && !matches!(typed.kind, Kind::Record(_)) {
            found.push(path.clone());
        }
        look(name, &path, typed, found);
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use rust_decimal::Decimal;

    use super::*;

    fn names() -> Vec<(&'static str, Shape)> {
        let totals = Shape::Record(vec![(Cow::Borrowed("total"), Shape::Decimal)]);
        let order = Shape::Record(vec![
            (Cow::Borrowed("name"), Shape::Text),
            (Cow::Borrowed("count"), Shape::Integer),
            (Cow::Borrowed("totals"), totals),
        ]);
        vec![("order", order)]
    }

    fn facts(total: &str) -> Vec<Fact> {
        let totals = Fact::Record(vec![("total", Fact::Decimal(total.parse::<Decimal>().unwrap()))]);
        vec![Fact::Record(vec![
            ("name", Fact::Text("#1001".to_owned())),
            ("count", Fact::Integer(3)),
            ("totals", totals),
        ])]
    }

    #[test]
    fn a_written_number_beside_an_exact_one_is_exact() {
        for (text, total, expected) in [
            ("order.totals.total > 1000", "1000.01", true),
            ("order.totals.total > 1000", "1000.00", false),
            ("1000 <= order.totals.total", "1000.00", true),
            ("order.totals.total == 12", "12.00", true),
            ("order.totals.total >= 0.1", "0.1", true),
            ("order.totals.total < 0.3", "0.3", false),
            (
                "order.count == 3 and order.totals.total > 5 and order.totals.total < 7",
                "6",
                true,
            ),
            ("order.totals.total > ('5' | decimal)", "6", true),
        ] {
            let compiled =
                FreeExpression::new(text, &names()).unwrap_or_else(|error| panic!("{text}: {error:?}"));
            assert_eq!(compiled.holds(&facts(total)), Ok(expected), "{text} of {total}");
        }
        let name = FreeExpression::new("'Order ' ~ order.name", &names()).unwrap();
        assert_eq!(name.value(&facts("1")), Ok(Fact::Text("Order #1001".to_owned())));
        let amount = FreeExpression::new("order.totals.total", &names()).unwrap();
        assert!(amount.holds(&facts("1")).is_err());
        for text in ["order.totals.total > 5", "not order.name"] {
            let compiled = FreeExpression::new(text, &names()).unwrap();
            assert!(compiled.holds(&[Fact::Null]).is_err(), "{text}");
        }
    }

    #[test]
    fn a_field_that_is_elsewhere_is_named() {
        let error = FreeExpression::new("order.total > 1000", &names()).unwrap_err();
        assert_eq!(error.place, 6..11);
        assert_eq!(error.help.as_deref(), Some("did you mean `order.totals.total`?"));
        let error = FreeExpression::new("order.nane", &names()).unwrap_err();
        assert_eq!(error.help.as_deref(), Some("did you mean `name`?"));
    }
}
