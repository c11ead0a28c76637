//! Linking records that exist on both sides, beside the queue: no attempt of a job does it, so no fence protects it.

use crate::domain::{Link, RecordKey};

/// Links that belong together: a customer's, or a product's with those of its variants.
#[derive(Clone, Debug, PartialEq)]
pub struct Adoption {
    /// The records that they pair, as attempts lock them.
    pub records: Vec<RecordKey>,
    /// The links, among them retired ones whose ERP record another one takes over.
    pub links: Vec<Link>,
}

/// What became of an [`Adoption`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adopted {
    /// All of its links are saved.
    Done,
    /// An attempt works on one of the records at this moment; nothing was saved.
    Busy,
    /// One of the records is linked already; nothing was saved.
    Taken,
}
