use super::*;
use crate::sandbox::shopify::ledger::records;
use crate::sandbox::shopify::options::Options;

fn fixed() -> Options {
    let at = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    Options {
        clock: std::sync::Arc::new(move || at),
        ..Options::default()
    }
}

fn shop_after(seed: u64) -> Shop {
    let mut shop = Shop::new(&fixed());
    let mut shopping = Shopping::new(seed);
    shopping.stock(&mut shop);
    shopping
        .orders(&mut shop, &OrderKind::ALL, 2 * OrderKind::ALL.len())
        .unwrap();
    shop
}

#[test]
fn the_same_seed_makes_the_same_orders() {
    let (first, second) = (records(&shop_after(7)), records(&shop_after(7)));
    assert_eq!(first, second);
    assert_ne!(first.0, records(&shop_after(8)).0);
}

#[test]
fn kinds_are_what_they_say() {
    let mut shop = Shop::new(&fixed());
    let mut shopping = Shopping::new(1);
    shopping.stock(&mut shop);
    for kind in OrderKind::ALL {
        let id = shopping.order(&mut shop, kind).unwrap();
        let order = shop.order(id).unwrap();
        let t = &order.totals;
        let holds = match kind {
            OrderKind::Everyday => {
                order.taxes_included && t.tax.shop > Decimal::ZERO && order.customer.is_some()
            }
            OrderKind::TaxOnTop => !order.taxes_included && t.taxes.len() == 2,
            OrderKind::TwoRates => t.taxes.len() == 2 && order.taxes_included,
            OrderKind::LineDiscount => order.discounts.iter().all(Discount::is_line_level),
            OrderKind::PercentCode | OrderKind::AmountCode => t.discounts.shop > Decimal::ZERO,
            OrderKind::FreeShipping => t.discounted_shipping.is_zero() && !t.shipping.is_zero(),
            OrderKind::StackedDiscounts => order.discounts.len() == 2,
            OrderKind::Guest => order.customer.is_none() && order.email.is_some(),
            OrderKind::PointOfSale => order.shipping_lines.is_empty() && order.source_name == "pos",
            OrderKind::Company => order.purchasing.is_some() && t.tax.is_zero(),
            OrderKind::PhoneOnly => order.email.is_none() && order.phone.is_some(),
            OrderKind::GiftToOthers => order.shipping_address.is_some(),
            OrderKind::Pending => t.financial.name() == "PENDING",
            OrderKind::Authorized => t.financial.name() == "AUTHORIZED",
            OrderKind::GiftCardRedeemed => order.transactions.len() == 2,
            OrderKind::GiftCardSold => order.lines[0].gift_card && t.tax.is_zero(),
            OrderKind::CustomLine => order.lines.iter().any(|l| l.variant.is_none()),
            OrderKind::Bundle => order.lines.iter().all(|l| l.group.is_some()),
            OrderKind::ForeignCurrency => order.money.presentment == "USD",
            OrderKind::Tip => !t.tip.is_zero(),
            OrderKind::CashRounding => order.transactions[0].rounding.is_some(),
            OrderKind::Duties => !t.duties.is_zero(),
            OrderKind::ManyLines => order.lines.len() == 130,
            OrderKind::ZeroTotal => t.total.is_zero(),
            OrderKind::Test => order.test,
        };
        assert!(holds, "{kind:?}: {t:?}");
    }
}
