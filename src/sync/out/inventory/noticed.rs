//! A level that changed on the shop: by a sale, by a parcel, by our own push, or because somebody set it by hand.
//!
//! What the shop shows is compared with what was agreed on, so that our own write coming back ends here. Anything else has the
//! product's stock looked at, which writes the ERP's number again or leaves the shop's, as the mapping's `truth` says.
//!
//! A level that fell may have been sold and handed over at once, and the shop's two notices come in any sequence: the order's is
//! waited for, because the stock of an order that nobody knows of yet would be put back.

use std::time::Duration;

use super::job_of_product;
use super::reckon::{Quantity, agreed_as};
use crate::domain::{FieldValue, ItemStock, LinkKind, Object, Outcome, Report, ShopifyId};
use crate::sync::agree::{Agreed, Agreement, hash};
use crate::sync::flow::{Flow, agreed_out_of};
use crate::sync::live;
use crate::sync::stop::Stop;

/// How long an order's own notice may come after that of the level that it lowered.
const ORDER_MAY_FOLLOW: Duration = Duration::from_mins(1);

/// Of an agreed number only the hash is kept: so many numbers below the one that is shown are tried to tell whether it rose.
const RISE: usize = 10_000;

/// How the shop's levels stand to what was agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Moved {
    /// All show what was agreed on.
    Not,
    /// What differs is more than was agreed on.
    Up,
    /// At least one shows less, or nobody knows.
    Down,
}

/// The job of an inventory item.
pub(in crate::sync::out) async fn noticed(flow: &Flow<'_>) -> Result<Report, Stop> {
    let shop = flow.shop;
    if !flow.is_sent_out(Object::Inventory) {
        return Err(Stop::Obsolete("stock_is_not_sent_out".into()));
    }
    let item = flow.job.key.source_id.clone();
    let links = shop
        .store
        .links(&shop.name, LinkKind::Inventory, std::slice::from_ref(&item))
        .await?;
    // What was never sent is not followed.
    let (Some(link), Ok(number)) = (live(links), item.parse::<ShopifyId>()) else {
        return Err(Stop::Obsolete("its_stock_was_never_sent".into()));
    };
    let held = shop.target.item_stock(&[number]).await?;
    let Some(held) = held.into_iter().next() else {
        return Err(Stop::Obsolete("deleted_on_shopify".into()));
    };
    if !held.tracked {
        return Err(Stop::Obsolete("not_tracked_on_shopify".into()));
    }
    let seen_at = flow.job.wanted_since.plus(ORDER_MAY_FOLLOW);
    match moved(&agreed_out_of(&link), &held) {
        Moved::Not => {
            return Ok(Report::of(
                Outcome::Completed,
                "the shop shows what was agreed on",
            ));
        }
        Moved::Down if shop.clock.now() < seen_at => {
            return Ok(Report::of(
                Outcome::Later { at: seen_at },
                "a level fell: the order that lowered it may be on its way",
            ));
        }
        Moved::Up | Moved::Down => {}
    }
    let cause = format!("a level of item {item} changed on the shop");
    let mut report = Report::of(
        Outcome::Completed,
        "the shop shows another number: its product's stock is looked at",
    );
    report.enqueue = vec![job_of_product(flow, &link.model, link.erp_id, cause).await?];
    Ok(report)
}

/// Compares every level with what the shop showed when both sides agreed. Levels that nobody agreed on are not followed; where
/// nobody ever did (earlier versions kept no word of it), it is not known.
fn moved(known: &Agreement, held: &ItemStock) -> Moved {
    if known.is_empty() {
        return Moved::Down;
    }
    let levels = held.levels.iter().flat_map(|level| {
        [Quantity::OnHand, Quantity::Available]
            .into_iter()
            .filter_map(move |quantity| {
                let agreed = known.get(&agreed_as(quantity, level.location))?;
                Some(since(agreed.target.as_deref(), quantity.of(level)))
            })
    });
    levels.max().unwrap_or(Moved::Not)
}

/// Whether a level shows less than was agreed on. One that nobody agreed on did not fall.
pub(super) fn has_fallen(agreed: Option<&Agreed>, shown: i64) -> bool {
    agreed.is_some_and(|agreed| since(agreed.target.as_deref(), shown) == Moved::Down)
}

/// How a number moved since this one was agreed on.
fn since(agreed: Option<&str>, now: i64) -> Moved {
    let is = |number: i64| agreed == Some(hash(&FieldValue::Integer(number)).as_str());
    if is(now) {
        Moved::Not
    } else if (0..now).rev().take(RISE).any(is) {
        Moved::Up
    } else {
        Moved::Down
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::LevelStock;

    #[test]
    fn only_what_was_agreed_on_is_compared() {
        let agreed = |name: &str, shop: i64| {
            let agreed = Agreed {
                source: String::new(),
                target: Some(hash(&FieldValue::Integer(shop))),
            };
            (name.to_owned(), agreed)
        };
        let level = |location, on_hand, available| LevelStock {
            location: ShopifyId(location),
            on_hand,
            available,
            committed: on_hand - available,
        };
        let held = ItemStock {
            item: ShopifyId(5),
            variant: None,
            tracked: true,
            levels: vec![level(1, 9, 7), level(2, 4, 4)],
        };
        for (name, known, expected) in [
            ("nobody knows", vec![], Moved::Down),
            ("our own write", vec![agreed("on_hand@1", 9)], Moved::Not),
            ("set by hand", vec![agreed("on_hand@1", 8)], Moved::Up),
            ("from none", vec![agreed("on_hand@1", 0)], Moved::Up),
            ("sold", vec![agreed("available@1", 9)], Moved::Down),
            (
                "at another place",
                vec![agreed("on_hand@1", 9), agreed("on_hand@2", 5)],
                Moved::Down,
            ),
            (
                "from one place to the other",
                vec![agreed("on_hand@1", 12), agreed("on_hand@2", 1)],
                Moved::Down,
            ),
        ] {
            assert_eq!(moved(&known.into_iter().collect(), &held), expected, "{name}");
        }
    }
}
