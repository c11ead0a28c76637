//! The nightly list of all ids, and what is told where too many are gone.

use std::time::Duration;

use super::Poller;
use super::due::ModelPolls;
use crate::config::Shop;
use crate::domain::NewProblem;
use crate::erp::Erp;
use crate::poll::{self, Hold, Poll, PollError, Vanished};
use crate::queue::Schedule;
use crate::store::StoreError;

/// The problem's code.
const CODE: &str = "erp_records_vanished";

/// How soon it is looked again whether what was gone is back.
const LOOK_AGAIN: Duration = Duration::from_hours(1);

impl Poller {
    /// Lists all ids of a model if that is due, or if a person just said what is to become of those that are gone.
    pub(super) async fn sweep_if_due(
        &self,
        shop: &Shop,
        poll: &Poll<'_, dyn Erp>,
        known: &mut ModelPolls,
    ) -> Result<(), PollError> {
        let model = poll.watched.model;
        let Ok(schedule) = Schedule::parse(&shop.odoo.server.sweep) else {
            // The configuration was checked.
            return Ok(());
        };
        let now = self.clock.now();
        if known.sweep_at.is_none() {
            let cursor = self.store.poll_cursor(&shop.name, model).await?;
            let last = cursor.and_then(|cursor| cursor.swept_at);
            known.sweep_at = Some(last.map_or(now, |last| {
                schedule.next_after_in(last, shop.time_zone).unwrap_or(now)
            }));
        }
        let is_due = known.sweep_at.is_some_and(|at| at <= now);
        if !is_due && !known.is_held {
            return Ok(());
        }
        let hold = Hold::read(&self.store, &shop.name, model).await?;
        if !is_due && hold != Hold::Accepted {
            return Ok(());
        }
        let swept = poll::sweep(poll, hold == Hold::Accepted).await?;
        known.sweep_at = schedule.next_after_in(now, shop.time_zone);
        known.is_held = swept.held.is_some();
        if let Some(vanished) = swept.held {
            let soon = now.plus(LOOK_AGAIN);
            known.sweep_at = Some(known.sweep_at.map_or(soon, |at| at.min(soon)));
            if hold != Hold::Held {
                Hold::Held.write(&self.store, &shop.name, model, now).await?;
            }
            tracing::warn!(
                shop = %shop.name, model, gone = vanished.gone, known = vanished.known,
                "so many records of the ERP are gone that a person is asked"
            );
            let problem = vanished_problem(shop, poll, vanished);
            self.store.open_shop_problem(&shop.name, problem, now).await?;
            return Ok(());
        }
        self.release(shop, model, hold).await?;
        if swept.changed > 0 {
            tracing::info!(
                shop = %shop.name, model, rows = swept.changed, jobs = swept.made,
                "a look at all ids found changes"
            );
        }
        Ok(())
    }

    /// Nothing of a model is held any more.
    pub(super) async fn release(&self, shop: &Shop, model: &str, hold: Hold) -> Result<(), StoreError> {
        if hold == Hold::None {
            return Ok(());
        }
        let now = self.clock.now();
        self.store
            .close_shop_problem(&shop.name, CODE, model, now)
            .await?;
        Hold::None.write(&self.store, &shop.name, model, now).await
    }
}

fn vanished_problem(shop: &Shop, poll: &Poll<'_, dyn Erp>, vanished: Vanished) -> NewProblem {
    let (object, model, name) = (poll.watched.object, poll.watched.model, &shop.name);
    let Vanished { gone, known } = vanished;
    NewProblem {
        code: CODE.into(),
        record: None,
        field: Some(model.to_owned()),
        reason: format!(
            "{gone} of {known} records of {model} are not in the ERP any more: more than 5 % (and than 20) at once, as when it \
             was restored from an older copy or exchanged for another one. So the list of all ids made no jobs."
        ),
        fix: format!(
            "If it is the wrong ERP or an old copy, put that right: what is there again is found within an hour. If they were \
             deleted on purpose: `lockstep sync {object} all --out --shop {name}`, and what is gone is carried over, too. If the \
             shop is to stay as it is: switch `out` of {object} off and on again; then what changes from there on counts."
        ),
        owner: shop.owner.clone(),
        mapping: None,
        cluster: model.to_owned(),
        detail: serde_json::json!({ "gone": gone, "known": known }),
    }
}
