//! What is to be shown where: from the ERP's numbers and the shop's, without asking anybody.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;

use super::super::guard;
use crate::domain::{ErpId, FieldValue, ItemStock, LevelStock, Location, ShopifyId};

/// A location of the shop, and the warehouse that feeds it (none: all of them).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) location: ShopifyId,
    pub(super) warehouse: Option<ErpId>,
}

/// A single location is fed by everything unless something else is said. Of several, those that the table names are fed.
pub(super) fn assign(
    locations: &[Location],
    feeds: &BTreeMap<ShopifyId, Option<ErpId>>,
) -> Result<(Vec<Place>, Vec<String>), Vec<String>> {
    let named = |location: &Location| format!("{} ({})", location.name, location.id);
    if let ([only], true) = (locations, feeds.is_empty()) {
        let place = Place {
            location: only.id,
            warehouse: None,
        };
        return Ok((vec![place], Vec::new()));
    }
    let fed = |location: &Location| {
        Some(Place {
            location: location.id,
            warehouse: *feeds.get(&location.id)?,
        })
    };
    let places: Vec<Place> = locations.iter().filter_map(fed).collect();
    let left = locations.iter().filter(|location| fed(location).is_none());
    let left: Vec<String> = left.map(named).collect();
    if places.is_empty() {
        return Err(left);
    }
    Ok((places, left))
}

/// What the mapping makes of the ERP's numbers, for each location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Which of the shop's quantities is set.
    pub(super) quantity: Quantity,
    pub(super) at: Vec<(ShopifyId, i64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantity {
    OnHand,
    Available,
}

impl Quantity {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::OnHand => "on_hand",
            Self::Available => "available",
        }
    }

    pub(super) const fn of(self, level: &LevelStock) -> i64 {
        match self {
            Self::OnHand => level.on_hand,
            Self::Available => level.available,
        }
    }
}

/// Whole units that can be sold: parts of one are not there yet, and fewer than none the shop does not take.
pub(super) fn units(value: &FieldValue) -> i64 {
    match value {
        FieldValue::Integer(units) => (*units).max(0),
        FieldValue::Decimal(units) => units.floor().max(Decimal::ZERO).to_i64().unwrap_or(i64::MAX),
        _ => 0,
    }
}

/// What the ERP is still to deliver of a variant to the shop's orders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) demanded: i64,
    pub(super) reserved: i64,
}

impl Open {
    /// What may be shown of what the ERP has.
    pub(super) fn taken_off(self, mut wanted: Wanted, held: &ItemStock, minus_open_orders: bool) -> Wanted {
        let committed: i64 = held.levels.iter().map(|level| level.committed).sum();
        match wanted.quantity {
            Quantity::OnHand => {
                // The shop has sent these already (they are committed no more), the ERP has not.
                let ahead = (self.demanded - committed).max(0);
                for (_, quantity) in &mut wanted.at {
                    *quantity = (*quantity - ahead).max(0);
                }
            }
            Quantity::Available if minus_open_orders => {
                let mut left = (committed - self.reserved).max(0);
                for (location, quantity) in &mut wanted.at {
                    let here = held.levels.iter().find(|level| level.location == *location);
                    let taken = here.map_or(0, |level| level.committed).clamp(0, left);
                    left -= taken;
                    *quantity = (*quantity - taken).max(0);
                }
            }
            Quantity::Available => {}
        }
        wanted
    }
}

/// What is to be done at the locations.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) quantity: Quantity,
    /// To be written: with the number that the shop holds now, where it holds one.
    pub(super) sets: Vec<Set>,
    /// To rise once the orders in work are carried in.
    pub(super) waits: Vec<(ShopifyId, i64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Set {
    pub(super) location: ShopifyId,
    pub(super) quantity: i64,
    pub(super) from: Option<i64>,
}

impl Plan {
    /// What the limits on sudden change are to know.
    pub(super) fn changes(&self, item: ShopifyId) -> guard::Changes {
        let zeroed = self
            .sets
            .iter()
            .filter(|set| set.quantity == 0 && set.from.is_some_and(|from| from > 0));
        guard::Changes {
            zeroed: zeroed.map(|set| format!("{item}@{}", set.location)).collect(),
            plan: self
                .sets
                .iter()
                .map(|set| (set.location.to_string(), FieldValue::Integer(set.quantity)))
                .collect(),
            ..guard::Changes::default()
        }
    }
}

pub(super) fn plan(wanted: &Wanted, held: &ItemStock, may_rise: bool) -> Plan {
    let mut plan = Plan {
        quantity: wanted.quantity,
        sets: Vec::new(),
        waits: Vec::new(),
    };
    for &(location, quantity) in &wanted.at {
        let level = held.levels.iter().find(|level| level.location == location);
        let from = level.map(|level| wanted.quantity.of(level));
        // A location that never had any of it shows none.
        let shown = from.unwrap_or(0);
        if quantity > shown && !may_rise {
            plan.waits.push((location, quantity));
        } else if quantity != shown {
            plan.sets.push(Set {
                location,
                quantity,
                from,
            });
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(id: u64, name: &str) -> Location {
        Location {
            id: ShopifyId(id),
            name: name.to_owned(),
            active: true,
            fulfills_online: true,
        }
    }

    #[test]
    fn one_location_is_fed_by_everything_and_several_as_the_table_says() {
        let one = [location(1, "Shop")];
        let two = [location(1, "Shop"), location(2, "Depot")];
        let feeds = |pairs: &[(u64, i64)]| {
            let feed = |(location, warehouse): &(u64, i64)| {
                (
                    ShopifyId(*location),
                    (*warehouse > 0).then_some(ErpId(*warehouse)),
                )
            };
            pairs.iter().map(feed).collect()
        };
        let place = |location, warehouse: Option<i64>| Place {
            location: ShopifyId(location),
            warehouse: warehouse.map(ErpId),
        };
        assert_eq!(assign(&one, &feeds(&[])), Ok((vec![place(1, None)], vec![])));
        assert_eq!(
            assign(&one, &feeds(&[(1, 7)])),
            Ok((vec![place(1, Some(7))], vec![]))
        );
        assert_eq!(
            assign(&two, &feeds(&[(2, 7)])),
            Ok((vec![place(2, Some(7))], vec!["Shop (1)".to_owned()]))
        );
        let nothing = vec!["Shop (1)".to_owned(), "Depot (2)".to_owned()];
        assert_eq!(assign(&two, &feeds(&[])), Err(nothing));
        assert!(assign(&one, &feeds(&[(9, 7)])).is_err());
    }

    #[test]
    fn only_whole_units_that_are_there_are_sent() {
        for (value, expected) in [
            (FieldValue::Integer(5), 5),
            (FieldValue::Integer(-2), 0),
            (FieldValue::Decimal(Decimal::new(29, 1)), 2),
            (FieldValue::Decimal(Decimal::new(-5, 1)), 0),
            (FieldValue::Clear, 0),
        ] {
            assert_eq!(units(&value), expected, "{value}");
        }
    }

    fn level(location: ShopifyId, on_hand: i64, committed: i64) -> LevelStock {
        LevelStock {
            location,
            available: on_hand - committed,
            on_hand,
            committed,
        }
    }

    fn held(levels: Vec<LevelStock>) -> ItemStock {
        ItemStock {
            item: ShopifyId(5),
            variant: None,
            tracked: true,
            levels,
        }
    }

    #[test]
    fn units_that_nobody_reserved_are_taken_off_where_they_are_committed() {
        let (front, back) = (ShopifyId(1), ShopifyId(2));
        let held = held(vec![level(front, 3, 3), level(back, 4, 4)]);
        let sent = Wanted {
            quantity: Quantity::Available,
            at: vec![(front, 10), (back, 2)],
        };
        let after = |reserved, minus| {
            let open = Open {
                demanded: reserved,
                reserved,
            };
            let wanted = open.taken_off(sent.clone(), &held, minus);
            (wanted.at[0].1, wanted.at[1].1)
        };
        assert_eq!(after(0, false), (10, 2), "the mapping does not ask");
        assert_eq!(after(7, true), (10, 2), "all is reserved");
        assert_eq!(after(9, true), (10, 2));
        assert_eq!(after(5, true), (8, 2));
        assert_eq!(after(0, true), (7, 0), "never below none");
    }

    #[test]
    fn what_the_shop_sent_and_the_erp_did_not_is_taken_off_what_is_on_hand() {
        let at = ShopifyId(1);
        for (name, erp, demanded, committed, expected) in [
            ("nothing open", 12, 0, 0, 12),
            ("sold, and sent by nobody", 12, 3, 3, 12),
            ("sent by the shop", 12, 3, 0, 9),
            ("one of two parcels sent", 12, 5, 2, 9),
            ("sold, and not carried in yet", 12, 0, 4, 12),
            ("more than there is", 2, 5, 0, 0),
        ] {
            let wanted = Wanted {
                quantity: Quantity::OnHand,
                at: vec![(at, erp)],
            };
            let open = Open {
                demanded,
                reserved: 0,
            };
            let held = held(vec![level(at, 7, committed)]);
            assert_eq!(
                open.taken_off(wanted, &held, false).at,
                [(at, expected)],
                "{name}"
            );
        }
    }

    #[test]
    fn fewer_are_sent_at_once_and_more_only_when_no_order_is_in_work() {
        let at = ShopifyId(1);
        let set = |quantity, from| {
            (
                vec![Set {
                    location: at,
                    quantity,
                    from,
                }],
                vec![],
            )
        };
        let nothing = (vec![], vec![]);
        for (name, wanted, shown, may_rise, expected) in [
            ("never stocked there", 5, None, true, set(5, None)),
            ("fewer", 2, Some(3), false, set(2, Some(3))),
            ("more", 9, Some(3), true, set(9, Some(3))),
            (
                "more, with an order in work",
                9,
                Some(3),
                false,
                (vec![], vec![(at, 9)]),
            ),
            ("the same", 3, Some(3), false, nothing.clone()),
            ("none where nothing ever was", 0, None, false, nothing),
        ] {
            let wanted = Wanted {
                quantity: Quantity::OnHand,
                at: vec![(at, wanted)],
            };
            let held = held(shown.map(|shown| level(at, shown, 1)).into_iter().collect());
            let plan = plan(&wanted, &held, may_rise);
            assert_eq!((plan.sets, plan.waits), expected, "{name}");
        }
    }
}
