//! Records that a wrong mapping wrote, carried over with care.

use std::sync::atomic::{AtomicI64, Ordering};

use super::bench::*;
use super::*;
use crate::domain::{Clock as _, Direction, FieldValue, JobKey, LinkKind, Priority};
use crate::store::{Claim, JobFilter, Lane, NewJob};
use crate::sync::{ResyncMark, written_by};

const FILE: &str = "customer.in.toml";
const NAME: &str = "name = \"customer.display_name\"";
const WRONG: &str = "name = \"customer.display_name | upper\"";

impl Bench {
    /// What the stories of a record's jobs tell was written of it, as hashes, and by which revision.
    async fn told(&self, key: &JobKey) -> (String, BTreeMap<String, String>) {
        let filter = JobFilter {
            object: Some(key.object),
            direction: Some(key.direction),
            source_id: Some(key.source_id.clone()),
            limit: 10,
            ..JobFilter::default()
        };
        let (mut by, mut wrote) = (String::new(), BTreeMap::new());
        for job in self.store.jobs(filter).await.unwrap() {
            let story = self.store.job(job.id).await.unwrap().unwrap();
            let writes = story.attempts.iter().flat_map(|one| written_by(&one.detail));
            for write in writes.filter(|write| write.object == key.object && write.source == key.source_id) {
                by = write.mapping;
                wrote.extend(write.fields);
            }
        }
        (by, wrote)
    }

    /// Makes the job that puts a customer right, as it was planned by mappings of this revision, and claims it.
    async fn claim_with_care(&self, id: u64, by: &str) -> ClaimedJob {
        self.claim_any_with_care(self.key(Object::Customer, id), by).await
    }

    async fn claim_any_with_care(&self, key: JobKey, by: &str) -> ClaimedJob {
        let (mapping, wrote) = self.told(&key).await;
        self.claim_marked(key, by, (mapping, wrote)).await
    }

    /// The same, to put right what this revision of the mappings wrote, and nothing else.
    async fn claim_for(&self, key: JobKey, by: &str, wrong: &str, fields: &[(&str, &str)]) -> ClaimedJob {
        let hash = |value: &str| crate::sync::agree::hash(&FieldValue::Text(value.to_owned()));
        let wrote = fields
            .iter()
            .map(|(field, value)| ((*field).to_owned(), hash(value)));
        self.claim_marked(key, by, (wrong.to_owned(), wrote.collect()))
            .await
    }

    async fn claim_marked(
        &self,
        key: JobKey,
        by: &str,
        (mapping, wrote): (String, BTreeMap<String, String>),
    ) -> ClaimedJob {
        let now = SystemClock.now();
        let lane = Lane::of(&key);
        let job = NewJob {
            key,
            priority: Priority::LIVE,
            now,
            cause: "test".into(),
        };
        self.store.enqueue(job).await.unwrap();
        let claim = Claim {
            node: "test".into(),
            lanes: vec![(lane, 1)],
            now,
            lease: Duration::from_secs(60),
        };
        let job = self.store.claim(claim).await.unwrap().remove(0);
        let mark = ResyncMark {
            job: Some(job.id),
            at: job.wanted_since,
            hold: false,
            mapping,
            by: by.to_owned(),
            wrote,
        };
        let (name, now) = (ResyncMark::name(&job.key), SystemClock.now());
        self.store
            .set_cursor(&job.key.shop, &name, &mark.value(), now)
            .await
            .unwrap();
        job
    }

    async fn attempt(&self, job: &ClaimedJob) -> Report {
        self.engine.attempt(job.clone(), CancellationToken::new()).await
    }

    async fn end(&self, job: &ClaimedJob, report: Report) {
        let ended = self.store.finish(finish(job.id, job.fence, report)).await;
        assert!(matches!(ended.unwrap(), Finished::Done(_)));
    }

    fn edit_partner(&self, id: i64, values: serde_json::Value) {
        self.in_the_erp("res.partner", "write", serde_json::json!([[id], values]));
    }

    fn partner(&self, id: i64, field: &str) -> String {
        let record = self.erp.ledger().record("res.partner", id).unwrap();
        record[field].as_str().unwrap_or_default().to_owned()
    }
}

#[tokio::test]
async fn an_attempt_that_did_not_live_to_say_it_was_done_is_repeated_with_the_same_care() {
    let bench = Bench::with_edited(FILE, NAME, WRONG).await;
    let id = ada(&bench);
    assert_eq!(bench.sync(Object::Customer, id).await.0, JobState::Completed);
    let made = bench.link(LinkKind::Customer, id).await.unwrap().erp_id.0;
    assert_eq!(bench.partner(made, "name"), "ADA LOVELACE");
    // The shipped one again.
    let by = bench.remap(FILE, NAME, NAME);
    let job = bench.claim_with_care(id, &by).await;
    let lost = bench.attempt(&job).await;
    assert!(matches!(lost.outcome, Outcome::Completed), "{lost:?}");
    assert_eq!(bench.partner(made, "name"), "Ada Lovelace");

    // Its end was not saved. A person changes the name before it is repeated.
    bench.edit_partner(made, serde_json::json!({ "name": "Countess Lovelace" }));
    let repeated = bench.attempt(&job).await;
    assert!(matches!(repeated.outcome, Outcome::Completed), "{repeated:?}");
    assert_eq!(bench.partner(made, "name"), "Countess Lovelace");
    bench.end(&job, repeated).await;

    // What comes later is ordinary: the mapping has the last word.
    bench
        .shop
        .change(|shop| shop.edit_customer(id, |customer| customer.last_name = Some("King".into())))
        .unwrap();
    let (state, why) = bench.sync(Object::Customer, id).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    assert_eq!(bench.partner(made, "name"), "Ada King");
    let mark = bench
        .store
        .cursor(&job.key.shop, &ResyncMark::name(&job.key))
        .await;
    assert_eq!(mark.unwrap().unwrap_or_default(), "", "the mark is taken away");
}

#[tokio::test]
async fn what_the_wrong_mapping_did_not_write_stays() {
    let bench = Bench::with_edited(FILE, NAME, WRONG).await;
    let values =
        serde_json::json!({ "name": "Ada", "email": "ada@example.com", "street": "Unter den Linden 1" });
    let known = bench.made_in_the_erp("res.partner", values);
    let id = ada(&bench);
    assert_eq!(bench.sync(Object::Customer, id).await.0, JobState::Completed);
    assert_eq!(bench.partner(known, "name"), "ADA LOVELACE", "it is taken over");
    // The street was the same from the beginning: both sides agree on it, and no mapping wrote it.
    let street = "street = { value = \"customer.default_address.address1\"";
    let by = bench.remap(FILE, street, &street.replace("address1", "address1 | upper"));
    let job = bench.claim_with_care(id, &by).await;
    let report = bench.attempt(&job).await;
    assert!(matches!(report.outcome, Outcome::Completed), "{report:?}");
    assert_eq!(bench.partner(known, "name"), "Ada Lovelace");
    assert_eq!(bench.partner(known, "street"), "Unter den Linden 1");
    assert!(report.detail.to_string().contains("left_as_edited"), "{report:?}");
}

#[tokio::test]
async fn what_was_planned_by_other_mappings_waits_for_a_person() {
    let bench = Bench::with_edited(FILE, NAME, WRONG).await;
    let id = ada(&bench);
    assert_eq!(bench.sync(Object::Customer, id).await.0, JobState::Completed);
    // The wrong mappings are still in force here: nothing would be put right, and nobody would know.
    let job = bench.claim_with_care(id, "mended").await;
    let report = bench.attempt(&job).await;
    let Outcome::Held(problem) = &report.outcome else {
        panic!("{report:?}");
    };
    assert!(problem.reason.contains("mended"), "{}", problem.reason);
}

#[tokio::test]
async fn the_story_of_an_order_has_no_values_of_its_buyer() {
    let bench = Bench::new(Version::V18).await;
    let (_, variants) = shirt(&bench);
    let buyer = ada(&bench);
    let (id, _) = order(&bench, everyday(Buyer::Customer(buyer), variants[0]));
    assert_eq!(bench.sync(Object::Order, id).await.0, JobState::Completed);
    let filter = JobFilter {
        object: Some(Object::Order),
        limit: 1,
        ..JobFilter::default()
    };
    let job = bench.store.jobs(filter).await.unwrap().remove(0).id;
    let story = bench.store.job(job).await.unwrap().unwrap();
    let told: Vec<_> = story
        .attempts
        .iter()
        .flat_map(|one| written_by(&one.detail))
        .collect();
    assert!(
        told.iter().any(|write| write.source == buyer.to_string()
            && write.fields.iter().any(|(field, _)| field == "name"))
    );
    let writes = story.attempts.iter().filter_map(|one| one.detail.as_array());
    for note in writes.flatten().filter(|note| note["of"]["object"] == "customer") {
        assert!(!note.to_string().contains("Lovelace"), "{note}");
    }
}

const ORDERS: &str = "order.in.toml";
const ORIGIN: &str = "origin = \"order.name\"";
const WRONG_ORIGIN: &str = "origin = \"order.name ~ '?'\"";

impl Bench {
    /// A field of the ERP's order.
    fn of_order(&self, name: &str, field: &str) -> String {
        let id = self.booked(name).id;
        let record = self.erp.ledger().record("sale.order", id).unwrap();
        record[field].as_str().unwrap_or_default().to_owned()
    }
}

#[tokio::test]
async fn a_draft_order_is_put_right_as_a_whole_or_left_to_people_and_a_confirmed_one_stays() {
    let bench = Bench::with_edited(ORDERS, ORIGIN, WRONG_ORIGIN).await;
    let (_, variants) = shirt(&bench);
    let buyer = ada(&bench);
    let mut pending = everyday(Buyer::Customer(buyer), variants[0]);
    pending.payment = Payment::Pending("bank_transfer".into());
    // The ERP keeps it in a paragraph of its own, which is nobody's change.
    pending.note = Some("Ring \"twice\"\nplease".into());
    let (one, two) = (order(&bench, pending.clone()), order(&bench, pending));
    let paid = order(&bench, everyday(Buyer::Customer(buyer), variants[0]));
    for (id, name) in [&one, &two, &paid] {
        let (state, why) = bench.sync(Object::Order, *id).await;
        assert_eq!(state, JobState::Completed, "{why:?}");
        assert_eq!(bench.of_order(name, "origin"), format!("{name}?"));
    }
    assert!(bench.of_order(&one.1, "note").starts_with("<p>Ring"));
    let by = bench.remap(ORDERS, ORIGIN, ORIGIN);
    let preview = async |id: u64| {
        let (_, wrote) = bench.told(&bench.key(Object::Order, id)).await;
        let shop = "main".parse().unwrap();
        let id = crate::domain::ShopifyId(id);
        bench
            .engine
            .preview_resync(&shop, Object::Order, id, wrote)
            .await
            .unwrap()
    };

    // Nobody touched the first one.
    let shown = preview(one.0).await;
    assert!(shown.kept.is_empty() && !shown.preview.stays, "{shown:?}");
    let fields = shown.preview.writes.iter().flat_map(|write| &write.fields);
    let fields: Vec<&str> = fields.map(|field| field.field.as_str()).collect();
    assert_eq!(fields, ["origin"]);
    let job = bench
        .claim_any_with_care(bench.key(Object::Order, one.0), &by)
        .await;
    let report = bench.attempt(&job).await;
    assert!(matches!(report.outcome, Outcome::Completed), "{report:?}");
    assert_eq!(bench.of_order(&one.1, "origin"), one.1);
    let notes = report.detail.as_array().unwrap();
    let values = notes
        .iter()
        .filter_map(|note| note["values"].as_array())
        .flatten();
    let told: Vec<_> = values
        .filter(|value| value["field"] == "origin")
        .map(|value| (value["old"].clone(), value["new"].clone()))
        .collect();
    assert_eq!(told, [(format!("{}?", one.1).into(), one.1.clone().into())]);
    bench.end(&job, report).await;

    // Of the second one somebody changed a field that the mapping makes right, too.
    let id = bench.booked(&two.1).id;
    bench.in_the_erp(
        "sale.order",
        "write",
        serde_json::json!([[id], { "origin": "by phone" }]),
    );
    let shown = preview(two.0).await;
    assert_eq!(shown.kept[0].field, "origin", "{shown:?}");
    let job = bench
        .claim_any_with_care(bench.key(Object::Order, two.0), &by)
        .await;
    let report = bench.attempt(&job).await;
    let Outcome::Problem(problem) = &report.outcome else {
        panic!("{report:?}");
    };
    assert_eq!(problem.code.0, "resync_order_edited");
    assert!(problem.reason.contains("origin"), "{}", problem.reason);
    assert_eq!(bench.of_order(&two.1, "origin"), "by phone");

    let shown = preview(paid.0).await;
    assert!(
        shown.preview.stays && shown.preview.writes.is_empty(),
        "{shown:?}"
    );
}

const OUT: &str = "customer.out.toml";
const FIRST_NAME: &str = "\nfirst_name = { value = \"partner.first_name\"";
const TRUTH: (&str, &str) = ("truth = \"shopify\"\nadopt", "truth = \"erp\"\nadopt");

#[tokio::test]
async fn what_a_wrong_mapping_wrote_to_the_shop_is_put_right_but_for_what_was_changed_there_since() {
    let wrong = FIRST_NAME.replace("first_name\"", "first_name | upper\"");
    let changes = [(OUT, FIRST_NAME, wrong.as_str()), (OUT, TRUTH.0, TRUTH.1)];
    let bench = Bench::both_ways(Version::V18, &changes).await;
    let shop: crate::domain::ShopName = "main".parse().unwrap();
    let mut made = Vec::new();
    for n in 0..2 {
        let values = serde_json::json!({
            "name": "Grace Hopper", "email": format!("grace{n}@example.com"), "customer_rank": 1
        });
        let partner = bench.made_in_the_erp("res.partner", values);
        let (state, why) = bench.send(Object::Customer, partner).await;
        assert_eq!(state, JobState::Completed, "{why:?}");
        let partner = crate::domain::ErpId(partner);
        let link = bench.store.link_of_erp(&shop, LinkKind::Customer, partner).await;
        made.push((partner, link.unwrap().unwrap().source_id.parse::<u64>().unwrap()));
    }
    let first_name = |id: u64| {
        bench
            .shop
            .read(|shop| shop.customer(id).unwrap().first_name.clone().unwrap())
    };
    assert_eq!(first_name(made[0].1), "GRACE");
    let edited = made[1].1;
    bench
        .shop
        .change(|shop| shop.edit_customer(edited, |customer| customer.first_name = Some("Amazing".into())))
        .unwrap();
    let by = bench.remap(OUT, TRUTH.0, TRUTH.1);
    for ((partner, id), expected, is_kept) in [(made[0], "Grace", false), (made[1], "Amazing", true)] {
        let key = JobKey {
            direction: Direction::Out,
            source_id: partner.to_string(),
            ..bench.key(Object::Customer, 1)
        };
        let (_, wrote) = bench.told(&key).await;
        let shown = bench
            .engine
            .preview_resync_out(&shop, Object::Customer, partner, wrote)
            .await
            .unwrap();
        let kept = shown.kept.iter().map(|field| field.field.as_str());
        assert_eq!(
            kept.collect::<Vec<_>>().contains(&"first_name"),
            is_kept,
            "{shown:?}"
        );
        let job = bench.claim_any_with_care(key, &by).await;
        let report = bench.attempt(&job).await;
        assert!(matches!(report.outcome, Outcome::Completed), "{report:?}");
        assert_eq!(first_name(id), expected);
        let story = report.detail.to_string();
        assert!(story.contains("\"first_name\""), "{story}");
        bench.end(&job, report).await;
    }
}

#[tokio::test]
async fn what_changed_on_the_shop_since_a_product_was_carried_over_is_carried_over_too() {
    const TITLE: &str = "name = \"product.title\"";
    // The shop tells whole seconds.
    let moved = Arc::new(AtomicI64::new(0));
    let (real, hand) = (ShopOptions::default().clock, Arc::clone(&moved));
    let options = ShopOptions {
        clock: Arc::new(move || real() + chrono::Duration::seconds(hand.load(Ordering::SeqCst))),
        ..ShopOptions::default()
    };
    let odoo = OdooOptions {
        services: services(),
        ..OdooOptions::version(Version::V18)
    };
    let shipped = crate::app::mappings::load(None).unwrap();
    let bench = Bench::built(options, odoo, shipped, |_| {}).await;
    let (id, variants) = shirt(&bench);
    assert_eq!(bench.sync(Object::Product, id).await.0, JobState::Completed);
    let wrong = bench.remap("product.in.toml", TITLE, "name = \"product.title | upper\"");
    let edit = |edit: &dyn Fn(&mut crate::sandbox::shopify::facts::Product)| {
        bench.shop.change(|shop| shop.edit_product(id, edit)).unwrap();
    };
    edit(&|product| product.title = "Tee".into());
    assert_eq!(bench.sync(Object::Product, id).await.0, JobState::Completed);
    let template = bench.link(LinkKind::Product, id).await.unwrap().erp_id.0;
    let variant = |id: u64| {
        let link = bench.link(LinkKind::Variant, id);
        async { link.await.unwrap().erp_id.0 }
    };
    let (small, medium) = (variant(variants[0]).await, variant(variants[1]).await);
    let held = |model: &str, id: i64, field: &str| {
        let record = bench.erp.ledger().record(model, id).unwrap();
        record[field].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(held("product.template", template, "name"), "TEE");

    // Nobody heard of it, or its event joined the job. A person has changed the other one's number in the ERP.
    moved.store(10, Ordering::SeqCst);
    edit(&|product| {
        for variant in &mut product.variants {
            variant.sku = variant.sku.as_ref().map(|sku| format!("{sku}-NEW"));
        }
    });
    bench.in_the_erp(
        "product.product",
        "write",
        serde_json::json!([[medium], { "default_code": "BY-HAND" }]),
    );
    let by = bench.remap("product.in.toml", TITLE, TITLE);
    let key = bench.key(Object::Product, id);
    let job = bench.claim_for(key, &by, &wrong, &[("name", "TEE")]).await;
    let report = bench.attempt(&job).await;
    assert!(matches!(report.outcome, Outcome::Completed), "{report:?}");
    bench.end(&job, report).await;
    assert_eq!(held("product.template", template, "name"), "Tee");
    assert_eq!(held("product.product", small, "default_code"), "SHIRT-S-NEW");
    assert_eq!(held("product.product", medium, "default_code"), "BY-HAND");
}

#[tokio::test]
async fn what_changed_in_the_erp_since_a_customer_was_sent_is_sent_too() {
    let wrong = FIRST_NAME.replace("first_name\"", "first_name | upper\"");
    let changes = [(OUT, FIRST_NAME, wrong.as_str()), (OUT, TRUTH.0, TRUTH.1)];
    let bench = Bench::both_ways(Version::V18, &changes).await;
    let shop: crate::domain::ShopName = "main".parse().unwrap();
    let germany = bench.in_the_erp(
        "res.country",
        "search",
        serde_json::json!([[["code", "=", "DE"]]]),
    );
    let values = serde_json::json!({
        "name": "Grace Hopper", "email": "grace@example.com", "customer_rank": 1, "country_id": germany[0],
        "city": "Berlin", "zip": "10117", "street": "Unter den Linden 1"
    });
    let partner = bench.made_in_the_erp("res.partner", values);
    let (state, why) = bench.send(Object::Customer, partner).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    let link = bench
        .store
        .link_of_erp(&shop, LinkKind::Customer, crate::domain::ErpId(partner));
    let id: u64 = link.await.unwrap().unwrap().source_id.parse().unwrap();
    // Both sides change: one field each.
    bench.edit_partner(partner, serde_json::json!({ "zip": "10119" }));
    bench
        .shop
        .change(|shop| {
            shop.edit_customer(id, |customer| {
                customer.addresses[0].address1 = Some("By hand 2".into());
            })
        })
        .unwrap();
    let by = bench.remap(OUT, TRUTH.0, TRUTH.1);
    let key = JobKey {
        direction: Direction::Out,
        source_id: partner.to_string(),
        ..bench.key(Object::Customer, 1)
    };
    let job = bench
        .claim_for(key, &by, "wrong", &[("first_name", "GRACE")])
        .await;
    let report = bench.attempt(&job).await;
    assert!(matches!(report.outcome, Outcome::Completed), "{report:?}");
    bench.end(&job, report).await;
    let (first_name, address) = bench.shop.read(|shop| {
        let customer = shop.customer(id).unwrap();
        (customer.first_name.clone(), customer.address().unwrap().clone())
    });
    assert_eq!(first_name.as_deref(), Some("Grace"));
    assert_eq!(address.zip.as_deref(), Some("10119"), "the ERP's change");
    assert_eq!(address.address1.as_deref(), Some("By hand 2"), "the shop's");
}
