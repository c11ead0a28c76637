//! Look-ups that a table of the mapping answers before the ERP is asked.

use super::asking::Answer;
use super::pass::Pass;
use super::rule::{Choice, Query, Table};
use super::words::Cause;
use crate::domain::{ErpId, FieldValue, LOOK_UP_KINDS, LookUp, Need, Scalar};

impl Pass<'_> {
    /// The answer to a look-up: what the mapping's table says of it, before the ERP is asked.
    pub(super) fn known(&mut self, choice: &Choice, query: &Query, look_up: LookUp) -> Answer {
        if let Some(table) = &choice.table {
            for key in table_keys(query, &look_up) {
                if let Some(FieldValue::Integer(id)) = table.entries.get(&key) {
                    return Answer::Found(ErpId(*id));
                }
                if table.todo.contains_key(&key) {
                    return Answer::Unanswered(todo(table, key));
                }
            }
        }
        match (self.answer(Need::LookUp(look_up)), &choice.table) {
            (Answer::Unanswered(Cause::NotFound(look_up, _)), Some(table)) => {
                let row = (table.name.clone(), row_name(query, &look_up));
                Answer::Unanswered(Cause::NotFound(look_up, Some(row)))
            }
            (Answer::Unanswered(Cause::Ambiguous(look_up, ids, _)), Some(table)) => {
                let row = (table.name.clone(), row_name(query, &look_up));
                Answer::Unanswered(Cause::Ambiguous(look_up, ids, Some(row)))
            }
            (answer, _) => answer,
        }
    }
}

/// The entry that would answer a look-up, and no other that may need another record: with the destination, unless the title
/// names that country itself. All that the channel pays to the authorities at one rate may be one record.
fn row_name(query: &Query, look_up: &LookUp) -> String {
    let mut look_up = look_up.clone();
    if look_up.keys.get("channel") == Some(&Scalar::Bool(true)) {
        look_up.keys.remove("title");
        look_up.keys.remove("ship_to");
    }
    if let (Some(Scalar::Text(title)), Some(Scalar::Text(country))) =
        (look_up.keys.get("title"), look_up.keys.get("ship_to"))
        && names_country(title, country)
    {
        look_up.keys.remove("ship_to");
    }
    table_keys(query, &look_up).swap_remove(0)
}

/// Whether the title of a tax names the country with this code, as `DE MwSt` does: by the code as a word of its own. In the
/// United States no title does, because taxes there are named after states.
fn names_country(title: &str, code: &str) -> bool {
    title
        .split(|letter: char| !letter.is_alphanumeric())
        .any(|word| word == code)
}

/// How a look-up is called in a table: its keys in the order of the mapping, a yes by its name, a no by `not` and its name;
/// the most special name first, each further one without the last key, down to the keys that must be given. A `no` of a
/// key that need not be given is left out.
fn table_keys(query: &Query, look_up: &LookUp) -> Vec<String> {
    let kind = LOOK_UP_KINDS.iter().find(|kind| kind.name == query.kind);
    let mut words: Vec<String> = Vec::new();
    let mut required = 0;
    for (name, _) in &query.keys {
        let needed = kind.is_some_and(|kind| kind.required.contains(&name.as_str()));
        let word = match look_up.keys.get(name) {
            Some(Scalar::Bool(true)) => name.clone(),
            Some(Scalar::Bool(false)) if needed => format!("not {name}"),
            Some(Scalar::Bool(false)) | None => continue,
            Some(value) => value.to_string(),
        };
        words.push(word);
        if needed {
            required = words.len();
        }
    }
    (required.max(1)..=words.len())
        .rev()
        .map(|count| words[..count].join(" "))
        .collect()
}

/// An entry that a person has yet to fill in.
pub(super) fn todo(table: &Table, key: String) -> Cause {
    let (file, line) = table.todo.get(&key).cloned().unwrap_or_default();
    Cause::Todo {
        table: table.name.clone(),
        key,
        file,
        line,
    }
}
