//! One record that a wrong mapping wrote, planned once more.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Becomes, ResyncedField, ResyncedRecord, wrote};
use crate::domain::{
    Direction, ErpId, JobId, JobKey, JobState, Object, Priority, SharedClock, ShopName, ShopifyId,
};
use crate::store::{JobFilter, NewJob, SharedStore, StoreError, WrittenRecord};
use crate::sync::{Engine, PreviewError, ResyncMark, Resyncable, can_be_resynced};

/// The cause of the jobs.
const CAUSE: &str = "resync";

/// The pause between two jobs that are made, so that what people wait for stays ahead.
const PACE: Duration = Duration::from_millis(100);

/// What records are planned with once more.
pub(super) struct OnceMore<'a> {
    pub(super) engine: Engine,
    pub(super) store: &'a SharedStore,
    pub(super) clock: &'a SharedClock,
    pub(super) becomes: Becomes,
    /// The revision that wrote wrongly.
    pub(super) mapping: String,
    /// The one in force.
    pub(super) by: String,
}

impl OnceMore<'_> {
    /// Plans a record that the wrong revision wrote.
    pub(super) async fn record(
        &self,
        shop: &ShopName,
        record: &WrittenRecord,
    ) -> Result<ResyncedRecord, StoreError> {
        let mut told = ResyncedRecord {
            object: record.object,
            direction: record.direction,
            id: record.source_id.clone(),
            becomes: "right",
            why: None,
            job: None,
            fields: Vec::new(),
            left_alone: Vec::new(),
            has_older_writes: record.has_older,
        };
        if !can_be_resynced(record.object, record.direction) {
            told.becomes = "left_alone";
            told.why = Some("its next job sets it to what the ERP counts then".to_owned());
            return Ok(told);
        }
        let key = JobKey {
            shop: shop.clone(),
            object: record.object,
            direction: record.direction,
            source_id: record.source_id.clone(),
        };
        if let Some(job) = self.open_job(&key).await? {
            (told.becomes, told.job) = ("in_work", Some(job));
            return Ok(told);
        }
        let wrote = wrote::of(&self.mapping, record);
        match self.looked(&key, wrote.clone()).await {
            Ok(looked) => {
                told.left_alone = looked.kept.iter().map(ResyncedField::from).collect();
                // Every order has addresses: what is told of each tells nothing.
                let has_rows =
                    record.object == Object::Customer && wrote.keys().any(|field| wrote::is_of_a_row(field));
                self.planned((key, wrote), &looked, &mut told).await?;
                if has_rows && told.why.is_none() {
                    told.why = Some("addresses that were made with it stay as they were made".to_owned());
                }
            }
            Err(PreviewError::NotFound { .. }) => told.becomes = "gone",
            Err(error) => (told.becomes, told.why) = ("unread", Some(error.to_string())),
        }
        Ok(told)
    }

    /// What carrying it over with care would do.
    async fn looked(
        &self,
        key: &JobKey,
        wrote: BTreeMap<String, String>,
    ) -> Result<Resyncable, PreviewError> {
        let Ok(number) = key.source_id.parse::<u64>() else {
            return Err(PreviewError::Unsupported(key.object));
        };
        match key.direction {
            Direction::In => {
                let id = ShopifyId(number);
                self.engine.preview_resync(&key.shop, key.object, id, wrote).await
            }
            Direction::Out => {
                let id = ErpId(i64::try_from(number).unwrap_or(i64::MAX));
                self.engine
                    .preview_resync_out(&key.shop, key.object, id, wrote)
                    .await
            }
        }
    }

    /// Makes the job of a record where its plan writes something.
    async fn planned(
        &self,
        (key, wrote): (JobKey, BTreeMap<String, String>),
        looked: &Resyncable,
        told: &mut ResyncedRecord,
    ) -> Result<(), StoreError> {
        let preview = &looked.preview;
        if let Some(problem) = &preview.problem {
            (told.becomes, told.why) = ("needs_a_person", Some(problem.reason.clone()));
            return Ok(());
        }
        if let Some(reason) = &preview.left_alone {
            (told.becomes, told.why) = ("left_alone", Some(reason.clone()));
            return Ok(());
        }
        if preview.stays {
            let why = "it is confirmed, and keeps what was sold: where that is wrong, correct it in the ERP";
            (told.becomes, told.why) = ("stays", Some(why.to_owned()));
        }
        if key.object == Object::Order && looked.would_write_over_what_is_kept() {
            let why = "a draft is saved as a whole, and somebody changed it since";
            (told.becomes, told.why) = ("needs_a_person", Some(why.to_owned()));
            return Ok(());
        }
        let fields = preview.writes.iter().flat_map(|write| &write.fields);
        told.fields = fields.map(ResyncedField::from).collect();
        if preview.writes.is_empty() {
            return Ok(());
        }
        let hold = match self.becomes {
            Becomes::Shown => {
                told.becomes = "shown";
                return Ok(());
            }
            Becomes::Reviewed => true,
            Becomes::Written => false,
        };
        // Of a confirmed order facts are put right; that the rest stays is still to be told.
        told.becomes = if hold { "reviewed" } else { "written" };
        let began = self.clock.now();
        // Whether its record changed since is told by this time, on whichever node it is carried over.
        let now = self.store.time(began).await?;
        let name = ResyncMark::name(&key);
        let mut mark = ResyncMark {
            job: None,
            at: now,
            hold,
            mapping: self.mapping.clone(),
            by: self.by.clone(),
            wrote,
        };
        // The mark comes first: the job may be claimed at once, and must not be carried out without care.
        self.store
            .set_cursor(&key.shop, &name, &mark.value(), now)
            .await?;
        let shop = key.shop.clone();
        let made = self
            .store
            .enqueue(NewJob {
                key,
                priority: Priority::BACKGROUND,
                now,
                cause: CAUSE.to_owned(),
            })
            .await?;
        told.job = Some(made.job);
        if made.created {
            mark.job = Some(made.job);
            self.store.set_cursor(&shop, &name, &mark.value(), now).await?;
        } else {
            // Somebody else's came in between.
            self.store.set_cursor(&shop, &name, "", now).await?;
            told.becomes = "in_work";
        }
        self.clock.sleep_until(began.plus(PACE)).await;
        Ok(())
    }

    /// The open job of a record.
    async fn open_job(&self, key: &JobKey) -> Result<Option<JobId>, StoreError> {
        let filter = JobFilter {
            shop: Some(key.shop.clone()),
            object: Some(key.object),
            direction: Some(key.direction),
            source_id: Some(key.source_id.clone()),
            states: JobState::ALL
                .iter()
                .copied()
                .filter(|state| state.is_open())
                .collect(),
            limit: 1,
            ..JobFilter::default()
        };
        Ok(self.store.jobs(filter).await?.first().map(|job| job.id))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::SystemClock;
    use crate::store::testing::open_temp;
    use crate::sync::{Preview, PreviewedField, PreviewedWrite};

    fn field(then: &str) -> PreviewedField {
        PreviewedField {
            field: "client_order_ref".to_owned(),
            now: Some("by hand".to_owned()),
            then: then.to_owned(),
            source: "order.name".to_owned(),
        }
    }

    #[tokio::test]
    async fn a_draft_that_would_be_saved_over_what_a_person_changed_is_left_to_people() {
        let clock: SharedClock = Arc::new(SystemClock);
        let (_folder, store) = open_temp(Arc::clone(&clock)).await;
        let once_more = OnceMore {
            engine: Engine::new([]),
            store: &store,
            clock: &clock,
            becomes: Becomes::Written,
            mapping: "wrong".to_owned(),
            by: "right".to_owned(),
        };
        // Whether the plan writes what was kept, by the record.
        for (object, written, expected, jobs) in [
            (Object::Order, "#1001", "needs_a_person", 0),
            (Object::Order, "#1002", "written", 1),
            (Object::Customer, "#1001", "written", 1),
        ] {
            let key = JobKey {
                shop: "main".parse().unwrap(),
                object,
                direction: Direction::In,
                source_id: written.trim_start_matches('#').to_owned(),
            };
            let mut told = ResyncedRecord {
                object,
                direction: Direction::In,
                id: key.source_id.clone(),
                becomes: "right",
                why: None,
                job: None,
                fields: Vec::new(),
                left_alone: Vec::new(),
                has_older_writes: false,
            };
            let looked = Resyncable {
                preview: Preview {
                    shop: key.shop.clone(),
                    object,
                    source_id: key.source_id.clone(),
                    record_name: None,
                    changed_at: None,
                    verdict: String::new(),
                    writes: vec![PreviewedWrite {
                        action: "update".to_owned(),
                        model: "sale.order".to_owned(),
                        record: "7".to_owned(),
                        fields: vec![field(written)],
                    }],
                    steps: Vec::new(),
                    explanation: None,
                    problem: None,
                    left_alone: None,
                    kept: Vec::new(),
                    stays: false,
                    compared: None,
                },
                kept: vec![field("#1001")],
            };
            let before = store.jobs(JobFilter::default()).await.unwrap().len();
            once_more
                .planned((key, BTreeMap::new()), &looked, &mut told)
                .await
                .unwrap();
            let made = store.jobs(JobFilter::default()).await.unwrap().len() - before;
            assert_eq!((told.becomes, made), (expected, jobs), "{object} {written}");
        }
    }
}
