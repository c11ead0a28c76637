//! Who is told of how attempts end. The queue does not know what others are sent: it has each end turned into texts, which the
//! store saves with that end, in one transaction.

use crate::domain::{About, Happened, Timestamp};
use crate::store::{ClaimedJob, Verdict};

/// How an attempt ends.
#[derive(Debug)]
pub struct Ending<'a> {
    /// Its job as it was claimed.
    pub job: &'a ClaimedJob,
    /// What becomes of the job, as far as this attempt says.
    pub verdict: &'a Verdict,
    /// The record that it was about, as far as it came to know it.
    pub about: Option<&'a About>,
    /// The record's name for people.
    pub record_name: Option<&'a str>,
    /// The ERP's name for people.
    pub erp_name: Option<&'a str>,
    /// What others are to be told of it.
    pub happened: &'a [Happened],
    /// When it ended.
    pub at: Timestamp,
}

/// Turns ends of attempts into what is to be told.
pub trait Notifier: Send + Sync {
    /// What is to be saved with this end, each a text that only whoever sends it reads. Empty where nobody wants to know, which
    /// is to cost nothing.
    fn of(&self, ending: &Ending<'_>) -> Vec<String>;
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Notifier for Silent {
    fn of(&self, _: &Ending<'_>) -> Vec<String> {
        Vec::new()
    }
}
