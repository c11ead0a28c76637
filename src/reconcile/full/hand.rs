//! The jobs of a record, those that are made for it, and the problems of what no job tells of.

use super::book::{Became, Book};
use super::linked::is_amount;
use super::notes::Question;
use super::shelf::{Sign, Suspect};
use super::{CAUSE, Run, RunError};
use crate::domain::{
    Direction, DriftClass, DriftFate, ErpId, JobId, JobKey, JobState, NewProblem, Object, Priority, ShopifyId,
};
use crate::store::{JobFilter, JobRow, NewJob, WAITING_FOR_APPROVAL};

/// A job's end is our clock's word and a record's change the shop's: what lies so close together counts as the later change.
pub(super) const CLOCKS: std::time::Duration = std::time::Duration::from_hours(1);

/// The rule that leaves alone what a person gave up.
pub(super) const GIVEN_UP: &str = "discarded_by_a_person";

/// What is told to people of a class for which no job can be made, if anything was found of it.
pub(super) const TOLD: [Told; 3] = [
    Told {
        class: DriftClass::DuplicateInErp,
        code: "drift_duplicate_in_erp",
    },
    Told {
        class: DriftClass::TotalDiffers,
        code: "drift_total_differs",
    },
    Told {
        class: DriftClass::TaxDiffers,
        code: "drift_tax_differs",
    },
];

/// A problem about all findings of a class.
pub(super) struct Told {
    pub(super) class: DriftClass,
    pub(super) code: &'static str,
}

impl Run<'_> {
    /// The jobs of a record, both ways, newest first.
    pub(super) async fn jobs_of(&self, key: &JobKey) -> Result<Vec<JobRow>, RunError> {
        let filter = JobFilter {
            shop: Some(key.shop.clone()),
            object: Some(key.object),
            source_id: Some(key.source_id.clone()),
            direction: Some(key.direction),
            limit: 3,
            ..JobFilter::default()
        };
        let jobs = self.context.store.jobs(filter);
        Ok(self.life.with(jobs).await??)
    }

    fn keys(&self, suspect: &Suspect) -> Vec<JobKey> {
        let into = suspect.source.map(|id| self.key_in(id));
        let out = suspect
            .erp
            .filter(|_| self.context.out.contains(&self.wanted.object))
            .map(|id| self.key_out(id));
        into.into_iter().chain(out).collect()
    }

    pub(super) fn key_in(&self, id: ShopifyId) -> JobKey {
        JobKey {
            shop: self.shop.name.clone(),
            object: self.wanted.object,
            direction: Direction::In,
            source_id: id.to_string(),
        }
    }

    pub(super) fn key_out(&self, id: ErpId) -> JobKey {
        JobKey::of_erp(&self.shop.name, self.wanted.object, id)
    }

    /// Whether a job works on the record, or a person said that it stays so.
    pub(super) async fn in_hand(&self, suspect: &Suspect) -> Result<Option<Became>, RunError> {
        for key in self.keys(suspect) {
            let Some(became) = self.hand_of(suspect, &key).await? else {
                continue;
            };
            if suspect.is_unsent && key.direction == Direction::In && became.fate != DriftFate::InWork {
                continue;
            }
            return Ok(Some(became));
        }
        Ok(None)
    }

    /// The same by the jobs of one direction.
    pub(super) async fn hand_of(&self, suspect: &Suspect, key: &JobKey) -> Result<Option<Became>, RunError> {
        let jobs = self.jobs_of(key).await?;
        let Some(job) = jobs.first() else {
            return Ok(None);
        };
        let became = if job.state.is_open() {
            match (&job.problem, job.state) {
                (Some(problem), JobState::Problem) => {
                    Became::of(DriftFate::NeedsPerson).because(problem.code.to_string())
                }
                (_, JobState::Held) => Became::left_alone("held"),
                _ => Became::of(DriftFate::InWork),
            }
        } else {
            let is_asked = is_asked(suspect.sign) || (suspect.is_unsent && key.direction == Direction::Out);
            let is_answer = job.state == JobState::Discarded && self.is_answer(suspect.sign, job).await?;
            let is_later = job.updated_at >= suspect.changed_at().plus(CLOCKS);
            match (job.state, &job.reason) {
                (JobState::Discarded, _)
                    if job.updated_at >= suspect.changed_at() && is_asked && is_answer =>
                {
                    Became::left_alone(GIVEN_UP)
                }
                (JobState::Obsolete, Some(reason))
                    if is_later && job.updated_at >= self.rules_since && is_rule(suspect.sign) =>
                {
                    Became::left_alone(reason.clone())
                }
                _ => return Ok(None),
            }
        };
        Ok(Some(Became {
            job: Some(job.id),
            direction: Some(key.direction),
            ..became
        }))
    }

    /// Whether giving up this job answers what a sign asks. That a record is gone has no time: what was given up before was
    /// about something else, and must not hide it. What an order is compared by may be asked for again by other rules.
    async fn is_answer(&self, sign: Sign, job: &JobRow) -> Result<bool, RunError> {
        if sign == Sign::Unnoted {
            return Ok(job.updated_at >= self.rules_since);
        }
        if !is_gone(sign) {
            return Ok(true);
        }
        let is_ours = job.cause == CAUSE;
        let story = self.life.with(self.context.store.job(job.id)).await??;
        let problems = story.map(|story| story.problems).unwrap_or_default();
        Ok(match problems.last().map(|last| last.problem.code.0.as_str()) {
            None | Some(WAITING_FOR_APPROVAL) => is_ours,
            Some(code) => code.ends_with("_not_visible") || code == "erp_record_missing",
        })
    }

    /// What a person said who gave up the job that an earlier run made about the very same; none where nobody did.
    pub(super) async fn given_up(&self, question: &Question) -> Result<Option<Became>, RunError> {
        let Some(asked) = self.asked(question).await? else {
            return Ok(None);
        };
        let story = self.life.with(self.context.store.job(asked)).await??;
        let Some(job) = story.map(|story| story.job) else {
            return Ok(None);
        };
        let is_last = self.jobs_of(&job.key).await?.first().map(|last| last.id) == Some(asked);
        Ok((is_last && job.state == JobState::Discarded).then(|| Became {
            job: Some(asked),
            direction: Some(job.key.direction),
            ..Became::left_alone(GIVEN_UP)
        }))
    }

    /// Makes a job, or says that one would be made.
    pub(super) async fn repair(&self, key: JobKey) -> Result<Became, RunError> {
        let direction = Some(key.direction);
        if self.wanted.dry_run {
            return Ok(Became {
                direction,
                ..Became::of(DriftFate::Repairable)
            });
        }
        if self.is_off_by_now(key.direction).await? {
            return Ok(Became::left_alone("toggle_off"));
        }
        let job = self.enqueue(key).await?;
        Ok(Became {
            direction,
            job: Some(job),
            ..Became::of(DriftFate::Repaired)
        })
    }

    /// Whether the newest configuration of all nodes has a direction off by now. What the run itself goes by is as it was when it
    /// began.
    pub(super) async fn is_off_by_now(&self, direction: Direction) -> Result<bool, RunError> {
        let newest = self.life.with(self.context.store.newest_revision()).await??;
        let Some(newest) = newest else {
            return Ok(false);
        };
        let toggles = &newest.toggles[self.shop.name.as_str()];
        let (category, direction) = match self.wanted.object {
            Object::Order => ("orders", direction),
            Object::Customer => ("customers", direction),
            Object::Product => ("products", direction),
            // Its notices matter only because stock is sent.
            Object::Inventory if toggles["inventory"].is_null() => ("products", Direction::Out),
            Object::Inventory => ("inventory", Direction::Out),
            Object::Shop => return Ok(false),
        };
        Ok(toggles[category][direction.as_str()] == "off")
    }

    pub(super) async fn enqueue(&self, key: JobKey) -> Result<JobId, RunError> {
        let enqueued = self.context.store.enqueue(NewJob {
            key,
            priority: Priority::BACKGROUND,
            now: self.context.clock.now(),
            cause: CAUSE.to_owned(),
        });
        let enqueued = self.life.with(enqueued).await??;
        self.life
            .count(|counts| counts.made += u64::from(enqueued.created));
        Ok(enqueued.job)
    }

    /// Opens the problems of what no job tells of, one for each class: in every run that repairs.
    pub(super) async fn open_problems(&self, book: &Book) -> Result<(), RunError> {
        if self.wanted.dry_run {
            return Ok(());
        }
        let (store, object) = (&self.context.store, self.wanted.object);
        let now = self.context.clock.now();
        let found = match self.wanted.sample {
            Some(_) => "A sample found at least",
            None => "The full run found",
        };
        for Told { class, code } in TOLD {
            let count = book.to_tell.get(&class).copied().unwrap_or_default();
            if count == 0 {
                continue;
            }
            let problem = NewProblem {
                code: code.into(),
                record: None,
                field: Some(object.as_str().to_owned()),
                reason: format!("{found} {count} {object} record(s): {}.", class.sentence()),
                fix: format!(
                    "See them with `lockstep reconcile --report {}`, or on the console under Runs, and put each right in \
                     the ERP. The next full run of all records that finds none closes this.",
                    self.id
                ),
                owner: self.context.owner.clone(),
                mapping: None,
                cluster: object.as_str().to_owned(),
                detail: serde_json::json!({ "run": self.id, "count": count }),
            };
            store.open_shop_problem(&self.shop.name, problem, now).await?;
        }
        Ok(())
    }

    /// Closes those of them of which nothing was found, where everything was looked at.
    pub(super) async fn close_problems(&self, book: &Book) -> Result<(), RunError> {
        let (store, object) = (&self.context.store, self.wanted.object);
        let now = self.context.clock.now();
        for Told { class, code } in TOLD {
            let is_found = book.to_tell.contains_key(&class);
            // What a job is at work on is not put right yet: neither told anew nor closed.
            let is_in_work = book.counts.contains_key(&(class, DriftFate::InWork))
                || (is_amount(class) && book.amounts_in_work);
            if !is_found && !is_in_work {
                store
                    .close_shop_problem(&self.shop.name, code, object.as_str(), now)
                    .await?;
            }
        }
        Ok(())
    }
}

/// Whether an earlier job's end explains what this sign shows.
const fn is_rule(sign: Sign) -> bool {
    matches!(
        sign,
        Sign::Unlinked | Sign::Twin | Sign::Changed | Sign::Unsent | Sign::UnsentVariant
    )
}

/// Whether a job about this sign would ask what a person answered by giving one up.
pub(super) const fn is_asked(sign: Sign) -> bool {
    is_rule(sign) || is_gone(sign) || matches!(sign, Sign::Alive | Sign::Unnoted)
}

/// Whether one side has a linked record no more.
const fn is_gone(sign: Sign) -> bool {
    matches!(sign, Sign::GoneFromShop | Sign::GoneFromErp)
}
