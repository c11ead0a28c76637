//! Random shopping: orders with discounts, taxes, duties, tips and shipping, then refunds, goodwill, edits and
//! cancellations in any order. After every step the order is booked as the shop reckons it, in either currency.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rust_decimal::Decimal;

use super::{compare, connect, d, place, start, token};
use crate::domain::ShopifyId;
use crate::sandbox::shopify::draft::{
    CancelDraft, LineDraft, OrderDraft, OrderEdit, RefundDraft, RefundMoney, ShippingDraft,
};
use crate::sandbox::shopify::facts::{
    AllocationMethod, Discount, DiscountKind, DiscountTarget, DiscountValue, Restock, Tax,
};
use crate::sandbox::shopify::{Shop, ShopSandbox};
use crate::shopify::CurrencyChoice;

/// What happens to a random order after it was placed.
#[derive(Clone, Debug)]
enum Step {
    Refund(Vec<(usize, u32)>, bool),
    Goodwill(u32),
    Edit(usize, u32, bool),
    Cancel,
}

#[derive(Clone, Debug)]
struct Story {
    draft: OrderDraft,
    steps: Vec<Step>,
    currency: CurrencyChoice,
}

fn cents(most: u32) -> impl Strategy<Value = Decimal> {
    (0..most).prop_map(|cents| Decimal::new(i64::from(cents), 2))
}

fn some_tax() -> impl Strategy<Value = Tax> {
    (0_usize..4).prop_map(|n| {
        let (title, rate) = [("A", "0.19"), ("B", "0.07"), ("C", "0.08875"), ("D", "0")][n];
        Tax::new(title, d(rate))
    })
}

fn some_discount() -> impl Strategy<Value = Discount> {
    (0_u8..3, any::<bool>(), cents(3_000)).prop_map(|(target, across, size)| Discount {
        kind: DiscountKind::Code("CODE".to_owned()),
        value: if across {
            DiscountValue::Amount(size)
        } else {
            DiscountValue::Percentage(size / Decimal::from(40))
        },
        target: match target {
            0 => DiscountTarget::AllLines,
            1 => DiscountTarget::Lines(vec![0]),
            _ => DiscountTarget::Shipping,
        },
        method: if across {
            AllocationMethod::Across
        } else {
            AllocationMethod::Each
        },
    })
}

fn some_line() -> impl Strategy<Value = LineDraft> {
    (
        1_u32..7,
        cents(20_000),
        prop::option::weighted(0.2, cents(900)),
        any::<bool>(),
    )
        .prop_map(|(quantity, price, duty, taxed)| LineDraft {
            duty: duty.map(|price| (price, taxed.then(|| Tax::new("Duty", d("0.05"))))),
            ..LineDraft::custom("Thing", price, quantity)
        })
}

fn story() -> impl Strategy<Value = Story> {
    let step = prop_oneof![
        (prop::collection::vec((0_usize..6, 1_u32..4), 0..3), any::<bool>())
            .prop_map(|(lines, ship)| Step::Refund(lines, ship)),
        (1_u32..2_000).prop_map(Step::Goodwill),
        (0_usize..6, 1_u32..4, any::<bool>()).prop_map(|(line, units, add)| Step::Edit(line, units, add)),
        Just(Step::Cancel),
    ];
    (
        (
            prop::collection::vec(some_line(), 1..7),
            prop::collection::vec(some_tax(), 0..3),
            prop::collection::vec(some_discount(), 0..3),
            prop::collection::vec(cents(2_000), 0..3),
        ),
        (
            any::<bool>(),
            prop::option::of(cents(1_000)),
            prop::option::weighted(0.3, 500_i64..2_000),
        ),
        prop::collection::vec(step, 0..4),
        prop::sample::select(vec![CurrencyChoice::Shop, CurrencyChoice::Presentment]),
    )
        .prop_map(
            |((lines, taxes, discounts, shipping), (taxes_included, tip, rate), steps, currency)| Story {
                draft: OrderDraft {
                    lines,
                    taxes,
                    discounts,
                    shipping: shipping
                        .into_iter()
                        .map(|price| ShippingDraft::new("Way", price))
                        .collect(),
                    taxes_included,
                    tip: tip.unwrap_or_default(),
                    presentment: rate.map(|rate| ("USD".to_owned(), Decimal::new(rate, 3))),
                    ..OrderDraft::default()
                },
                steps,
                currency,
            },
        )
}

/// Carries a step out as far as the shop lets it.
fn take(sandbox: &ShopSandbox, id: ShopifyId, step: &Step) {
    sandbox.change(|shop| {
        let left = |line: usize, units: u32, shop: &Shop| {
            let order = shop.order(id.0).unwrap();
            let line = order.lines.get(line)?;
            Some(order.current_quantity(line).min(units)).filter(|units| *units > 0)
        };
        match step {
            Step::Refund(lines, shipping) => {
                let mut wanted: Vec<(usize, u32, Restock)> = Vec::new();
                for (line, units) in lines {
                    if let Some(units) = left(*line, *units, shop)
                        && wanted.iter().all(|(known, _, _)| known != line)
                    {
                        wanted.push((*line, units, Restock::Return));
                    }
                }
                let refund = RefundDraft {
                    lines: wanted,
                    shipping: shipping.then_some(Some(d("1.23"))),
                    money: RefundMoney::Worth,
                    pending: false,
                    note: None,
                };
                drop(shop.refund_order(id.0, &refund));
            }
            Step::Goodwill(cents) => {
                let amount = Decimal::new(i64::from(*cents), 2);
                drop(shop.refund_order(id.0, &RefundDraft::goodwill(amount)));
            }
            Step::Edit(line, units, add) => {
                let remove = left(*line, *units, shop).map(|units| (*line, units));
                let edit = OrderEdit {
                    add: if *add {
                        vec![LineDraft::custom("Added", d("7.77"), 2)]
                    } else {
                        Vec::new()
                    },
                    remove: remove.into_iter().collect(),
                    settle: None,
                };
                drop(shop.edit_order(id.0, &edit));
            }
            Step::Cancel => drop(shop.cancel_order(id.0, &CancelDraft::default())),
        }
    });
}

#[test]
fn whatever_happens_to_an_order_it_is_booked_as_the_shop_reckons_it() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let sandbox = runtime.block_on(start());
    let shops = [CurrencyChoice::Shop, CurrencyChoice::Presentment]
        .map(|currency| (currency, connect(&sandbox, token(), currency)));
    let config = ProptestConfig::with_cases(64);
    TestRunner::new(config)
        .run(&story(), |story| {
            let id = runtime.block_on(async { place(&sandbox, story.draft.clone()) });
            let (_, shop) = shops
                .iter()
                .find(|(currency, _)| *currency == story.currency)
                .unwrap();
            runtime.block_on(compare(&sandbox, shop, id, story.currency));
            for step in &story.steps {
                runtime.block_on(async { take(&sandbox, id, step) });
                runtime.block_on(compare(&sandbox, shop, id, story.currency));
            }
            Ok(())
        })
        .unwrap();
}
