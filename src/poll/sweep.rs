//! The nightly sweep: all ids are listed and compared with those of the last time. What is gone left no trace that a poll
//! could see; what was archived or made and is not known by now was missed.

use std::collections::{BTreeMap, BTreeSet};

use super::vanished::Vanished;
use super::{Poll, PollError, Watch};
use crate::domain::{ErpId, Object};
use crate::erp::PresentRow;
use crate::store::{PollCommit, PresentId, PresentPage};

/// Ids that are listed at once.
const PAGE: u32 = 2_000;

/// What a sweep found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Rows that are there.
    pub rows: u64,
    /// Rows that are gone, archived, restored or new since they were listed last, or seen by a poll.
    pub changed: u64,
    /// Jobs that were made for them; the others had an open one.
    pub made: u64,
    /// Whether it was the first one: what is there already is no work.
    pub began: bool,
    /// Where too many rows are gone: nothing was done.
    pub held: Option<Vanished>,
}

/// Lists all ids and makes jobs for what is not as it was. Does nothing before the first poll, and where more is gone than is
/// usual, unless a person accepted that: then the list stays as it is, so that what comes back is no change.
///
/// # Errors
/// When the ERP or the store fails, or another node polls.
pub async fn sweep<W: Watch + ?Sized>(poll: &Poll<'_, W>, is_accepted: bool) -> Result<Swept, PollError> {
    poll.hold().await?;
    let (shop, watched) = (&poll.shop, &poll.watched);
    let Some(cursor) = poll.store.poll_cursor(shop, watched.model).await? else {
        return Ok(Swept::default());
    };
    let mut swept = Swept {
        began: cursor.swept_at.is_none(),
        ..Swept::default()
    };
    let mut vanished = Vanished::default();
    // Nothing is saved before all is known: in an ERP that was exchanged, what is there is not right either.
    let mut steps = Vec::new();
    let mut after = None;
    loop {
        let rows = poll
            .erp
            .all_ids(watched.model, watched.owner, after, PAGE)
            .await?;
        let is_last = rows.len() < PAGE as usize;
        let upto = if is_last {
            None
        } else {
            rows.last().map(|row| row.id)
        };
        let known = poll.store.poll_present(shop, watched.model, after, upto).await?;
        let found = difference(&known, &rows);
        swept.rows += rows.len() as u64;
        vanished.known += known.len() as u64;
        vanished.gone += found.gone;
        // The last page notes that all were listed.
        if swept.began || found.changed > 0 || is_last {
            let page = PresentPage {
                after,
                upto,
                rows: rows.iter().map(known_as).collect(),
            };
            steps.push((page, found));
        }
        if is_last {
            break;
        }
        after = upto;
        poll.hold().await?;
    }
    // Stock comes and goes by rows (an empty level is deleted), and what is sent of it has limits of its own.
    if watched.object != Object::Inventory && vanished.is_sudden() && !is_accepted {
        swept.held = Some(vanished);
        return Ok(swept);
    }
    for (page, found) in steps {
        let mut step = PollCommit {
            present: Some(page),
            ..poll.step()
        };
        if !swept.began {
            swept.changed += found.changed;
            step.jobs = poll.jobs(&found.records, "sweep of").await?;
        }
        swept.made += poll.save(step).await?;
        poll.hold().await?;
    }
    Ok(swept)
}

fn known_as(row: &PresentRow) -> PresentId {
    PresentId {
        id: row.id,
        owner: row.owner,
        active: row.active,
    }
}

/// How rows differ from those that were known.
#[derive(Default)]
struct Difference {
    /// Rows that are not as they were, those that are gone included.
    changed: u64,
    /// Rows that are gone.
    gone: u64,
    /// Whose work they are.
    records: BTreeSet<ErpId>,
}

fn difference(known: &[PresentId], rows: &[PresentRow]) -> Difference {
    let mut known: BTreeMap<ErpId, PresentId> = known.iter().map(|row| (row.id, *row)).collect();
    let mut found = Difference::default();
    for row in rows {
        let now = known_as(row);
        let before = known.remove(&row.id);
        if before.is_none_or(|before| before.active != now.active || before.owner != now.owner) {
            found.changed += 1;
            // What moved from one to another concerns both.
            found
                .records
                .extend(before.map(|before| before.owner.unwrap_or(before.id)));
            found.records.insert(now.owner.unwrap_or(now.id));
        }
    }
    for gone in known.into_values() {
        found.changed += 1;
        found.gone += 1;
        found.records.insert(gone.owner.unwrap_or(gone.id));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_archived_moved_or_new_is_told() {
        let known = |id: i64, owner: Option<i64>, active| PresentId {
            id: ErpId(id),
            owner: owner.map(ErpId),
            active,
        };
        let row = |id: i64, owner: Option<i64>, active| PresentRow {
            id: ErpId(id),
            owner: owner.map(ErpId),
            active,
        };
        for (what, before, now, changed, expected) in [
            ("same", Some((None, true)), Some((None, true)), 0, vec![]),
            ("archived", Some((None, true)), Some((None, false)), 1, vec![7]),
            ("restored", Some((None, false)), Some((None, true)), 1, vec![7]),
            ("gone", Some((None, true)), None, 1, vec![7]),
            ("a child is gone", Some((Some(1), true)), None, 1, vec![1]),
            ("new", None, Some((None, true)), 1, vec![7]),
            (
                "moved",
                Some((Some(1), true)),
                Some((Some(2), true)),
                1,
                vec![1, 2],
            ),
        ] {
            let before: Vec<_> = before
                .map(|(owner, active)| known(7, owner, active))
                .into_iter()
                .collect();
            let now: Vec<_> = now
                .map(|(owner, active)| row(7, owner, active))
                .into_iter()
                .collect();
            let is_gone = u64::from(!before.is_empty() && now.is_empty());
            let found = difference(&before, &now);
            let records: Vec<i64> = found.records.into_iter().map(|id| id.0).collect();
            assert_eq!(
                (found.changed, found.gone, records),
                (changed, is_gone, expected),
                "{what}"
            );
        }
    }
}
