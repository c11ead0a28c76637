//! Answers that were fetched before anybody asked, along with those of others.
//!
//! An answer of the shop's search is never newer than its index, which lags behind the records by seconds, sometimes
//! minutes. One that was fetched a moment before the question is as good, as long as what is known to have happened since
//! counts: it is given once, for just the question that was foreseen, no later than [`GOOD_FOR`] after the search was sent,
//! and not at all where one of its keys was written by us or seen on a record of the shop meanwhile.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use super::super::lock;
use crate::domain::{FieldValue, Fields, Product, Timestamp, VariantFound, VariantKeys};

/// How old an answer may become: a fraction of what the index itself lags behind at its worst (two minutes are reckoned
/// with elsewhere), and longer than a dozen writes take at the slowest plan's pace.
pub(in crate::shopify::write) const GOOD_FOR: Duration = Duration::from_secs(10);

/// So many products are looked ahead for, at the first time, at least and at most. In between it is twice as many as
/// came of the last time: what is fetched in vain costs the shop as much as what is not.
const FIRST: usize = 50;
const LEAST: usize = 8;
const MOST: usize = 100;

/// For so long nothing is looked ahead for after a time of which nothing came.
const REST: Duration = Duration::from_mins(1);

/// What was looked for ahead.
#[derive(Debug)]
pub(super) struct Foreseen(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    /// By the question: when the search was sent, and what it found.
    answers: HashMap<VariantKeys, (Timestamp, Vec<VariantFound>)>,
    /// While a search is on its way: the keys of which it may not have seen what happened.
    touched: Option<Vec<VariantKeys>>,
    reach: usize,
    /// How many questions the last look ahead was for, and how many of them were asked since.
    fetched: usize,
    used: usize,
    rests_until: Option<Timestamp>,
}

impl Default for Foreseen {
    fn default() -> Self {
        Self(Mutex::new(Inner {
            answers: HashMap::new(),
            touched: None,
            reach: FIRST,
            fetched: 0,
            used: 0,
            rests_until: None,
        }))
    }
}

/// A search on its way that looks ahead.
pub(super) struct Ahead<'a> {
    foreseen: &'a Foreseen,
    sent_at: Timestamp,
}

impl Foreseen {
    /// The answer to a question that was foreseen.
    pub(super) fn take(&self, keys: &VariantKeys, now: Timestamp) -> Option<Vec<VariantFound>> {
        let mut inner = lock(&self.0);
        let (sent_at, found) = inner.answers.remove(keys)?;
        is_good(sent_at, now).then(|| {
            inner.used += 1;
            found
        })
    }

    /// For how many products the next look is to look ahead; 0 where it is not to.
    pub(super) fn reach(&self, now: Timestamp) -> usize {
        let mut inner = lock(&self.0);
        inner.answers.retain(|_, (sent_at, _)| is_good(*sent_at, now));
        if let Some(until) = inner.rests_until {
            // Also where the clock was set back.
            if now < until && until <= now.plus(REST) {
                return 0;
            }
            inner.rests_until = None;
        }
        if inner.answers.len() > inner.fetched / 4 {
            // Most of the last time is still to come; whoever asks is one that could not be foreseen.
            return 0;
        }
        if inner.fetched > 0 {
            if inner.used == 0 {
                inner.fetched = 0;
                inner.reach = LEAST;
                inner.rests_until = Some(now.plus(REST));
                return 0;
            }
            inner.reach = (2 * inner.used).clamp(LEAST, MOST);
        }
        inner.reach
    }

    /// A search begins now. From here on it counts what happens to keys.
    pub(super) fn begin(&self, now: Timestamp) -> Ahead<'_> {
        lock(&self.0).touched = Some(Vec::new());
        Ahead {
            foreseen: self,
            sent_at: now,
        }
    }

    /// Something happened to variants with these keys: what was found before counts for nothing.
    pub(super) fn forget(&self, keys: &VariantKeys) {
        let mut inner = lock(&self.0);
        inner.answers.retain(|known, _| !known.meets(keys));
        if let Some(touched) = &mut inner.touched {
            touched.push(keys.clone());
        }
    }

    /// Forgets these keys when it is dropped: when a write of theirs has ended, however it did.
    pub(super) fn forgets_written<'a>(&self, variants: impl IntoIterator<Item = &'a Fields>) -> Forgets<'_> {
        let mut keys = VariantKeys::default();
        for (name, value) in variants.into_iter().flatten() {
            let FieldValue::Text(text) = value else {
                continue;
            };
            match name.as_str() {
                "sku" => keys.skus.insert(text.trim().to_owned()),
                "barcode" => keys.barcodes.insert(text.trim().to_owned()),
                _ => continue,
            };
        }
        Forgets { foreseen: self, keys }
    }

    /// The shop showed this product.
    pub(super) fn seen(&self, product: &Product) {
        let variants = &product.variants;
        self.forget(&VariantKeys::new(
            variants.iter().filter_map(|variant| variant.sku.as_deref()),
            variants.iter().filter_map(|variant| variant.barcode.as_deref()),
        ));
    }
}

/// The keys of a write that is under way.
pub(in crate::shopify::write) struct Forgets<'a> {
    foreseen: &'a Foreseen,
    keys: VariantKeys,
}

impl Drop for Forgets<'_> {
    fn drop(&mut self) {
        if !self.keys.is_empty() {
            self.foreseen.forget(&self.keys);
        }
    }
}

impl Ahead<'_> {
    /// Keeps what the search found of each question.
    pub(super) fn keep(self, answers: impl IntoIterator<Item = (VariantKeys, Vec<VariantFound>)>) {
        let mut inner = lock(&self.foreseen.0);
        let touched = inner.touched.take().unwrap_or_default();
        let before = inner.answers.len();
        for (keys, found) in answers {
            if !touched.iter().any(|touched| touched.meets(&keys)) {
                inner.answers.insert(keys, (self.sent_at, found));
            }
        }
        if inner.answers.len() > before {
            inner.fetched = inner.answers.len();
            inner.used = 0;
        }
    }
}

impl Drop for Ahead<'_> {
    fn drop(&mut self) {
        lock(&self.foreseen.0).touched = None;
    }
}

fn is_good(sent_at: Timestamp, now: Timestamp) -> bool {
    // A clock that was set back tells nothing of the answer's age.
    sent_at <= now && now.since(sent_at) <= GOOD_FOR
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_795_514_400_000);

    fn keys(sku: &str) -> VariantKeys {
        VariantKeys::new([sku], [""; 0])
    }

    fn seconds(n: u64) -> Timestamp {
        START.plus(Duration::from_secs(n))
    }

    /// Looks ahead for these at this time.
    fn look(foreseen: &Foreseen, skus: &[String], now: Timestamp) {
        let ahead = foreseen.begin(now);
        ahead.keep(skus.iter().map(|sku| (keys(sku), Vec::new())));
    }

    fn skus(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("SKU-{n}")).collect()
    }

    #[test]
    fn an_answer_is_given_once_for_its_very_question_and_not_when_it_is_old() {
        let foreseen = Foreseen::default();
        let three = skus(3);
        look(&foreseen, &three, START);
        let both = VariantKeys::new(["SKU-0", "SKU-1"], [""; 0]);
        assert_eq!(foreseen.take(&both, START), None, "another question");
        assert_eq!(foreseen.take(&keys("SKU-0"), seconds(10)), Some(Vec::new()));
        assert_eq!(foreseen.take(&keys("SKU-0"), seconds(10)), None, "once");
        assert_eq!(foreseen.take(&keys("SKU-1"), seconds(11)), None, "too old");
        let early = START.minus(Duration::from_secs(1));
        assert_eq!(foreseen.take(&keys("SKU-2"), early), None, "from the future");
    }

    #[test]
    fn what_happens_to_a_key_voids_answers_also_while_they_are_on_their_way() {
        let foreseen = Foreseen::default();
        look(&foreseen, &skus(3), START);
        let written: Fields = vec![("sku".to_owned(), FieldValue::Text(" SKU-1 ".into()))];
        drop(foreseen.forgets_written([&written]));
        assert_eq!(foreseen.take(&keys("SKU-1"), START), None);
        assert_eq!(foreseen.take(&keys("SKU-2"), START), Some(Vec::new()));

        let ahead = foreseen.begin(START);
        foreseen.forget(&keys("SKU-0"));
        ahead.keep(skus(3).iter().map(|sku| (keys(sku), Vec::new())));
        assert_eq!(foreseen.take(&keys("SKU-0"), START), None);
        assert_eq!(foreseen.take(&keys("SKU-1"), START), Some(Vec::new()));
        // One that was broken off counts nothing any more.
        drop(foreseen.begin(START));
        foreseen.forget(&keys("SKU-0"));
        assert!(lock(&foreseen.0).touched.is_none());
    }

    #[test]
    fn as_far_ahead_as_comes_of_it() {
        let foreseen = Foreseen::default();
        let ask = |count: usize, now: Timestamp| {
            for sku in skus(count) {
                foreseen.take(&keys(&sku), now).unwrap();
            }
        };
        assert_eq!(foreseen.reach(START), FIRST);
        assert_eq!(foreseen.reach(START), FIRST, "as long as nothing is known");
        look(&foreseen, &skus(FIRST), START);
        assert_eq!(foreseen.reach(START), 0, "it is all still to come");
        ask(30, START);
        assert_eq!(foreseen.reach(START), 0, "most of it");
        assert_eq!(foreseen.reach(seconds(11)), 60, "the others are too old now");
        look(&foreseen, &skus(60), seconds(11));
        ask(60, seconds(12));
        assert_eq!(foreseen.reach(seconds(12)), MOST);
        look(&foreseen, &skus(MOST), seconds(12));
        ask(1, seconds(12));
        assert_eq!(foreseen.reach(seconds(23)), LEAST);
        look(&foreseen, &skus(LEAST), seconds(23));
        assert_eq!(foreseen.reach(seconds(34)), 0, "nothing came of it");
        assert_eq!(foreseen.reach(seconds(93)), 0);
        assert_eq!(foreseen.reach(seconds(94)), LEAST);
        assert_eq!(foreseen.reach(seconds(94)), LEAST);
    }
}
