//! Orders that Shopify hides: it shows an app without `read_all_orders` those of the last sixty days only. Nothing tells them
//! from deleted ones but their age, so they are not taken for deleted. What the ERP has of them is checked against what was
//! booked.

use std::time::Duration;

use super::book::{Became, Book};
use super::linked::{is_amount, of_amount};
use super::look::source_of;
use super::orders::has_other_amounts;
use super::shelf::{ShopShelf, Sign, Suspect};
use super::{Run, RunError};
use crate::domain::{DriftClass, DriftFate, Link, Object};
use crate::erp::{OrderStanding, OrderState};
use crate::sync::{is_entered_by_hand, was_confirmed};

/// How long an order is surely shown: sixty days, less one because lists take their time and clocks differ.
const SHOWN: Duration = Duration::from_hours(59 * 24);

impl Run<'_> {
    /// Whether Shopify hides old orders. It is asked once, and only where an order is missing.
    async fn hides_old_orders(&self, book: &mut Book) -> Result<bool, RunError> {
        if let Some(hides) = book.hides_old_orders {
            return Ok(hides);
        }
        let asked = self.life.with(self.context.source.hides_old_orders()).await?;
        let hides = asked.map_err(|source| RunError::Shopify { run: self.id, source })?;
        book.hides_old_orders = Some(hides);
        Ok(hides)
    }

    /// Whether an order that Shopify does not show is hidden, as far as its age tells. `shop` is the list, where one was read.
    pub(super) async fn is_hidden(
        &self,
        link: &Link,
        theirs: Option<&OrderStanding>,
        shop: Option<&ShopShelf>,
        book: &mut Book,
    ) -> Result<bool, RunError> {
        if !self.hides_old_orders(book).await? {
            return Ok(false);
        }
        if shop.is_some_and(ShopShelf::is_empty) {
            return Ok(true);
        }
        let since = self.started_at.minus(SHOWN);
        if link.source_updated_at.is_some_and(|applied| applied < since) {
            return Ok(true);
        }
        if let Some(ordered) = theirs.and_then(|theirs| theirs.ordered_at) {
            return Ok(ordered < since);
        }
        Ok(shop
            .zip(source_of(link))
            .is_some_and(|(shop, source)| shop.is_older(source)))
    }

    /// The ERP's order is not as it was booked; Shopify shows nothing to compare it with.
    pub(super) async fn hidden_one(&self, suspect: Suspect, book: &mut Book) -> Result<(), RunError> {
        let Some(link) = self.live(&suspect).await? else {
            return Ok(());
        };
        let mut found = Vec::new();
        self.amounts(&suspect, &link, &mut found).await?;
        if suspect.is_away {
            found.push(self.put_away(&link));
        }
        if found.is_empty() {
            book.looked.in_step += 1;
        }
        for finding in found {
            let became = if is_amount(finding.class) {
                of_amount(finding.class)
            } else {
                Became::left_alone("put_away_in_the_erp")
            };
            book.enter(finding.class, &suspect, finding.about, became);
        }
        Ok(())
    }

    /// Whether an order of a sample is hidden; then what the ERP has of it is looked at here.
    pub(super) async fn picked_hidden(&self, suspect: &Suspect, book: &mut Book) -> Result<bool, RunError> {
        if self.wanted.object != Object::Order {
            return Ok(false);
        }
        let Some(link) = self.live(suspect).await? else {
            return Ok(false);
        };
        let standings = self.ask(self.context.erp.order_standings(&[link.erp_id])).await?;
        let theirs = standings.first();
        if !self.is_hidden(&link, theirs, None, book).await? {
            return Ok(false);
        }
        book.tally(DriftClass::Deleted, DriftFate::LeftAlone, 1);
        match hidden(&link, theirs) {
            Some(suspect) if suspect.sign == Sign::GoneFromErp => self.gone_from_erp(suspect, book).await?,
            Some(suspect) => self.hidden_one(suspect, book).await?,
            None => book.looked.in_step += 1,
        }
        Ok(true)
    }
}

/// What is to be looked at about a hidden order; none where the ERP has it as it was booked.
pub(super) fn hidden(link: &Link, theirs: Option<&OrderStanding>) -> Option<Suspect> {
    let suspect = Suspect {
        is_hidden: true,
        ..Suspect::new(Sign::Moved, source_of(link), Some(link.erp_id))
    };
    let Some(theirs) = theirs else {
        return Some(Suspect {
            sign: Sign::GoneFromErp,
            ..suspect
        });
    };
    if is_entered_by_hand(link) {
        return None;
    }
    if theirs.state == OrderState::Cancelled {
        // One that was cancelled on Shopify while it was shown is not confirmed by its link.
        return was_confirmed(link).then_some(Suspect {
            is_away: true,
            ..suspect
        });
    }
    has_other_amounts(link, theirs).then_some(Suspect {
        sign: Sign::Total,
        ..suspect
    })
}
