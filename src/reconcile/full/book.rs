//! What a run found so far: exact counts, and the first rows.

use std::collections::{BTreeMap, BTreeSet};

use super::shelf::{Sign, Suspect};
use crate::domain::{Direction, DriftClass, DriftFate, ErpId, JobId, Object, ShopName, Timestamp};
use crate::store::{Correction, DriftCount, DriftLooked, DriftRow};
use crate::sync::ShopContext;

/// How many rows are kept. Counts go on.
const MOST_ROWS: usize = 10_000;

/// How many of them may be about what a rule leaves alone: the rest is kept for what somebody is to look at.
const MOST_LEFT_ALONE: usize = MOST_ROWS / 2;

/// How many corrections are counted in one run; the rest at the next.
const MOST_CORRECTIONS: usize = 10_000;

/// How much of a value is kept, in letters.
const LONGEST: usize = 500;

/// The run's findings.
pub(super) struct Book {
    shop: ShopName,
    object: Object,
    pub(super) counts: BTreeMap<(DriftClass, DriftFate), u64>,
    pub(super) rows: Vec<DriftRow>,
    /// Rows about what a rule leaves alone.
    left_alone: usize,
    pub(super) looked: DriftLooked,
    pub(super) corrections: Vec<Correction>,
    /// What may be a correction, by the ERP's record and its field.
    moved: BTreeMap<(String, String), Correction>,
    pub(super) withheld: Option<String>,
    /// Findings of which a person has to be told, and no job does it, by class.
    pub(super) to_tell: BTreeMap<DriftClass, u64>,
    /// The oldest of the ERP's changes of which it was found that they are to go out, and nothing more: a job was at work, or the
    /// record could not be compared.
    pub(super) undecided: Option<Timestamp>,
    /// Whether a job was at work on an order that came to something else: that it does not is nothing to go by then.
    pub(super) amounts_in_work: bool,
    /// Comparisons that failed in a row.
    pub(super) failed_in_a_row: u32,
    /// Whether Shopify hides old orders, once that was asked.
    pub(super) hides_old_orders: Option<bool>,
    /// Warehouses that the mapping names and the ERP does not have.
    pub(super) unknown_warehouses: BTreeSet<ErpId>,
}

/// How an entry was made.
pub(super) fn count(((class, fate), count): ((DriftClass, DriftFate), u64)) -> DriftCount {
    DriftCount { class, fate, count }
}

/// What a finding is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct About {
    pub(super) model: Option<String>,
    pub(super) name: Option<String>,
    pub(super) field: Option<String>,
    pub(super) shopify: Option<String>,
    pub(super) erp: Option<String>,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Became {
    pub(super) fate: DriftFate,
    pub(super) why: Option<String>,
    pub(super) job: Option<JobId>,
    pub(super) direction: Option<Direction>,
}

impl Became {
    pub(super) const fn of(fate: DriftFate) -> Self {
        Self {
            fate,
            why: None,
            job: None,
            direction: None,
        }
    }

    pub(super) fn left_alone(rule: impl Into<String>) -> Self {
        Self {
            why: Some(rule.into()),
            ..Self::of(DriftFate::LeftAlone)
        }
    }

    pub(super) fn because(mut self, why: impl Into<String>) -> Self {
        self.why = Some(why.into());
        self
    }
}

impl Book {
    pub(super) fn new(context: &ShopContext, object: Object) -> Self {
        Self {
            shop: context.name.clone(),
            object,
            counts: BTreeMap::new(),
            rows: Vec::new(),
            left_alone: 0,
            looked: DriftLooked::default(),
            corrections: Vec::new(),
            moved: BTreeMap::new(),
            withheld: None,
            to_tell: BTreeMap::new(),
            undecided: None,
            amounts_in_work: false,
            failed_in_a_row: 0,
            hides_old_orders: None,
            unknown_warehouses: BTreeSet::new(),
        }
    }

    /// Notes a finding.
    pub(super) fn enter(&mut self, class: DriftClass, suspect: &Suspect, about: About, became: Became) {
        self.tally(class, became.fate, 1);
        if became.fate == DriftFate::NeedsPerson && became.job.is_none() {
            *self.to_tell.entry(class).or_default() += 1;
        }
        let is_left = became.fate == DriftFate::LeftAlone;
        if self.rows.len() >= MOST_ROWS || (is_left && self.left_alone >= MOST_LEFT_ALONE) {
            return;
        }
        self.left_alone += usize::from(is_left);
        self.rows.push(DriftRow {
            position: self.rows.len() as u64,
            shop: self.shop.clone(),
            object: self.object,
            class,
            fate: became.fate,
            source_id: suspect.source,
            erp_id: suspect.erp,
            model: about.model,
            name: about.name,
            field: about.field,
            shopify: about.shopify.map(shortened),
            erp: about.erp.map(shortened),
            why: became.why,
            direction: became.direction,
            job: became.job,
        });
    }

    /// Counts findings without a row of their own.
    pub(super) fn tally(&mut self, class: DriftClass, fate: DriftFate, count: u64) {
        if count > 0 {
            *self.counts.entry((class, fate)).or_default() += count;
        }
    }

    /// Notes a value that is not the one that was agreed on. Only a fresh comparison tells whether a person put it there: one
    /// of ours may be on its way.
    pub(super) fn may_correct(&mut self, model: &str, id: ErpId, correction: Correction) {
        if self.moved.len() < MOST_CORRECTIONS {
            let record = format!("{model} {id}");
            self.moved.insert((record, correction.field.clone()), correction);
        }
    }

    /// Counts a difference that a fresh comparison found as a correction, if its value moved in the ERP.
    pub(super) fn correct(&mut self, about: &About) {
        let place = about.model.clone().zip(about.field.clone());
        self.corrections
            .extend(place.and_then(|place| self.moved.remove(&place)));
    }

    /// Notes that the way out of a record was not looked at, if something of it is to go there: the next run does.
    pub(super) fn undecided(&mut self, suspect: &Suspect) {
        if suspect.is_unsent && suspect.written_at > Timestamp::default() {
            let oldest = self.undecided.unwrap_or(suspect.written_at);
            self.undecided = Some(oldest.min(suspect.written_at));
        }
    }

    /// Notes a record that was not looked at any further.
    pub(super) fn unexplained(&mut self, suspect: &Suspect, why: &str) {
        let became = Became::of(DriftFate::Unexplained).because(why);
        self.enter(class_of(suspect.sign), suspect, About::default(), became);
    }
}

/// The class of a record of which nothing more is known.
pub(super) const fn class_of(sign: Sign) -> DriftClass {
    match sign {
        Sign::Unlinked => DriftClass::MissingInErp,
        Sign::Twin => DriftClass::DuplicateOnShopify,
        Sign::GoneFromShop => DriftClass::Deleted,
        Sign::GoneFromErp => DriftClass::GoneFromErp,
        Sign::GoneFromBoth => DriftClass::OrphanedLink,
        Sign::Changed | Sign::Edited | Sign::Moved | Sign::Picked | Sign::Unnoted => DriftClass::FieldDiffers,
        Sign::Level => DriftClass::StockDiffers,
        Sign::Alive | Sign::Document => DriftClass::Archived,
        Sign::Total => DriftClass::TotalDiffers,
        Sign::Unsent | Sign::UnsentVariant => DriftClass::MissingOnShopify,
        Sign::ErpTwin => DriftClass::DuplicateInErp,
    }
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
