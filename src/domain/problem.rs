//! Why a job needs a person.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A stable, machine-readable name of a kind of problem, e.g. `tax_not_found`: lower case words joined by `_`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ProblemCode(pub String);

impl From<&str> for ProblemCode {
    fn from(code: &str) -> Self {
        Self(code.to_owned())
    }
}

impl std::fmt::Display for ProblemCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a person is told when a job cannot go on without them. Texts are plain sentences for support staff and hold
/// no secrets; a field's value appears only where the fix needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewProblem {
    /// The kind of problem.
    pub code: ProblemCode,
    /// The record's name for people, e.g. `#1042`, when it is known.
    pub record: Option<String>,
    /// The field that is at fault, on whichever side, e.g. `lines[2].tax` or `res.partner.country_id`.
    pub field: Option<String>,
    /// One plain sentence: what is wrong.
    pub reason: String,
    /// What to do about it, as an instruction.
    pub fix: String,
    /// Who is to do it: the mapping's or the shop's declared owner.
    pub owner: String,
    /// The mapping file and line that demanded it, e.g. `order.in.toml:31`.
    pub mapping: Option<String>,
    /// What makes problems of many jobs one and the same cause, e.g. `tax_not_found:21:included`.
    pub cluster: String,
    /// Numbers side by side, candidates, the other side's message: whatever helps, as JSON.
    #[serde(default)]
    pub detail: serde_json::Value,
}

/// An entry of a mapping's table: what people fill in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct TableKey {
    /// The table, e.g. `tax`.
    pub table: String,
    /// The entry: what the shop calls it.
    pub key: String,
}

/// Under which name a problem's detail has the entry of a table that would be the answer.
const ENTRY: &str = "entry";

impl NewProblem {
    /// The same, with the entry of a table in its detail that would be the answer.
    #[must_use]
    pub fn answered_by(mut self, entry: Option<&TableKey>) -> Self {
        let Some(entry) = entry else { return self };
        let entry = serde_json::json!({ "table": entry.table, "key": entry.key });
        match &mut self.detail {
            serde_json::Value::Object(fields) => drop(fields.insert(ENTRY.to_owned(), entry)),
            detail if detail.is_null() => *detail = serde_json::json!({ ENTRY: entry }),
            // What is no object says something else already.
            _ => {}
        }
        self
    }

    /// The entry of a table that would be the answer, where there is one.
    pub fn entry(&self) -> Option<TableKey> {
        let entry = self.detail.get(ENTRY)?;
        serde_json::from_value(entry.clone()).ok()
    }
}
