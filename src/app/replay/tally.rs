//! What differs between the plans of many records, counted. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::diff::{FieldDifference, Made, differences};
use super::{ReplayedCount, ReplayedExample, ReplayedField, ReplayedLane};
use crate::domain::{Direction, Object};

/// Examples that are told of each difference.
const EXAMPLES: usize = 5;

/// What was counted of a lane.
#[derive(Default)]
pub(super) struct Tally {
    records: u64,
    changed: u64,
    fields: BTreeMap<(String, String), (u64, Vec<ReplayedExample>)>,
    failing: Counts,
    working: Counts,
    left_alone: Counts,
    newly_carried: u64,
    gone: u64,
    pub(super) unread: u64,
    pub(super) unread_because: Option<String>,
}

/// How many records something is so with.
#[derive(Default)]
pub(super) struct Counts(BTreeMap<String, (u64, Vec<String>)>);

impl Counts {
    pub(super) fn add(&mut self, what: &str, record: &str) {
        let (count, examples) = self.0.entry(what.to_owned()).or_default();
        *count += 1;
        if examples.len() < EXAMPLES {
            examples.push(record.to_owned());
        }
    }

    pub(super) fn told(self) -> Vec<ReplayedCount> {
        let mut counts: Vec<ReplayedCount> = self
            .0
            .into_iter()
            .map(|(what, (records, examples))| ReplayedCount {
                what,
                records,
                examples,
            })
            .collect();
        counts.sort_by_key(|count| std::cmp::Reverse(count.records));
        counts
    }
}

impl Tally {
    pub(super) fn add(&mut self, record: &str, old: &Made, new: &Made) {
        self.records += 1;
        match (old, new) {
            (Made::Plan(old), Made::Plan(new)) => self.compare(record, differences(old, new)),
            (Made::Gone, _) | (_, Made::Gone) => self.gone += 1,
            (old, new) if old == new => {}
            (old, Made::Problem(code)) => {
                self.failing.add(code, record);
                if matches!(old, Made::LeftAlone(_)) {
                    self.newly_carried += 1;
                }
            }
            (Made::Problem(code), new) => {
                self.working.add(code, record);
                if let Made::LeftAlone(reason) = new {
                    self.left_alone.add(reason, record);
                }
            }
            (Made::Plan(_), Made::LeftAlone(reason)) => self.left_alone.add(reason, record),
            (Made::LeftAlone(_), Made::Plan(_)) => self.newly_carried += 1,
            // Left alone by both, for other words.
            (Made::LeftAlone(_), Made::LeftAlone(_)) => {}
        }
    }

    fn compare(&mut self, record: &str, found: Vec<FieldDifference>) {
        self.changed += u64::from(!found.is_empty());
        // A record counts once for a field, however many of its rows have it.
        let mut counted = BTreeSet::new();
        for difference in found {
            let place = (difference.model, difference.field);
            let (records, examples) = self.fields.entry(place.clone()).or_default();
            if !counted.insert(place) {
                continue;
            }
            *records += 1;
            if examples.len() < EXAMPLES {
                examples.push(ReplayedExample {
                    record: record.to_owned(),
                    old: difference.old,
                    new: difference.new,
                });
            }
        }
    }

    pub(super) fn told(((object, direction), tally): ((Object, Direction), Self)) -> ReplayedLane {
        let mut fields: Vec<ReplayedField> = tally
            .fields
            .into_iter()
            .map(|((model, field), (records, examples))| ReplayedField {
                model,
                field,
                records,
                examples,
            })
            .collect();
        fields.sort_by_key(|field| std::cmp::Reverse(field.records));
        ReplayedLane {
            object,
            direction,
            records: tally.records,
            changed: tally.changed,
            fields,
            newly_failing: tally.failing.told(),
            newly_working: tally.working.told(),
            newly_left_alone: tally.left_alone.told(),
            newly_carried: tally.newly_carried,
            gone: tally.gone,
            unread: tally.unread,
            unread_because: tally.unread_because,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_becomes_of_records_is_counted_by_what_was_before() {
        let plan = || Made::Plan(BTreeMap::new());
        let problem = |code: &str| Made::Problem(code.to_owned());
        let alone = |why: &str| Made::LeftAlone(why.to_owned());
        let mut tally = Tally::default();
        for (record, old, new) in [
            ("1", plan(), plan()),
            ("2", plan(), problem("a")),
            ("3", problem("a"), problem("a")),
            ("4", problem("a"), problem("b")),
            ("5", problem("a"), plan()),
            ("6", plan(), alone("too old")),
            ("7", alone("too old"), plan()),
            ("8", alone("too old"), alone("older")),
            ("9", Made::Gone, Made::Gone),
            ("10", problem("b"), alone("too old")),
        ] {
            tally.add(record, &old, &new);
        }
        let lane = Tally::told(((Object::Order, Direction::In), tally));
        let told = |counts: &[ReplayedCount]| -> Vec<(String, Vec<String>)> {
            counts
                .iter()
                .map(|count| (count.what.clone(), count.examples.clone()))
                .collect()
        };
        let expected = |what: &str, records: &[&str]| {
            let records = records.iter().map(|&record| record.to_owned()).collect();
            (what.to_owned(), records)
        };
        assert_eq!((lane.records, lane.changed, lane.gone), (10, 0, 1));
        assert_eq!(
            told(&lane.newly_failing),
            [expected("a", &["2"]), expected("b", &["4"])]
        );
        assert_eq!(
            told(&lane.newly_working),
            [expected("a", &["5"]), expected("b", &["10"])]
        );
        assert_eq!(told(&lane.newly_left_alone), [expected("too old", &["6", "10"])]);
        assert_eq!(lane.newly_carried, 1);
    }
}
