//! What a mapping makes of one record.

use std::sync::Arc;

use serde::Serialize;

use crate::domain::{ErpId, FieldValue, Need, NewProblem, TableKey};

/// Everything that is to be written for one record, and how an existing record is recognised.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapped {
    /// The ERP's model.
    pub model: String,
    /// The record's external id within the shop, e.g. `order_450789469`.
    pub external_id: String,
    /// Fields in the mapping's order. A field that is skipped is absent.
    pub fields: Vec<MappedField>,
    /// Rows that belong to the record (lines, variants), and records of their own that it refers to (addresses).
    pub groups: Vec<MappedGroup>,
    /// How an existing record is found, best way first. Ways whose values are empty are left out.
    pub match_keys: Vec<MatchKey>,
    /// Whether a match that is the only one is adopted; if not, matches are proposed to a person.
    pub adopt_exact: bool,
    /// How far an order is to be carried; none for other objects.
    pub stage: Option<Stage>,
    /// Fields that wait for a person (`missing = "hold"`). The record is not to be written without them.
    pub held: Vec<FieldProblem>,
}

impl Mapped {
    /// The group of this name.
    pub fn group(&self, name: &str) -> Option<&MappedGroup> {
        self.groups.iter().find(|group| group.name == name)
    }

    /// The field of this name.
    pub fn field(&self, target: &str) -> Option<&MappedField> {
        self.fields.iter().find(|field| *field.target == *target)
    }
}

/// One field to write.
#[derive(Clone, Debug, PartialEq)]
pub struct MappedField {
    /// The ERP's name of the field.
    pub target: Arc<str>,
    /// The value.
    pub value: FieldValue,
    /// Where it comes from, as the mapping says it, for people.
    pub source: Arc<str>,
    /// Who is right when both sides changed it.
    pub truth: Truth,
    /// Whether the ERP is known to keep it in another form (e.g. cleaned html).
    pub lossy: bool,
    /// Whether it is written only when the record is made.
    pub create_only: bool,
    /// Line in the mapping file.
    pub line: usize,
}

/// Rows of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct MappedGroup {
    /// Its name in the mapping, e.g. `lines`, `addresses`, `variants`.
    pub name: String,
    /// The record's field that holds the rows (`order_line`); none for records of their own.
    pub field: Option<String>,
    /// The rows' model.
    pub model: String,
    /// Whether a row that exists is left as it is.
    pub once: bool,
    /// The rows in order.
    pub rows: Vec<MappedRow>,
}

/// One row of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct MappedRow {
    /// What makes it this row: unique in its group and the same every time. For rows with a link, the link's source id.
    pub key: String,
    /// Its external id within the shop.
    pub external_id: String,
    /// The link that it is known by, for groups that declare one.
    pub link: Option<Need>,
    /// The record that it is linked to already.
    pub linked: Option<ErpId>,
    /// Fields in the mapping's order.
    pub fields: Vec<MappedField>,
    /// How an existing record is found.
    pub match_keys: Vec<MatchKey>,
    /// Which item of the source list it comes from, from 0 (a discount row has its line's).
    pub source_index: usize,
}

/// A way to recognise an existing record: every one of these fields has exactly this value.
#[derive(Clone, Debug, PartialEq)]
pub struct MatchKey {
    /// Fields and values.
    pub equal: Vec<(String, FieldValue)>,
    /// Line in the mapping file.
    pub line: usize,
}

/// The values by which an existing record and its rows are recognised.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Keys {
    /// The record's, best way first.
    pub own: Vec<MatchKey>,
    /// Those of each row, by the group's name and the row's key.
    pub rows: Vec<(String, String, Vec<MatchKey>)>,
}

/// Who is right when a field was changed on both sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Truth {
    /// Shopify's value is written.
    #[default]
    Shopify,
    /// The ERP's value stays.
    Erp,
    /// A person decides.
    Hold,
}

/// How far an order is to be carried in the ERP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Confirmed, once its totals were proven.
    Confirmed,
    /// Left as a quotation.
    Quotation,
    /// Cancelled.
    Cancelled,
}

impl Stage {
    pub(super) const ALL: [(&'static str, Self); 3] = [
        ("confirmed", Self::Confirmed),
        ("quotation", Self::Quotation),
        ("cancelled", Self::Cancelled),
    ];
}

/// Why a record is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skip {
    /// The mapping's words.
    pub reason: String,
    /// Line in the mapping file.
    pub line: usize,
}

/// Why a field cannot be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldProblem {
    /// The kind of problem, e.g. `missing_value`, `tax_not_found`.
    pub code: String,
    /// The ERP's field, with its row where there are several, e.g. `lines[line_7].tax_ids`.
    pub target: String,
    /// The expression that it comes from.
    pub source: String,
    /// One plain sentence.
    pub reason: String,
    /// What all problems of the same cause have in common, as one plain sentence.
    pub title: String,
    /// What to do.
    pub fix: String,
    /// The mapping file.
    pub file: String,
    /// Line in it.
    pub line: usize,
    /// Who is to do it.
    pub owner: String,
    /// Whether the mapping asks to hold the record for a person rather than to fail.
    pub hold: bool,
    /// What makes problems of many records one cause.
    pub cause: String,
    /// The entry of a table that would be the answer.
    pub entry: Option<TableKey>,
}

impl FieldProblem {
    /// The same as a job's problem; `record` is the record's name for people.
    pub fn problem(&self, record: Option<&str>) -> NewProblem {
        NewProblem {
            code: self.code.as_str().into(),
            record: record.map(str::to_owned),
            field: Some(self.target.clone()),
            reason: self.reason.clone(),
            fix: self.fix.clone(),
            owner: self.owner.clone(),
            mapping: Some(format!("{}:{}", self.file, self.line)),
            cluster: format!("{}:{}", self.code, self.cause),
            detail: serde_json::json!({ "source": self.source }),
        }
        .titled(&self.title)
        .answered_by(self.entry.as_ref())
    }
}
