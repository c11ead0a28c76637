//! Finding out that writes of a link go in circles.
//!
//! Agreement makes an echo end by itself. Where it does not (another program that answers every change, a field that a side
//! changes by itself again and again without being declared lossy), the link is stopped and a person is told the field.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::flow::Flow;
use super::stop::Stop;
use crate::domain::{FieldValue, Link, Timestamp};

/// So many writes of one link...
const MOST: usize = 20;

/// ...within this time are a circle: no person edits like that.
const WITHIN: Duration = Duration::from_mins(10);

/// One write: when, and of which fields.
type Write = (i64, Vec<String>);

/// Adds a write of these fields to what the link remembers.
///
/// # Errors
/// There were too many lately: a problem that names the field that was written most often. Nothing is to be written then.
pub(super) fn remember(
    flow: &Flow<'_>,
    link: &mut Link,
    side: &str,
    writes: &[(String, FieldValue)],
) -> Result<(), Stop> {
    let now = flow.shop.clock.now();
    let names = writes.iter().map(|(name, _)| format!("{side}: {name}")).collect();
    let known: Vec<Write> = serde_json::from_value(link.writes.clone()).unwrap_or_default();
    match added(known, now, names) {
        Ok(writes) => {
            link.writes = json!(writes);
            Ok(())
        }
        Err(most) => {
            let mut problem = flow.subject.problem(
                "writes_go_in_circles",
                &most,
                format!(
                    "This record was written {MOST} times within {} minutes; the field that keeps changing is {most}.",
                    WITHIN.as_secs() / 60
                ),
                "Find out who else changes this field (another program, an automation of the ERP), or declare `lossy = true` for it where a side keeps it in another form. Then retry.",
            );
            problem.field = Some(most);
            Err(problem.into())
        }
    }
}

/// The writes of late with this one, or the field that was written most often where it is one too many.
fn added(mut known: Vec<Write>, now: Timestamp, names: Vec<String>) -> Result<Vec<Write>, String> {
    let since = now.minus(WITHIN).millis();
    known.retain(|(at, _)| *at > since);
    if known.len() < MOST {
        known.push((now.millis(), names));
        return Ok(known);
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in known.iter().flat_map(|(_, names)| names).chain(&names) {
        *counts.entry(name).or_default() += 1;
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    Err(most.map_or_else(|| "not known".to_owned(), |(name, _)| name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_writes_name_the_field_that_keeps_changing_and_old_ones_do_not_count() {
        let mut known = Vec::new();
        let mut now = Timestamp::from_millis(1_000_000_000);
        for n in 0..MOST {
            let mut names = vec!["phone".to_owned()];
            if n % 3 == 0 {
                names.push("city".to_owned());
            }
            known = added(known, now, names).unwrap();
            now = now.plus(Duration::from_secs(10));
        }
        assert_eq!(
            added(known.clone(), now, vec!["city".into()]),
            Err("phone".into())
        );
        let later = now.plus(WITHIN);
        assert_eq!(added(known, later, vec!["city".into()]).unwrap().len(), 1);
    }
}
