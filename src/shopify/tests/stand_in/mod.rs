//! The client against the stand-in shop, which reckons for itself.

mod changed;
mod recent;
mod stories;
mod whole;
mod write;

use std::sync::Arc;

use rust_decimal::Decimal;

use crate::domain::{Clock, LineKind, SeededEntropy, SharedClock, ShopifyId, SystemClock};
use crate::sandbox::shopify::draft::{OrderDraft, ProductDraft, VariantDraft};
use crate::sandbox::shopify::facts::{Address, Tax};
use crate::sandbox::shopify::money::Bag;
use crate::sandbox::shopify::options::Rate;
use crate::sandbox::shopify::{Options, ShopSandbox};
use crate::secret::Secret;
use crate::shopify::{Credentials, CurrencyChoice, Settings, Shopify};
use crate::transport;

pub(super) async fn start() -> ShopSandbox {
    // Pace is the subject of one test only.
    let rate = Rate {
        restore_rate: 1_000_000.0,
        maximum_available: 1_000_000.0,
        max_query_cost: 1000,
    };
    ShopSandbox::start(Options {
        rate,
        ..Options::default()
    })
    .await
    .unwrap()
}

pub(super) fn connect(sandbox: &ShopSandbox, credentials: Credentials, currency: CurrencyChoice) -> Shopify {
    connected(sandbox, credentials, currency, Arc::new(SystemClock))
}

/// With a clock of its own.
pub(super) fn connected_at(sandbox: &ShopSandbox, clock: impl Clock + 'static) -> Shopify {
    connected(sandbox, token(), CurrencyChoice::Shop, Arc::new(clock))
}

fn connected(
    sandbox: &ShopSandbox,
    credentials: Credentials,
    currency: CurrencyChoice,
    clock: SharedClock,
) -> Shopify {
    let settings = Settings {
        base_url: Some(sandbox.url()),
        currency,
        ..Settings::new(sandbox.domain())
    };
    let transport = transport::Settings {
        timeout_s: 20,
        ..transport::Settings::default()
    };
    Shopify::connect(
        "main".parse().unwrap(),
        &settings,
        credentials,
        &transport,
        clock,
        Arc::new(SeededEntropy::new(3)),
    )
    .unwrap()
}

pub(super) fn token() -> Credentials {
    Credentials::Token(Secret::text(Options::default().access.static_token.unwrap()))
}

pub(super) fn client(sandbox: &ShopSandbox) -> Shopify {
    connect(sandbox, token(), CurrencyChoice::Shop)
}

pub(super) fn d(text: &str) -> Decimal {
    text.parse().unwrap()
}

pub(super) fn vat() -> Vec<Tax> {
    vec![Tax::new("DE MwSt", d("0.19"))]
}

pub(super) fn product(sandbox: &ShopSandbox, variants: usize) -> (ShopifyId, Vec<u64>) {
    let variants = (0..variants)
        .map(|n| {
            VariantDraft::new(
                &[&format!("S{n}")],
                &format!("TEE-{n}"),
                Decimal::new(1999 + i64::try_from(n).unwrap(), 2),
            )
        })
        .collect();
    sandbox.change(|shop| {
        let id = shop.create_product(ProductDraft {
            title: "Tee".to_owned(),
            options: vec!["Size".to_owned()],
            variants,
            ..ProductDraft::default()
        });
        let variants = shop
            .product(id)
            .unwrap()
            .variants
            .iter()
            .map(|variant| variant.id);
        (ShopifyId(id), variants.collect())
    })
}

pub(super) fn place(sandbox: &ShopSandbox, draft: OrderDraft) -> ShopifyId {
    ShopifyId(sandbox.change(|shop| shop.place_order(draft)).unwrap())
}

pub(super) fn address(city: &str) -> Address {
    Address {
        first_name: Some("Ana".to_owned()),
        last_name: Some("Berg".to_owned()),
        address1: Some("Lindenweg 3".to_owned()),
        city: Some(city.to_owned()),
        zip: Some("89073".to_owned()),
        country_code: Some("DE".to_owned()),
        ..Address::default()
    }
}

/// The order as the client books it must be the order as the shop reckons it.
pub(super) async fn compare(sandbox: &ShopSandbox, shop: &Shopify, id: ShopifyId, currency: CurrencyChoice) {
    let booked = shop
        .order(id, "")
        .await
        .unwrap_or_else(|e| panic!("order {id}: {e}"))
        .unwrap();
    let pick = |bag: Bag| match currency {
        CurrencyChoice::Shop => bag.shop,
        CurrencyChoice::Presentment => bag.presentment,
    };
    sandbox.read(|shop| {
        let order = shop.order(id.0).unwrap();
        let gross: Decimal = booked.lines.iter().map(|line| line.gross).sum();
        assert_eq!(gross, pick(order.totals.current_total), "total of {order:#?}");
        let tax: Decimal = booked
            .lines
            .iter()
            .flat_map(|line| &line.taxes)
            .map(|tax| tax.amount)
            .sum();
        assert_eq!(tax, pick(order.totals.current_tax), "tax of {order:#?}");
        for line in &order.lines {
            let key = format!("line_{}", line.id);
            let found = booked.lines.iter().find(|booked| booked.key == key).unwrap();
            assert_eq!(
                found.quantity,
                Decimal::from(order.current_quantity(line)),
                "{key}"
            );
            assert_eq!(found.original_unit_price, pick(line.unit_price), "{key}");
            assert_eq!(found.kind == LineKind::Tip, line.tip, "{key}");
            if order.removed_quantity(line.id) == 0 {
                assert_eq!(found.amount, pick(line.total()), "{key}");
                assert_eq!(found.gross - found.net, pick(line.tax()), "{key}");
            }
        }
    });
}
