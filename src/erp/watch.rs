//! What is watched for changes, in words of models and times: there is no push that could be relied on.

use crate::domain::{ErpId, Object, Timestamp};

/// A model whose changes mean work for records of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// What the work is about.
    pub object: Object,
    /// The model, e.g. `product.product`.
    pub model: &'static str,
    /// The many2one that names whose work it is, e.g. `product_tmpl_id`; a row without a value there is its own, and so is
    /// every row where there is none.
    pub owner: Option<&'static str>,
    /// Where the owner's own record names whose work it is: its model, and the many2one there.
    pub through: Option<(&'static str, &'static str)>,
    /// What is compared to tell a change from a mere touch. A model may lack some of them.
    pub fields: Vec<String>,
    /// Whether it counts only for who reads the stock that is expected (`forecast`).
    pub forecast_only: bool,
}

impl Watched {
    /// Has these fields compared, too: those that a mapping reads besides the usual ones.
    pub fn also(&mut self, fields: impl IntoIterator<Item = String>) {
        for field in fields {
            if !self.fields.contains(&field) {
                self.fields.push(field);
            }
        }
    }
}

/// A row that was written in the time asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangedRow {
    /// Its id.
    pub id: ErpId,
    /// When the transaction that wrote it began, in whole seconds of the ERP's clock.
    pub at: Timestamp,
    /// Whose work it is, if another record's.
    pub owner: Option<ErpId>,
    /// Whether it is work of its own beside its owner's: a person of a company is, a delivery address is not.
    pub alone: bool,
}

/// A row that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PresentRow {
    /// Its id.
    pub id: ErpId,
    /// Whether it is not archived.
    pub active: bool,
    /// Whose work it is, if another record's.
    pub owner: Option<ErpId>,
}
