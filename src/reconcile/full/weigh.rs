//! What becomes of a record that may differ: it is read fresh on both sides, and a job is made, a person is told, or a rule
//! says that it stays so.

use super::book::{About, Became, Book, class_of};
use super::hand::{CLOCKS, GIVEN_UP};
use super::shelf::{Sign, Suspect};
use super::{Run, RunError};
use crate::domain::{
    DriftClass, DriftFate, Link, LinkState, Object, RecordKey, ShopifyId, System, Timestamp,
};
use crate::shopify::ShopifyError;
use crate::store::{Adopted, Adoption};
use crate::sync::{Comparison, PreviewError};

/// Comparisons that may fail in a row; then it is not the records.
const MOST_FAILED: u32 = 20;

impl Run<'_> {
    /// Looks at one record, and does what is to be done about it.
    pub(super) async fn weigh(&self, suspect: Suspect, book: &mut Book) -> Result<(), RunError> {
        if suspect.sign == Sign::ErpTwin {
            let became = Became::of(DriftFate::NeedsPerson).because("drift_duplicate_in_erp");
            let about = About {
                erp: suspect.beside.map(|id| format!("beside #{id}")),
                ..About::default()
            };
            book.enter(DriftClass::DuplicateInErp, &suspect, about, became);
            return Ok(());
        }
        let hand = self.in_hand(&suspect).await?;
        let is_new = |became: &Became| became.fate == DriftFate::InWork;
        if is_gone_from_shop(suspect.sign) && hand.as_ref().is_none_or(is_new) {
            match self.is_on_shop(&suspect).await? {
                Ok(false) => {}
                // It was made while the shop was listed: its own event tells of it.
                Ok(true) => {
                    book.looked.left_to_events += 1;
                    return Ok(());
                }
                Err(error) => return self.not_compared(suspect, &error, book),
            }
        }
        if let Some(became) = hand {
            if is_new(&became) {
                // A job that is at work may have read the record before it changed.
                book.undecided(&suspect);
            }
            if suspect.sign == Sign::Total {
                return self.amounts_first(suspect, became, book).await;
            }
            if suspect.sign == Sign::Unnoted && became.why.as_deref() != Some(GIVEN_UP) {
                // Nothing says that it differs. Its job notes what the mapping makes of it: the next run tells by that what does.
                return Ok(());
            }
            book.enter(class_of(suspect.sign), &suspect, About::default(), became);
            return Ok(());
        }
        if let (Sign::Moved | Sign::Edited, Some(told)) = (suspect.sign, suspect.told) {
            // People edit many records and leave them so: what was found once is counted, not read whole every night.
            book.tally(DriftClass::FieldDiffers, DriftFate::LeftAlone, told);
            book.looked.in_step += u64::from(told == 0);
            return Ok(());
        }
        match suspect.sign {
            Sign::GoneFromBoth => self.orphaned(suspect, book).await,
            Sign::GoneFromShop => self.gone_from_shop(suspect, book).await,
            Sign::GoneFromErp => self.gone_from_erp(suspect, book).await,
            Sign::Unsent => self.unsent_one(suspect, book).await,
            Sign::Unlinked | Sign::Twin => self.unlinked_one(suspect, book).await,
            _ if suspect.is_hidden => self.hidden_one(suspect, book).await,
            Sign::Changed
            | Sign::Edited
            | Sign::Moved
            | Sign::Alive
            | Sign::Total
            | Sign::Picked
            | Sign::Unnoted
            | Sign::UnsentVariant => self.linked_one(suspect, book).await,
            // Each is seen to where it is found.
            Sign::ErpTwin | Sign::Level | Sign::Document => Ok(()),
        }
    }

    /// Whether the shop has the record after all. A list tells of what was there when each of its parts was read.
    async fn is_on_shop(&self, suspect: &Suspect) -> Result<Result<bool, PreviewError>, RunError> {
        let Some(id) = suspect.source else {
            return Ok(Ok(false));
        };
        let source = &self.context.source;
        let asked = async {
            match self.wanted.object {
                Object::Order => source.order(id, "").await.map(|found| found.is_some()),
                Object::Customer => source.customer(id, "").await.map(|found| found.is_some()),
                Object::Product => source.product(id, "").await.map(|found| found.is_some()),
                Object::Inventory | Object::Shop => Ok(false),
            }
        };
        let asked: Result<bool, ShopifyError> = self.life.with(asked).await?;
        Ok(asked.map_err(|error| PreviewError::Failed {
            reason: error.to_string(),
            fix: error.fix(),
        }))
    }

    /// The link as it is now.
    async fn link_now(&self, suspect: &Suspect) -> Result<Option<Link>, RunError> {
        let Some(source) = suspect.source else {
            return Ok(None);
        };
        let (store, ids) = (&self.context.store, [source.to_string()]);
        let links = store.links(&self.shop.name, self.kind, &ids);
        Ok(self.life.with(links).await??.pop())
    }

    /// Neither side has it: the link is history. No record is touched by that.
    async fn orphaned(&self, suspect: Suspect, book: &mut Book) -> Result<(), RunError> {
        let Some(link) = self.live(&suspect).await? else {
            return Ok(());
        };
        let became = if self.wanted.dry_run {
            Became::of(DriftFate::Repairable)
        } else {
            let record = |system, model: &str, id: String| RecordKey {
                shop: self.shop.name.clone(),
                system,
                model: model.to_owned(),
                id,
            };
            let object = self.wanted.object.as_str();
            let records = vec![
                record(System::Shopify, object, link.source_id.clone()),
                record(System::Erp, object, link.erp_id.to_string()),
                record(System::Erp, &link.model, link.erp_id.to_string()),
            ];
            let retired = Link {
                state: LinkState::Retired,
                ..link
            };
            let group = Adoption {
                records,
                links: vec![retired],
            };
            let now = self.context.clock.now();
            match self.context.store.adopt_links(vec![group], now).await?.first() {
                Some(Adopted::Done) => Became::of(DriftFate::Repaired),
                _ => Became::of(DriftFate::InWork),
            }
        };
        book.enter(
            DriftClass::OrphanedLink,
            &suspect,
            About::default(),
            became.because("link_retired"),
        );
        Ok(())
    }

    pub(super) async fn live(&self, suspect: &Suspect) -> Result<Option<Link>, RunError> {
        let link = self.link_now(suspect).await?;
        Ok(link.filter(|link| link.state != LinkState::Retired))
    }

    /// The shop does not list it. Only its own word makes it deleted, so the job asks where it never came.
    async fn gone_from_shop(&self, suspect: Suspect, book: &mut Book) -> Result<(), RunError> {
        let (Some(source), Some(_)) = (suspect.source, self.live(&suspect).await?) else {
            return Ok(());
        };
        let became = self.job_in(source).await?;
        let became = match became.fate {
            // A dry run says the same as the run that it stands for.
            DriftFate::Repaired | DriftFate::Repairable => Became {
                fate: DriftFate::NeedsPerson,
                ..became.because("not_on_shopify_any_more")
            },
            _ => became,
        };
        book.enter(DriftClass::Deleted, &suspect, About::default(), became);
        Ok(())
    }

    /// The job of the way in, where that is switched on.
    pub(super) async fn job_in(&self, source: ShopifyId) -> Result<Became, RunError> {
        if self.context.not_in.contains(&self.wanted.object) {
            return Ok(Became::left_alone("toggle_off"));
        }
        self.repair(self.key_in(source)).await
    }

    /// The ERP does not have it any more. The way out says what becomes of the shop's record; without it, it is made again.
    pub(super) async fn gone_from_erp(&self, suspect: Suspect, book: &mut Book) -> Result<(), RunError> {
        let (Some(source), Some(link)) = (suspect.source, self.live(&suspect).await?) else {
            return Ok(());
        };
        let became = if self.context.out.contains(&self.wanted.object) {
            self.repair(self.key_out(link.erp_id)).await?
        } else {
            self.job_in(source).await?
        };
        let became = match became.fate {
            // It is not made again: Shopify does not show what it was.
            DriftFate::Repaired | DriftFate::Repairable if suspect.is_hidden => Became {
                fate: DriftFate::NeedsPerson,
                ..became.because("order_not_visible")
            },
            // Nor is any other order: its job asks who deleted it.
            DriftFate::Repaired | DriftFate::Repairable if self.wanted.object == Object::Order => Became {
                fate: DriftFate::NeedsPerson,
                ..became.because("erp_record_missing")
            },
            _ => became,
        };
        let about = About {
            model: Some(format!("{} {}", link.model, link.erp_id)),
            name: link.erp_name,
            ..About::default()
        };
        book.enter(DriftClass::GoneFromErp, &suspect, about, became);
        Ok(())
    }

    /// It is new in the ERP and not on the shop.
    async fn unsent_one(&self, suspect: Suspect, book: &mut Book) -> Result<(), RunError> {
        let Some(id) = suspect.erp else { return Ok(()) };
        let ids = [id];
        let asked = self.shop.engine.unsent(&self.shop.name, self.wanted.object, &ids);
        let unsent = match self.life.with(asked).await? {
            Ok(unsent) => unsent.into_iter().next(),
            Err(error) => return self.not_compared(suspect, &error, book),
        };
        let Some(unsent) = unsent else { return Ok(()) };
        let became = match unsent.left_alone {
            Some(rule) => {
                // As of what the shop alone has: its job says so again, and the next run takes its word.
                let is_settled = self.context.clock.now() >= suspect.written_at.plus(CLOCKS);
                if is_settled && !self.wanted.dry_run {
                    self.enqueue(self.key_out(id)).await?;
                }
                Became::left_alone(rule)
            }
            None => self.repair(self.key_out(id)).await?,
        };
        let about = About {
            name: Some(unsent.name),
            ..About::default()
        };
        book.enter(DriftClass::MissingOnShopify, &suspect, about, became);
        Ok(())
    }

    /// It is on the shop, and no link leads to it.
    async fn unlinked_one(&self, suspect: Suspect, book: &mut Book) -> Result<(), RunError> {
        let Some(source) = suspect.source else {
            return Ok(());
        };
        let class = class_of(suspect.sign);
        match self.link_now(&suspect).await? {
            Some(link) if link.state == LinkState::Retired => {
                let became = Became::left_alone("link_retired");
                book.enter(class, &suspect, About::default(), became);
                return Ok(());
            }
            // A webhook's job was quicker.
            Some(_) => return Ok(()),
            None => {}
        }
        let comparison = match self.compared(&suspect, source, book).await? {
            Seen::Fresh(comparison) => comparison,
            Seen::Nothing => return Ok(()),
        };
        let Some(into) = &comparison.into_erp else {
            return Ok(());
        };
        let about = About {
            name: into.record_name.clone(),
            ..About::default()
        };
        let became = if let Some(rule) = left_alone(&into.verdict) {
            // Its job says so again, late enough after the change for the next run to take its word: else the record would be
            // read whole every night.
            let is_settled = self.context.clock.now() >= suspect.updated_at.plus(CLOCKS);
            if is_settled && !self.wanted.dry_run {
                self.enqueue(self.key_in(source)).await?;
            }
            Became::left_alone(rule)
        } else {
            let became = self.job_in(source).await?;
            match &into.problem {
                Some(problem) => Became {
                    fate: DriftFate::NeedsPerson,
                    ..became.because(problem.code.to_string())
                },
                None => became,
            }
        };
        book.enter(class, &suspect, about, became);
        Ok(())
    }

    /// Both sides of a record, read now.
    pub(super) async fn compared(
        &self,
        suspect: &Suspect,
        source: ShopifyId,
        book: &mut Book,
    ) -> Result<Seen, RunError> {
        let comparison = self
            .shop
            .engine
            .compare(&self.shop.name, self.wanted.object, source);
        let comparison = match self.life.with(Box::pin(comparison)).await? {
            Ok(comparison) => comparison,
            // It went while the run looked: its own event tells of that.
            Err(PreviewError::NotFound { .. }) if suspect.sign != Sign::Picked => {
                book.undecided(suspect);
                book.looked.left_to_events += 1;
                return Ok(Seen::Nothing);
            }
            Err(PreviewError::NotFound { .. }) => {
                if !self.picked_hidden(suspect, book).await? {
                    self.gone_from_shop(*suspect, book).await?;
                }
                return Ok(Seen::Nothing);
            }
            Err(error) => {
                self.not_compared(*suspect, &error, book)?;
                return Ok(Seen::Nothing);
            }
        };
        book.failed_in_a_row = 0;
        book.looked.compared += 1;
        let changed_at = comparison.into_erp.as_ref().and_then(|into| into.changed_at);
        let is_listed = suspect.updated_at > Timestamp::from_millis(0);
        if is_listed && changed_at.is_some_and(|changed| changed > suspect.updated_at) {
            book.undecided(suspect);
            book.looked.left_to_events += 1;
            return Ok(Seen::Nothing);
        }
        Ok(Seen::Fresh(Box::new(comparison)))
    }

    /// Notes a record that could not be compared, and goes on: unless none can.
    pub(super) fn not_compared(
        &self,
        suspect: Suspect,
        error: &PreviewError,
        book: &mut Book,
    ) -> Result<(), RunError> {
        book.undecided(&suspect);
        book.failed_in_a_row += 1;
        // What a system said may quote customers: it is told by its kind.
        tracing::debug!(
            run = self.id,
            kind = kind_of(error),
            "a record cannot be compared"
        );
        if book.failed_in_a_row >= MOST_FAILED {
            return Err(RunError::Compare {
                run: self.id,
                tried: book.failed_in_a_row,
            });
        }
        let became = Became::of(DriftFate::Unexplained).because("cannot_be_compared");
        book.enter(DriftClass::NotCompared, &suspect, About::default(), became);
        Ok(())
    }
}

/// What kept a record from being compared.
pub(super) const fn kind_of(error: &PreviewError) -> &'static str {
    match error {
        PreviewError::UnknownShop(_) => "no such shop",
        PreviewError::NotFound { .. } => "not found",
        PreviewError::Unsupported(_) => "not compared at all",
        PreviewError::Failed { .. } => "a side did not answer",
    }
}

/// A comparison, or none where the record is left alone for now.
pub(super) enum Seen {
    Fresh(Box<Comparison>),
    Nothing,
}

const fn is_gone_from_shop(sign: Sign) -> bool {
    matches!(sign, Sign::GoneFromShop | Sign::GoneFromBoth)
}

/// The rule by which the flow would leave a record alone, from its verdict.
pub(super) fn left_alone(verdict: &str) -> Option<String> {
    verdict.strip_prefix("would be left alone: ").map(str::to_owned)
}
