//! Mappings of the way back: the shipped ones on records of everyday business, and the mistakes that are found at load.

use std::fmt::Write as _;
use std::sync::Arc;

use super::super::*;
use super::samples::{number, settings, show};
use crate::domain::{
    Canonical as _, Direction, ErpId, ErpProduct, ErpVariantRecord, Fact, Object, OptionValue, Partner,
    ProductOption, ShopifyId, Stock, Timestamp,
};
use crate::shopify::AdminSchema;

fn shipped(object: Object) -> Arc<Mapping> {
    let mappings = Mappings::load(None, &AdminSchema).unwrap_or_else(|errors| panic!("{errors}"));
    Arc::clone(mappings.get(object, Direction::Out).expect("it is shipped"))
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn partner() -> Partner {
    Partner {
        id: 17,
        name: "Ada Byron Lovelace".into(),
        first_name: some("Ada"),
        last_name: some("Byron Lovelace"),
        is_company: false,
        company_name: some("Engines GmbH"),
        email: some(" Ada@Example.com"),
        phone: some("030 1"),
        street: some("Hauptstr. 1"),
        street2: None,
        zip: some("10115"),
        city: some("Berlin"),
        country_code: some("DE"),
        province_code: None,
        locale: some("de-DE"),
        note: None,
        is_customer: true,
        belongs_to: None,
        active: true,
        updated_at: Timestamp::from_millis(0),
        raw: Arc::new(serde_json::json!({ "x_tier": "gold" })),
    }
}

fn mug() -> ErpProduct {
    let variant = |id: i64, size: &str, price: &str| ErpVariantRecord {
        id,
        active: true,
        sku: Some(format!("MUG-{size}")),
        barcode: None,
        price: number(price),
        cost: None,
        weight_kg: Some(number("0.35")),
        options: vec![OptionValue {
            name: "Size".into(),
            value: size.into(),
        }],
        raw: Arc::new(serde_json::Value::Null),
    };
    ErpProduct {
        id: 5,
        name: "Mug".into(),
        description: None,
        active: true,
        saleable: true,
        price: number("10"),
        stocked: true,
        service: false,
        category: some("All / Kitchen"),
        options: vec![ProductOption {
            name: "Size".into(),
            values: vec!["S".into(), "L".into()],
        }],
        variants: vec![variant(50, "S", "10"), variant(51, "L", "12.505")],
        updated_at: Timestamp::from_millis(0),
        raw: Arc::new(serde_json::Value::Null),
    }
}

fn mapped(object: Object, record: &Fact) -> Mapped {
    let mapping = shipped(object);
    let settings = settings(None);
    assert_eq!(mapping.needs(record, &settings), [], "it asks nothing");
    mapping
        .evaluate(record, &settings, &std::collections::HashMap::default())
        .unwrap_or_else(|problems| panic!("{problems:#?}"))
}

#[test]
fn a_partner_becomes_a_customer_with_its_address() {
    insta::assert_snapshot!("out_customer", show(&mapped(Object::Customer, &partner().fact())));
    let nowhere = Partner {
        country_code: None,
        ..partner()
    };
    let mapped = mapped(Object::Customer, &nowhere.fact());
    assert_eq!(
        mapped.field("address.first_name"),
        None,
        "a name alone makes no address"
    );
}

#[test]
fn a_product_becomes_a_draft_with_a_price_for_each_variant() {
    insta::assert_snapshot!("out_product", show(&mapped(Object::Product, &mug().fact())));
    let archived = ErpVariantRecord {
        active: false,
        ..mug().variants.remove(0)
    };
    let one = ErpProduct {
        variants: vec![archived, mug().variants.remove(1)],
        ..mug()
    };
    let mapped = mapped(Object::Product, &one.fact());
    let keys: Vec<&str> = mapped
        .group("variants")
        .unwrap()
        .rows
        .iter()
        .map(|row| row.key.as_str())
        .collect();
    assert_eq!(
        keys,
        ["51"],
        "a variant is known by the ERP's id, and an archived one is left out"
    );
}

#[test]
fn stock_is_sent_in_whole_units_rounded_down() {
    let stock = Stock {
        variant: 50,
        name: some("Mug"),
        sku: some("MUG-S"),
        stocked: true,
        active: true,
        on_hand: number("7.9"),
        free: number("6"),
        forecast: number("7"),
        warehouse: Some(1),
    };
    insta::assert_snapshot!("out_stock", show(&mapped(Object::Inventory, &stock.fact())));
    let untracked = Stock {
        stocked: false,
        ..stock
    };
    let mapping = shipped(Object::Inventory);
    let skip = mapping.skip(&untracked.fact(), &settings(None)).unwrap().unwrap();
    assert_eq!(skip.reason, "Odoo keeps no stock of it");
}

#[test]
fn who_is_not_made_on_the_shop_and_why() {
    let reason = |partner: Partner| {
        let skip = shipped(Object::Customer)
            .skip(&partner.fact(), &settings(None))
            .unwrap();
        skip.map(|skip| skip.reason)
    };
    assert_eq!(reason(partner()), None);
    for (name, partner) in [
        (
            "a supplier",
            Partner {
                is_customer: false,
                ..partner()
            },
        ),
        (
            "a company",
            Partner {
                is_company: true,
                ..partner()
            },
        ),
        (
            "an address",
            Partner {
                belongs_to: Some(3),
                ..partner()
            },
        ),
        (
            "nobody",
            Partner {
                email: some("none"),
                ..partner()
            },
        ),
    ] {
        assert!(reason(partner).is_some(), "{name}");
    }
}

#[test]
fn locations_are_fed_by_one_warehouse_each_or_one_by_all() {
    let (_, text) = DEFAULTS
        .iter()
        .find(|(file, _)| *file == "inventory.out.toml")
        .unwrap();
    let fed = |table: &str| {
        let source = Source {
            file: "inventory.out.toml".into(),
            text: text.replace("[tables.locations]", &format!("[tables.locations]\n{table}")),
        };
        let mappings = Mappings::from_sources(vec![source], &AdminSchema)?;
        let mapping = mappings.get(Object::Inventory, Direction::Out).unwrap();
        Ok::<_, MappingErrors>(mapping.locations())
    };
    let at = |location, warehouse: Option<i64>| (ShopifyId(location), warehouse.map(ErpId));
    assert_eq!(fed("71 = 1\n72 = 2").unwrap(), [at(71, Some(1)), at(72, Some(2))]);
    assert_eq!(fed("72 = 0").unwrap(), [at(72, None)]);
    assert_eq!(shipped(Object::Inventory).locations(), []);
    for twice in ["71 = 1\n72 = 0", "71 = 2\n72 = 2"] {
        let wrong = fed(twice).unwrap_err().to_string();
        assert!(
            wrong.contains("two locations would offer the same goods"),
            "{wrong}"
        );
    }
}

#[test]
fn what_may_be_sold_is_not_sent_without_what_open_orders_have_taken() {
    let (_, text) = DEFAULTS
        .iter()
        .find(|(file, _)| *file == "inventory.out.toml")
        .unwrap();
    let with = |minus: bool| {
        let text = text
            .replace(
                "on_hand = \"stock.on_hand | whole\"",
                "available = \"stock.free | whole\"",
            )
            .replace(
                "minus_open_orders = false",
                &format!("minus_open_orders = {minus}"),
            );
        let source = Source {
            file: "inventory.out.toml".into(),
            text,
        };
        Mappings::from_sources(vec![source], &AdminSchema)
    };
    assert!(with(true).is_ok());
    let wrong = with(false).unwrap_err().to_string();
    assert!(wrong.contains("would offer again"), "{wrong}");
}

#[test]
fn it_is_known_whether_the_forecast_is_read() {
    let (_, shipped) = DEFAULTS
        .iter()
        .find(|(file, _)| *file == "inventory.out.toml")
        .unwrap();
    for (from, to, expected) in [
        ("", "", false),
        ("stock.on_hand | whole", "stock.forecast | whole", true),
        ("not stock.active", "stock.forecast is negative", true),
        ("not stock.active", "stock.on_hand is negative", false),
    ] {
        let source = Source {
            file: "inventory.out.toml".into(),
            text: shipped.replace(from, to),
        };
        let mappings = Mappings::from_sources(vec![source], &AdminSchema).unwrap();
        let mapping = mappings.get(Object::Inventory, Direction::Out).unwrap();
        let rules = mapping.out.as_ref().unwrap();
        assert_eq!(rules.reads_forecast, expected, "{to}");
    }
}

/// Cases of mistakes: a name, the file, what is replaced in the shipped text, and by what.
const MISTAKES: &[(&str, &str, &str, &str)] = &[
    (
        "no such field of the shop",
        "customer.out.toml",
        "first_name = ",
        "frist_name = ",
    ),
    (
        "no such record",
        "customer.out.toml",
        "partner.first_name\"",
        "customer.first_name\"",
    ),
    (
        "no such part",
        "product.out.toml",
        "product.name",
        "product.title",
    ),
    (
        "a text for a price",
        "product.out.toml",
        "variant.price | round_to(2)",
        "variant.sku",
    ),
    (
        "a record of the ERP for a text",
        "customer.out.toml",
        "first_name = {",
        "tax_exempt = { look_up = { kind = \"country\", code = \"partner.country_code\" }, missing = \"skip\" }\nfirst_name = {",
    ),
    (
        "a status that is none",
        "product.out.toml",
        "\"DRAFT\"",
        "\"DRAFTED\"",
    ),
    (
        "a title that is emptied",
        "product.out.toml",
        "title = \"product.name\"",
        "title = { value = \"product.category\", missing = \"clear\" }",
    ),
    (
        "two quantities",
        "inventory.out.toml",
        "[fields]",
        "[fields]\navailable = \"stock.free | whole\"",
    ),
    ("a quantity with a fraction", "inventory.out.toml", " | whole", ""),
    (
        "no location",
        "inventory.out.toml",
        "[tables.locations]",
        "[tables.locations]\nBerlin = 1",
    ),
    ("no locations", "inventory.out.toml", "[tables.locations]", ""),
    (
        "a model",
        "product.out.toml",
        "truth = ",
        "model = \"x\"\ntruth = ",
    ),
    (
        "customers are not archived",
        "customer.out.toml",
        "archived = \"ignore\"",
        "archived = \"archive\"",
    ),
    (
        "searched by something else",
        "customer.out.toml",
        "equal = { email =",
        "equal = { first_name =",
    ),
    (
        "a group that is none",
        "product.out.toml",
        "groups.variants",
        "groups.images",
    ),
    (
        "a key of stock",
        "product.out.toml",
        "truth = ",
        "overwrite = true\ntruth = ",
    ),
    (
        "GraphQL in the way back",
        "product.out.toml",
        "truth = ",
        "select = \"handle\"\ntruth = ",
    ),
    (
        "an optional field",
        "product.out.toml",
        "title = \"product.name\"",
        "title = { value = \"product.name\", optional = true }",
    ),
];

#[test]
fn mistakes_in_the_way_back_are_found_at_their_place() {
    let mut shown = String::new();
    for (name, file, from, to) in MISTAKES {
        let (_, text) = DEFAULTS.iter().find(|(known, _)| known == file).unwrap();
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, *text, "{name}");
        let source = Source {
            file: (*file).to_owned(),
            text: changed,
        };
        let errors = Mappings::from_sources(vec![source], &AdminSchema).expect_err(name);
        let first = &errors.errors[0];
        writeln!(
            shown,
            "{name}: {}:{} {}{}",
            first.file,
            first.line,
            first.message,
            first
                .help
                .as_ref()
                .map_or_else(String::new, |help| format!(" ({help})"))
        )
        .unwrap();
    }
    insta::assert_snapshot!("out_mistakes", shown);
}
