//! The way back does no harm: not by sudden changes, not in another currency, not while somebody else works on the record, and
//! not after an attempt that died.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;

use super::*;
use crate::domain::{
    Customer, ErpId, FieldValue, Fields, LinkState, NewCustomer, NewProduct, NewVariant, Order, Product,
    ShopifyId,
};
use crate::sandbox::odoo::{Fault, Rule};
use crate::shopify::{Page, ShopifyError};
use crate::sync::{Source, Target};

pub(super) fn odoo() -> OdooOptions {
    OdooOptions {
        services: services(),
        ..OdooOptions::version(Version::V18)
    }
}

pub(in crate::sync::tests) fn context(bench: &Bench) -> ShopContext {
    (**bench.engine.shop(&"main".parse().unwrap()).unwrap()).clone()
}

pub(super) fn text(text: &str) -> FieldValue {
    FieldValue::Text(text.to_owned())
}

/// A template that is for sale, with its one variant.
fn mug(bench: &Bench, name: &str, sku: Option<&str>, price: i64) -> (i64, i64) {
    let values = json!({ "name": name, "list_price": price, "type": "consu", "is_storable": true, "default_code": sku, "sale_ok": true });
    let variant = bench.made_in_the_erp("product.product", values);
    let read = bench.in_the_erp("product.product", "read", json!([[variant], ["product_tmpl_id"]]));
    (read[0]["product_tmpl_id"][0].as_i64().unwrap(), variant)
}

/// What an attempt that died right after its write leaves behind: the shop's product with our mark, and no link.
async fn made_by_a_dead_attempt(bench: &Bench, template: i64, title: &str, fields: Fields) -> u64 {
    let new = NewProduct {
        erp_ref: format!("product_{template}"),
        fields: vec![("title".to_owned(), text(title))],
        options: vec![],
        variants: vec![NewVariant {
            erp_ref: "variant_of_it".to_owned(),
            options: vec![],
            fields,
        }],
    };
    context(bench).target.create_product(&new).await.unwrap().id.0
}

async fn link_of(bench: &Bench, kind: LinkKind, id: i64) -> Option<crate::domain::Link> {
    let shop = "main".parse().unwrap();
    let link = bench.store.link_of_erp(&shop, kind, ErpId(id)).await.unwrap();
    link.filter(|link| link.state != LinkState::Retired)
}

#[tokio::test]
async fn a_price_that_jumps_is_held_and_nothing_of_the_product_is_written() {
    let bench = Bench::both_ways(Version::V18, &[]).await;
    let (product, _) = shirt(&bench);
    completed(bench.sync(Object::Product, product).await);
    let template = theirs(&bench, LinkKind::Product, product).await;
    let values = json!({ "list_price": 199.9, "name": "Shirt, dear" });
    write(&bench, "product.template", template, values);
    let (state, why) = bench.send(Object::Product, template).await;
    assert_eq!(state, JobState::Held, "{why:?}");
    assert!(
        why.as_ref().unwrap().starts_with(crate::sync::SUDDEN_CHANGE),
        "{why:?}"
    );
    assert_eq!(prices(&bench, product), [decimal("19.99"), decimal("21.99")]);
    assert_eq!(title(&bench, product), "Shirt");
}

#[tokio::test]
async fn many_new_customers_and_products_at_once_are_held() {
    let bench = Bench::both_ways(Version::V18, &[]).await;
    let mut states = Vec::new();
    for n in 0..21 {
        let values =
            json!({ "name": format!("Ada {n}"), "email": format!("ada{n}@example.com"), "customer_rank": 1 });
        let partner = bench.made_in_the_erp("res.partner", values);
        states.push(bench.send(Object::Customer, partner).await.0);
    }
    assert!(states[..20].iter().all(|state| *state == JobState::Completed));
    assert_eq!(states[20], JobState::Held);
    assert_eq!(bench.shop.ledger().customers.len(), 20);
    let mut states = Vec::new();
    for n in 0..21 {
        let (template, _) = mug(&bench, &format!("Mug {n}"), None, 5);
        states.push(bench.send(Object::Product, template).await.0);
    }
    assert!(states[..20].iter().all(|state| *state == JobState::Completed));
    assert_eq!(states[20], JobState::Held);
}

#[tokio::test]
async fn amounts_are_not_sent_to_a_shop_of_another_currency() {
    let dollars = ShopOptions {
        currency: "USD".to_owned(),
        ..ShopOptions::default()
    };
    let mappings = crate::app::mappings::load(None).unwrap();
    let bench = Bench::built(dollars, odoo(), mappings, |shop| {
        shop.out = BTreeSet::from([Object::Product]);
    })
    .await;
    let (template, _) = mug(&bench, "Mug", Some("MUG"), 5);
    let (state, why) = bench.send(Object::Product, template).await;
    assert_eq!(state, JobState::Problem);
    let why = why.unwrap();
    assert!(
        why.starts_with("currency_differs") && why.contains("EUR") && why.contains("USD"),
        "{why}"
    );
    assert!(bench.shop.ledger().products.is_empty());
}

/// The shop, where somebody changes a record just after it was read.
struct Meddled {
    shop: Arc<dyn Source>,
    target: Arc<dyn Target>,
    edit: Fields,
    is_done: AtomicBool,
}

#[async_trait]
impl Source for Meddled {
    async fn order(&self, id: ShopifyId, select: &str) -> Result<Option<Order>, ShopifyError> {
        self.shop.order(id, select).await
    }

    async fn customer(&self, id: ShopifyId, select: &str) -> Result<Option<Customer>, ShopifyError> {
        let read = self.shop.customer(id, select).await;
        if !self.is_done.swap(true, Ordering::SeqCst) {
            self.target.update_customer(id, &self.edit).await?;
        }
        read
    }

    async fn product(&self, id: ShopifyId, select: &str) -> Result<Option<Product>, ShopifyError> {
        let read = self.shop.product(id, select).await;
        if !self.is_done.swap(true, Ordering::SeqCst) {
            self.target.update_product(id, &self.edit).await?;
        }
        read
    }

    async fn probe(&self) -> Result<(), ShopifyError> {
        self.shop.probe().await
    }

    async fn changed_since(
        &self,
        object: Object,
        since: Timestamp,
        after: Option<String>,
    ) -> Result<Page, ShopifyError> {
        self.shop.changed_since(object, since, after).await
    }
}

pub(super) fn meddle(bench: &Bench, edit: Fields) -> Engine {
    let mut context = context(bench);
    context.source = Arc::new(Meddled {
        shop: context.source,
        target: Arc::clone(&context.target),
        edit,
        is_done: AtomicBool::new(false),
    });
    Engine::new([context])
}

#[tokio::test]
async fn what_somebody_changes_on_the_shop_while_we_write_still_arrives_in_the_erp() {
    let mut bench = Bench::both_ways(Version::V18, &[]).await;
    let (product, _) = shirt(&bench);
    completed(bench.sync(Object::Product, product).await);
    let template = theirs(&bench, LinkKind::Product, product).await;
    let customer = ada(&bench);
    completed(bench.sync(Object::Customer, customer).await);
    let partner = theirs(&bench, LinkKind::Customer, customer).await;

    write(&bench, "product.template", template, json!({ "list_price": 25 }));
    bench.engine = meddle(&bench, vec![("title".to_owned(), text("Renamed meanwhile"))]);
    completed(bench.send(Object::Product, template).await);
    assert_eq!(prices(&bench, product), [decimal("25"), decimal("25")]);
    completed(bench.sync(Object::Product, product).await);
    let name = || read(&bench, "product.template", template)["name"].clone();
    assert_eq!(name(), "Renamed meanwhile");
    assert_eq!(title(&bench, product), "Renamed meanwhile");
    is_quiet(&bench, Object::Product, product, template).await;

    write(
        &bench,
        "res.partner",
        partner,
        json!({ "street": "Ockham Park 1" }),
    );
    bench.engine = meddle(&bench, vec![("last_name".to_owned(), text("King"))]);
    completed(bench.send(Object::Customer, partner).await);
    completed(bench.sync(Object::Customer, customer).await);
    let after = read(&bench, "res.partner", partner);
    assert_eq!(
        (&after["name"], &after["street"]),
        (&json!("Ada King"), &json!("Ockham Park 1"))
    );
    is_quiet(&bench, Object::Customer, customer, partner).await;
}

#[tokio::test]
async fn a_field_that_shopify_withholds_is_neither_written_nor_forgotten() {
    let changes = truth("customer.in.toml", "customer.out.toml", "truth = \"erp\"");
    let mut bench = Bench::both_ways(Version::V18, &changes).await;
    let customer = ada(&bench);
    completed(bench.sync(Object::Customer, customer).await);
    let partner = theirs(&bench, LinkKind::Customer, customer).await;
    completed(bench.send(Object::Customer, partner).await);
    let values = json!({ "email": "new@example.com", "street": "Ockham Park 1" });
    write(&bench, "res.partner", partner, values);
    let approved = bench.engine.clone();
    bench.engine = super::super::customers::withheld(&bench, &["defaultEmailAddress"]);
    completed(bench.send(Object::Customer, partner).await);
    let on_the_shop = || {
        bench.shop.read(|shop| {
            let customer = shop.customer(customer).unwrap();
            let street = customer.address().unwrap().address1.clone();
            (customer.email.clone().unwrap().to_lowercase(), street.unwrap())
        })
    };
    assert_eq!(
        on_the_shop(),
        ("ada@example.com".to_owned(), "Ockham Park 1".to_owned())
    );
    bench.engine = approved;
    completed(bench.send(Object::Customer, partner).await);
    let shown = bench
        .shop
        .read(|shop| shop.customer(customer).unwrap().email.clone());
    assert_eq!(
        shown.as_deref(),
        Some("new@example.com"),
        "once it is shown, the edit is sent"
    );
}

#[tokio::test]
async fn the_stock_of_a_new_product_follows_it_to_the_shop() {
    let bench = Bench::adjusted(odoo(), |shop| {
        shop.out = BTreeSet::from([Object::Product, Object::Inventory]);
    })
    .await;
    let (template, variant) = mug(&bench, "Mug", Some("MUG"), 5);
    bench.erp.set_stock(variant, None, 7).unwrap();
    // It is looked at too early, and forgotten.
    completed(bench.send(Object::Inventory, variant).await);
    completed(bench.send(Object::Product, template).await);
    let link = link_of(&bench, LinkKind::Variant, variant).await.unwrap();
    let variant: u64 = link.source_id.parse().unwrap();
    let available = bench.shop.read(|shop| {
        let level = shop.level(variant, shop.main_location());
        level.map(|level| level.available)
    });
    assert_eq!(available, Some(7));
}

#[tokio::test]
async fn a_product_that_the_way_in_made_in_the_erp_does_not_empty_the_shop() {
    let bench = Bench::adjusted(odoo(), |shop| {
        shop.out = BTreeSet::from([Object::Product, Object::Inventory]);
    })
    .await;
    let (product, _) = shirt(&bench);
    completed(bench.sync(Object::Product, product).await);
    let template = theirs(&bench, LinkKind::Product, product).await;
    completed(bench.send(Object::Product, template).await);
    assert!(bench.shop.read(|shop| shop.adjustments().is_empty()));
}

#[tokio::test]
async fn a_product_that_a_dead_attempt_made_is_found_by_its_mark_and_brought_to_what_the_erp_says() {
    let bench = Bench::both_ways(Version::V18, &[]).await;
    let (template, _) = mug(&bench, "Mug of today", Some("MUG"), 6);
    let fields = vec![
        ("sku".to_owned(), text("MUG")),
        ("price".to_owned(), FieldValue::Decimal(decimal("5"))),
    ];
    let product = made_by_a_dead_attempt(&bench, template, "Mug of yesterday", fields).await;
    completed(bench.send(Object::Product, template).await);
    assert_eq!(theirs(&bench, LinkKind::Product, product).await, template);
    assert_eq!(title(&bench, product), "Mug of today");
    assert_eq!(prices(&bench, product), [decimal("6")]);
    assert_eq!(bench.shop.ledger().products.len(), 1);
    is_quiet(&bench, Object::Product, product, template).await;
}

#[tokio::test]
async fn a_customer_that_a_dead_attempt_made_is_brought_to_what_the_erp_says() {
    let bench = Bench::both_ways(Version::V18, &[]).await;
    let values = json!({ "name": "Grace Hopper", "email": "grace@example.com", "customer_rank": 1 });
    let partner = bench.made_in_the_erp("res.partner", values);
    let new = NewCustomer {
        erp_ref: format!("customer_{partner}"),
        fields: vec![
            ("last_name".to_owned(), text("Murray")),
            ("email".to_owned(), text("grace@example.com")),
        ],
    };
    let customer = context(&bench).target.create_customer(&new).await.unwrap().id.0;
    completed(bench.send(Object::Customer, partner).await);
    assert_eq!(theirs(&bench, LinkKind::Customer, customer).await, partner);
    let name = bench
        .shop
        .read(|shop| shop.customer(customer).unwrap().display_name());
    assert_eq!(name, "Grace Hopper");
    is_quiet(&bench, Object::Customer, customer, partner).await;
}

#[tokio::test]
async fn a_product_that_we_made_and_did_not_link_yet_gets_no_second_record_in_the_erp() {
    let bench = Bench::both_ways(Version::V18, &[]).await;
    let (template, _) = mug(&bench, "Mug", None, 5);
    let product = made_by_a_dead_attempt(&bench, template, "Mug", vec![]).await;
    let before = bench.erp.ledger().count("product.template");
    let (state, why) = bench.sync(Object::Product, product).await;
    assert_ne!(state, JobState::Completed, "{why:?}");
    assert_eq!(bench.erp.ledger().count("product.template"), before);
    completed(bench.send(Object::Product, template).await);
    assert_eq!(theirs(&bench, LinkKind::Product, product).await, template);
    assert_eq!(bench.erp.ledger().count("product.template"), before);
}

#[tokio::test]
async fn what_the_way_in_reads_besides_is_not_taken_for_empty_after_a_write() {
    let reads_more = (
        "customer.in.toml",
        "[fields]\n",
        "[fields]\nref = { value = \"customer.raw.numberOfOrders\", type = \"text\", missing = \"clear\" }\n",
    );
    let selects = (
        "customer.in.toml",
        "truth = \"shopify\"",
        "truth = \"shopify\"\nselect = \"numberOfOrders\"",
    );
    let bench = Bench::both_ways(Version::V18, &[reads_more, selects]).await;
    let values =
        json!({ "name": "Grace Hopper", "email": "grace@example.com", "customer_rank": 1, "ref": "G" });
    let partner = bench.made_in_the_erp("res.partner", values);
    completed(bench.send(Object::Customer, partner).await);
    let link = link_of(&bench, LinkKind::Customer, partner).await.unwrap();
    let customer: u64 = link.source_id.parse().unwrap();
    is_quiet(&bench, Object::Customer, customer, partner).await;
    write(
        &bench,
        "res.partner",
        partner,
        json!({ "name": "Grace B. Hopper" }),
    );
    completed(bench.send(Object::Customer, partner).await);
    is_quiet(&bench, Object::Customer, customer, partner).await;
    assert_eq!(read(&bench, "res.partner", partner)["ref"], "G");
}

#[tokio::test]
async fn what_somebody_changes_in_the_erp_while_we_write_there_is_sent_although_we_never_write_it() {
    let changes = [(
        "product.out.toml",
        "title = \"product.name\"\n",
        "title = \"product.name\"\nvendor = { value = \"product.description\", missing = \"clear\" }\n",
    )];
    let bench = Bench::both_ways(Version::V18, &changes).await;
    let (product, _) = shirt(&bench);
    completed(bench.sync(Object::Product, product).await);
    let template = theirs(&bench, LinkKind::Product, product).await;
    is_quiet(&bench, Object::Product, product, template).await;

    bench
        .shop
        .change(|shop| shop.edit_product(product, |product| product.title = "Shirt, dried".into()))
        .unwrap();
    // The answer to our write is held back, and meanwhile somebody edits a field that only the way out reads.
    let late = Rule::new(Fault::Delay(Duration::from_secs(1)));
    bench
        .erp
        .faults()
        .add(late.model("product.template").method("write"));
    let edit = async {
        while read(&bench, "product.template", template)["name"] != "Shirt, dried" {
            tokio::task::yield_now().await;
        }
        let edited = json!({ "description_sale": "From the mill" });
        write(&bench, "product.template", template, edited);
    };
    let (saved, ()) = tokio::join!(bench.sync(Object::Product, product), edit);
    assert_eq!(completed(saved), "updated the product");
    assert_eq!(bench.erp.faults().pending(), 0, "the edit came in between");
    completed(bench.send(Object::Product, template).await);
    let vendor = bench
        .shop
        .read(|shop| shop.product(product).unwrap().vendor.clone());
    assert_eq!(vendor.as_str(), "From the mill");
    is_quiet(&bench, Object::Product, product, template).await;
}
