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

/// Under which name a problem's detail has the entry of a table that would be the answer; several under the other.
const ENTRY: &str = "entry";
const ENTRIES: &str = "entries";

/// Under which name a problem's detail has what its cause is called.
const TITLE: &str = "title";

impl NewProblem {
    /// What tells the problem of a job from another one of the same job: its code and its cluster. While one with this mark
    /// is open, the same one is only seen again.
    pub fn mark(&self) -> String {
        format!("{} {}", self.code, self.cluster).replace('\0', "\u{fffd}")
    }

    /// Adds to the details. What is no object says something else already and stays.
    fn with(mut self, name: &str, value: serde_json::Value) -> Self {
        match &mut self.detail {
            serde_json::Value::Object(fields) => drop(fields.insert(name.to_owned(), value)),
            detail if detail.is_null() => *detail = serde_json::json!({ name: value }),
            _ => {}
        }
        self
    }

    /// The same, with the entry of a table in its detail that would be the answer.
    #[must_use]
    pub fn answered_by(self, entry: Option<&TableKey>) -> Self {
        match entry {
            Some(entry) => self.with(ENTRY, serde_json::json!(entry)),
            None => self,
        }
    }

    /// The same, with several entries of tables that would be the answer.
    #[must_use]
    pub fn answered_by_all(self, entries: &[TableKey]) -> Self {
        self.with(ENTRIES, serde_json::json!(entries))
    }

    /// The entries of tables that would be the answer.
    pub fn entries(&self) -> Vec<TableKey> {
        let one = self
            .detail
            .get(ENTRY)
            .and_then(|it| TableKey::deserialize(it).ok());
        let more = self.detail.get(ENTRIES);
        let more = more.and_then(|them| Vec::<TableKey>::deserialize(them).ok());
        one.into_iter().chain(more.unwrap_or_default()).collect()
    }

    /// The same, with what its cause is called: one plain sentence that is true of all problems of its cluster.
    #[must_use]
    pub fn titled(self, title: &str) -> Self {
        self.with(TITLE, serde_json::json!(title))
    }

    /// What its cause is called, where its maker said so.
    pub fn title(&self) -> Option<&str> {
        self.detail.get(TITLE)?.as_str()
    }
}
