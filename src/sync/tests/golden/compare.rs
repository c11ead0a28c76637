//! Compares what stands in the ERP with what must stand there. Keys that are not expected are not compared.

use rust_decimal::Decimal;
use serde_json::Value as Json;

/// One thing that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    /// What.
    pub(super) what: String,
    pub(super) wanted: String,
    pub(super) found: String,
}

impl Difference {
    pub(super) fn new(what: impl Into<String>, wanted: impl ToString, found: impl ToString) -> Self {
        Self {
            what: what.into(),
            wanted: wanted.to_string(),
            found: found.to_string(),
        }
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: wanted {}, found {}", self.what, self.wanted, self.found)
    }
}

/// Keys that state an amount: they are compared as numbers.
const AMOUNTS: [&str; 6] = ["untaxed", "tax", "total", "amount", "quantity", "x_shopify_paid"];

/// Keys that every expectation of an order in the ERP has.
const ALWAYS: [&str; 7] = ["state", "problem", "currency", "total", "tax", "taxes", "lines"];

/// All differences.
pub(super) fn differences(expected: &Json, actual: &Json) -> Vec<Difference> {
    let mut found = Vec::new();
    let Some(all) = expected.as_object() else {
        return vec![Difference::new("expect", "an object", expected)];
    };
    let needed = if expected["state"] == "none" {
        2
    } else {
        ALWAYS.len()
    };
    for key in &ALWAYS[..needed] {
        if !all.contains_key(*key) {
            found.push(Difference::new(format!("expect.{key}"), "to be given", "nothing"));
        }
    }
    for (key, wanted) in all {
        let actual = &actual[key];
        match key.as_str() {
            // The fragment of a reason.
            "skipped" => {
                let (wanted, reason) = (wanted.as_str(), actual.as_str());
                let same = match wanted {
                    Some(wanted) => reason.is_some_and(|reason| {
                        reason.contains(wanted) || reason.contains(&wanted.replace(' ', "_"))
                    }),
                    None => reason.is_none(),
                };
                if !same {
                    found.push(Difference::new(key, shown(&expected[key]), shown(actual)));
                }
            }
            "taxes" => taxes(wanted, actual, &mut found),
            "documents" => {
                for (kind, wanted) in wanted.as_object().into_iter().flatten() {
                    bag(&format!("documents.{kind}"), wanted, &actual[kind], &mut found);
                }
            }
            "lines" => bag("lines", wanted, actual, &mut found),
            _ => value(key, wanted, actual, &mut found),
        }
    }
    found
}

fn value(key: &str, wanted: &Json, actual: &Json, found: &mut Vec<Difference>) {
    if let Some(fields) = wanted.as_object() {
        for (field, wanted) in fields {
            value(&format!("{key}.{field}"), wanted, &actual[field], found);
        }
        return;
    }
    if !same(key, wanted, actual) {
        found.push(Difference::new(key, shown(wanted), shown(actual)));
    }
}

fn same(key: &str, wanted: &Json, actual: &Json) -> bool {
    let name = key.rsplit('.').next().unwrap_or(key);
    if AMOUNTS.contains(&name) {
        return number(wanted).is_some() && number(wanted) == number(actual);
    }
    match (wanted, actual) {
        // A text that is not there is nothing, whichever way it is said.
        (Json::Null, other) | (other, Json::Null) => {
            other.is_null() || other == &Json::Bool(false) || other.as_str() == Some("")
        }
        (wanted, actual) => wanted == actual,
    }
}

fn number(json: &Json) -> Option<Decimal> {
    let text = match json {
        Json::String(text) => text.clone(),
        Json::Number(number) => number.to_string(),
        _ => return None,
    };
    text.parse::<Decimal>().ok().map(|number| number.normalize())
}

/// Amounts by percentage; a tax of nothing is as good as none.
fn taxes(wanted: &Json, actual: &Json, found: &mut Vec<Difference>) {
    let listed = |json: &Json| -> Vec<(Decimal, Decimal)> {
        let all = json.as_object().into_iter().flatten();
        let mut all: Vec<_> = all
            .filter_map(|(rate, amount)| Some((rate.parse::<Decimal>().ok()?.normalize(), number(amount)?)))
            .filter(|(_, amount)| !amount.is_zero())
            .collect();
        all.sort();
        all
    };
    if listed(wanted) != listed(actual) {
        found.push(Difference::new("taxes", shown(wanted), shown(actual)));
    }
}

/// Lists in which the order does not matter: each wanted entry must have one of its own, and none may be left over.
fn bag(what: &str, wanted: &Json, actual: &Json, found: &mut Vec<Difference>) {
    if let Some(why) = actual.as_str() {
        found.push(Difference::new(what, shown(wanted), why));
        return;
    }
    let list = |json: &Json| json.as_array().cloned().unwrap_or_default();
    let mut left = list(actual);
    // The ERP lets no line of a confirmed order be deleted: one of nothing is as good as none.
    let is_nothing = |line: &Json| number(&line["quantity"]).is_some_and(|quantity| quantity.is_zero());
    if what == "lines" && !list(wanted).iter().any(is_nothing) {
        left.retain(|line| !is_nothing(line));
    }
    // Those that say most are served first, so that none takes what only another fits.
    let mut entries = list(wanted);
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.as_object().map_or(0, serde_json::Map::len)));
    let mut missing = Vec::new();
    for entry in entries {
        match left.iter().position(|candidate| fits(&entry, candidate)) {
            Some(place) => {
                left.remove(place);
            }
            None => missing.push(entry),
        }
    }
    if !missing.is_empty() || !left.is_empty() {
        let text = |entries: &[Json]| {
            let texts: Vec<String> = entries.iter().map(shown).collect();
            if texts.is_empty() {
                "none".to_owned()
            } else {
                texts.join(" ")
            }
        };
        found.push(Difference::new(
            what,
            text(&missing),
            format!("instead {}", text(&left)),
        ));
    }
}

fn fits(wanted: &Json, actual: &Json) -> bool {
    wanted.as_object().into_iter().flatten().all(|(key, wanted)| {
        let actual = &actual[key];
        if key == "moves" {
            let (wanted, actual) = (wanted.as_object(), actual.as_object());
            return match (wanted, actual) {
                (Some(wanted), Some(actual)) => {
                    wanted.len() == actual.len()
                        && wanted
                            .iter()
                            .all(|(sku, quantity)| actual.get(sku).and_then(number) == number(quantity))
                }
                _ => false,
            };
        }
        if key == "state" && wanted == "open" {
            return !matches!(actual.as_str(), None | Some("done" | "cancel"));
        }
        same(key, wanted, actual)
    })
}

fn shown(json: &Json) -> String {
    match json {
        Json::String(text) => text.clone(),
        Json::Null => "nothing".to_owned(),
        other => other.to_string(),
    }
}
