//! What the ERP changed while its changes go to the shop, and nobody told of: fields that only the way out maps, variants, records
//! that became fit to be sent.

use super::*;
use crate::domain::ErpId;
use crate::reconcile::forget_sent;

const TEMPLATE: &str = "product.template";
pub(super) const VALUE: &str = "product.template.attribute.value";

/// As if the first run had been long ago.
pub(super) async fn sent_since_long_ago(both: &Damaged, object: Object) {
    let now = crate::domain::Clock::now(&SystemClock);
    let (shop, name) = (main_shop(), format!("full:out:{object}"));
    let store = &both.bench.store;
    let cursor = store.set_cursor(&shop, &name, "2020-01-01T00:00:00Z", now);
    cursor.await.unwrap();
}

/// A product that both directions agreed on, and its template.
pub(super) async fn settled(both: &Damaged) -> (u64, i64) {
    let (product, _) = shirt(&both.bench);
    let synced = both.bench.sync(Object::Product, product).await;
    assert_eq!(synced.0, JobState::Completed, "{synced:?}");
    let link = both.bench.link(LinkKind::Product, product).await.unwrap();
    let sent = both.bench.send(Object::Product, link.erp_id.0).await;
    assert_eq!(sent.0, JobState::Completed, "{sent:?}");
    both.later();
    (product, link.erp_id.0)
}

fn prices(both: &Damaged, product: u64) -> Vec<Decimal> {
    both.bench.shop.read(|shop| {
        let variants = shop.product(product).unwrap().variants.iter();
        variants.map(|variant| variant.price).collect()
    })
}

/// Without the services that lines of orders need: nobody sells them on the shop.
fn of_goods(mut rows: Vec<DriftRow>) -> Vec<DriftRow> {
    rows.retain(|row| row.why.as_deref() != Some("a service"));
    rows
}

/// The template gets the size L.
pub(super) fn add_size(both: &Damaged, template: i64) {
    add_size_at(both, template, "L", None);
}

/// The template gets a size, or got it then.
pub(super) fn add_size_at(
    both: &Damaged,
    template: i64,
    size: &str,
    at: Option<chrono::DateTime<chrono::Utc>>,
) {
    let bench = &both.bench;
    let line = bench.in_the_erp(
        "product.template.attribute.line",
        "search_read",
        json!([[["product_tmpl_id", "=", template]], ["attribute_id"]]),
    );
    let (line, attribute) = (line[0]["id"].clone(), line[0]["attribute_id"][0].clone());
    let value = json!({ "name": size, "attribute_id": attribute });
    let value = bench.made_in_the_erp("product.attribute.value", value);
    let lines = json!([[1, line, { "value_ids": [[4, value]] }]]);
    let values = json!({ "attribute_line_ids": lines });
    match at {
        Some(at) => {
            let erp = &bench.erp;
            let written = erp.as_admin_since(at, TEMPLATE, "write", json!([[template], values]), json!({}));
            written.unwrap();
        }
        None => both.write(TEMPLATE, template, values),
    }
}

fn sizes(both: &Damaged, product: u64) -> Vec<String> {
    both.bench.shop.read(|shop| {
        let variants = shop.product(product).unwrap().variants.iter();
        variants.map(|variant| variant.option_values.join("/")).collect()
    })
}

#[tokio::test]
async fn a_field_that_only_the_way_out_maps_is_found_where_its_poll_was_lost() {
    let both = Damaged::new(true).await;
    let (product, template) = settled(&both).await;
    assert_eq!(both.is_quiet(Object::Product).await, []);
    let values = both.bench.in_the_erp(
        VALUE,
        "search_read",
        json!([[["product_tmpl_id", "=", template], ["name", "=", "M"]], ["name"]]),
    );
    both.write(
        VALUE,
        values[0]["id"].as_i64().unwrap(),
        json!({ "price_extra": 5 }),
    );
    let rows = both.repaired(Object::Product).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    let row = &rows[0];
    assert_eq!(
        (row.class, row.field.as_deref(), row.fate, row.direction),
        (
            DriftClass::FieldDiffers,
            Some("price"),
            DriftFate::Repaired,
            Some(Direction::Out)
        )
    );
    assert_eq!(prices(&both, product), [decimal("19.99"), decimal("24.99")]);
    // In step, nothing of it is read whole, though it was written a moment ago.
    assert_eq!(both.is_quiet(Object::Product).await, []);
    let (report, _) = both.run(Object::Product).await;
    assert_eq!(report.looked.compared, 0);
}

#[tokio::test]
async fn a_product_of_which_the_way_in_makes_a_problem_is_followed_on_its_way_out() {
    let mappings = edited(
        "product.in.toml",
        r#"barcode = { value = "variant.barcode", missing = "clear" }"#,
        r#"barcode = { value = "variant.barcode", missing = "fail" }"#,
    );
    let both = Damaged::with_mappings(mappings, |shop| {
        shop.out = BTreeSet::from([Object::Product]);
    })
    .await;
    let values = json!({ "name": "Hat", "type": "consu", "sale_ok": true, "default_code": "HAT" });
    let template = both.bench.made_in_the_erp(TEMPLATE, values);
    let sent = both.bench.send(Object::Product, template).await;
    assert_eq!(sent.0, JobState::Completed, "{sent:?}");
    both.repaired(Object::Product).await;
    both.write(TEMPLATE, template, json!({ "name": "Cap" }));
    let rows = both.repaired(Object::Product).await;
    let title = rows.iter().find(|row| row.field.as_deref() == Some("title"));
    let title = title.unwrap_or_else(|| panic!("{rows:?}"));
    assert_eq!(
        (title.class, title.direction, title.fate),
        (
            DriftClass::FieldDiffers,
            Some(Direction::Out),
            DriftFate::Repaired
        )
    );
    let made = both.bench.shop.ledger().products;
    assert_eq!(made[0].title, "Cap");
}

#[tokio::test]
async fn a_variant_that_the_erp_made_is_sent_and_told_where_nothing_is_sent() {
    let both = Damaged::new(true).await;
    let (product, template) = settled(&both).await;
    sent_since_long_ago(&both, Object::Product).await;
    assert_eq!(of_goods(both.is_quiet(Object::Product).await), []);
    add_size(&both, template);
    let rows = of_goods(both.repaired(Object::Product).await);
    assert_eq!(
        told(&rows),
        [(
            DriftClass::MissingOnShopify,
            Some("create"),
            None,
            None,
            DriftFate::Repaired
        )]
    );
    assert_eq!(rows[0].source_id, Some(ShopifyId(product)));
    assert_eq!(sizes(&both, product), ["S", "M", "L"]);
    assert_eq!(of_goods(both.is_quiet(Object::Product).await), []);

    let alone = Damaged::new(false).await;
    let (product, _) = shirt(&alone.bench);
    assert_eq!(
        alone.bench.sync(Object::Product, product).await.0,
        JobState::Completed
    );
    let template = alone.bench.link(LinkKind::Product, product).await.unwrap();
    add_size(&alone, template.erp_id.0);
    let rows = alone.is_quiet(Object::Product).await;
    assert_eq!(
        told(&rows),
        [(
            DriftClass::MissingOnShopify,
            None,
            None,
            None,
            DriftFate::LeftAlone
        )]
    );
    assert_eq!(rows[0].why.as_deref(), Some("toggle_off"));
    assert!(
        rows[0].model.as_deref().unwrap().starts_with("product.product "),
        "{rows:?}"
    );
}

#[tokio::test]
async fn a_variant_that_was_there_before_the_way_out_is_told_and_not_made() {
    let both = Damaged::new(true).await;
    let (product, template) = settled(&both).await;
    add_size(&both, template);
    // The first run notes since when.
    let rows = both.is_quiet(Object::Product).await;
    assert_eq!(
        rows.iter().map(|row| row.why.as_deref()).collect::<Vec<_>>(),
        [Some("older_than_the_way_out")]
    );
    assert_eq!(both.is_quiet(Object::Product).await.len(), 1);
    assert_eq!(sizes(&both, product), ["S", "M"]);
}

#[tokio::test]
async fn what_was_made_while_the_way_out_was_off_is_not_sent() {
    let both = Damaged::new(true).await;
    both.customer("Ada").await;
    sent_since_long_ago(&both, Object::Customer).await;
    both.run(Object::Customer).await;
    let now = crate::domain::Clock::now(&SystemClock);
    let store = &both.bench.store;
    // As whoever polls does where it is off.
    forget_sent(store, &main_shop(), Object::Customer, now)
        .await
        .unwrap();
    let values = json!({ "name": "New Here", "email": "new@example.com", "customer_rank": 1 });
    both.bench.made_in_the_erp("res.partner", values);
    for _ in 0..2 {
        assert_eq!(both.is_quiet(Object::Customer).await, []);
    }
    let since = store.cursor(&main_shop(), "full:out:customer").await.unwrap();
    assert!(
        since.is_some_and(|since| !since.is_empty()),
        "it begins with the first run"
    );
}

#[tokio::test]
async fn a_record_that_was_left_out_once_is_looked_at_again_when_it_was_written_since() {
    let both = Damaged::new(true).await;
    sent_since_long_ago(&both, Object::Product).await;
    let values = json!({ "name": "Hat", "type": "consu", "sale_ok": false, "default_code": "HAT" });
    let hat = both.bench.made_in_the_erp(TEMPLATE, values);
    assert_eq!(both.bench.send(Object::Product, hat).await.0, JobState::Obsolete);
    let rows = of_goods(both.is_quiet(Object::Product).await);
    assert_eq!(
        rows.iter().map(|row| row.why.as_deref()).collect::<Vec<_>>(),
        [Some("not for sale")]
    );
    both.write(TEMPLATE, hat, json!({ "sale_ok": true }));
    let rows = both.repaired(Object::Product).await;
    let row = rows.iter().find(|row| row.erp_id == Some(ErpId(hat))).unwrap();
    assert_eq!(
        (row.class, row.fate),
        (DriftClass::MissingOnShopify, DriftFate::Repaired)
    );
    let made = both.bench.shop.ledger().products;
    assert!(made.iter().any(|product| product.title == "Hat"), "{made:?}");
    assert_eq!(of_goods(both.is_quiet(Object::Product).await), []);
}

impl Damaged {
    /// The same where the shop's changes are not carried in.
    fn without_in(mut self, object: Object) -> Self {
        let mut context = ShopContext::clone(self.bench.engine.shop(&main_shop()).unwrap());
        context.not_in.insert(object);
        self.bench.engine = Engine::new([context]);
        self
    }
}

#[tokio::test]
async fn an_edit_on_the_shop_is_told_where_the_way_in_is_off() {
    for out in [true, false] {
        let both = Damaged::new(out).await;
        let (ada, partner) = both.customer("Ada").await;
        if out {
            let sent = both.bench.send(Object::Customer, partner).await;
            assert_eq!(sent.0, JobState::Completed, "{sent:?}");
        }
        let both = both.without_in(Object::Customer);
        assert_eq!(both.is_quiet(Object::Customer).await, []);
        both.later();
        let edit = |customer: &mut crate::sandbox::shopify::facts::Customer| {
            customer.addresses[0].city = Some("Rome".into());
        };
        both.bench
            .shop
            .change(|shop| shop.edit_customer(ada, edit))
            .unwrap();
        let (report, rows) = both.run(Object::Customer).await;
        assert_eq!(rows.len(), 1, "{rows:?}");
        let row = &rows[0];
        assert_eq!(
            (row.class, row.fate, row.why.as_deref(), row.source_id),
            (
                DriftClass::FieldDiffers,
                DriftFate::LeftAlone,
                Some("toggle_off"),
                Some(ShopifyId(ada))
            )
        );
        assert_eq!(report.looked.in_step, 0);
        if !out {
            assert_eq!(both.is_quiet(Object::Customer).await.len(), 1);
            continue;
        }
        assert!(row.field.as_deref().unwrap().contains("city"), "{row:?}");
        assert_eq!(
            (row.shopify.as_deref(), row.erp.as_deref()),
            (Some("Rome"), Some("Berlin"))
        );
        // Told once, it is counted: until the ERP says something else, which goes out.
        let (report, rows) = both.run(Object::Customer).await;
        assert_eq!((report.looked.compared, rows), (0, Vec::new()));
        assert_eq!(report.of_fate(DriftFate::LeftAlone), 1);
        both.write("res.partner", partner, json!({ "street": "Ring 1" }));
        let rows = both.repaired(Object::Customer).await;
        assert!(
            rows.iter()
                .any(|row| row.fate == DriftFate::Repaired && row.direction == Some(Direction::Out)),
            "{rows:?}"
        );
    }
}

#[tokio::test]
async fn records_that_were_only_matched_are_counted_and_a_sample_writes_nothing_of_them() {
    let both = Damaged::new(false).await;
    let (ada, partner) = both.customer("Ada").await;
    both.customer("Grace").await;
    both.write("res.partner", partner, json!({ "city": "Rome" }));
    let link = both.bench.link(LinkKind::Customer, ada).await.unwrap();
    both.bench
        .relink(crate::domain::Link {
            agreed: json!({}),
            state: LinkState::Adopted,
            source_updated_at: None,
            ..link
        })
        .await;
    let (report, rows) = both.run(Object::Customer).await;
    assert_eq!(rows, []);
    assert_eq!((report.looked.adopted, report.looked.in_step), (1, 1));
    let jobs = both.bench.store.jobs(JobFilter::default()).await.unwrap().len();
    let sample = FullRun {
        sample: Some(10),
        ..FullRun::of(Object::Customer, "test")
    };
    let (report, rows) = both.run_as(sample).await;
    assert_eq!((report.looked.adopted, report.looked.compared), (1, 2));
    assert_eq!(
        told(&rows),
        [(
            DriftClass::FieldDiffers,
            Some("city"),
            Some("Berlin"),
            Some("Rome"),
            DriftFate::LeftAlone
        )]
    );
    assert_eq!(rows[0].why.as_deref(), Some("only_matched"));
    let now = both.bench.store.jobs(JobFilter::default()).await.unwrap().len();
    assert_eq!(now, jobs, "no job is made");
}
