//! Any interleaving of edits, sales, counts, notices in any order and repeated, with failing calls, lost answers, throttling, an
//! ERP that is away, and attempts that die: it settles, both sides agree on what the mappings own, nothing is there twice, the
//! writes are bounded, and the shop offers what the ERP has left.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::task::Poll;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;
use crate::domain::{Disposition, ErpId, LONGEST_CALL};
use crate::sandbox::odoo::Fault;
use crate::sandbox::shopify::faults::ApiFault;

#[derive(Clone, Debug)]
enum Move {
    /// What people do in the ERP.
    Name(u8),
    Price(u8),
    Street(u8),
    Count(u8),
    NewArticle,
    NewPartner,
    Deliver(u8),
    /// What people do on the shop.
    Title(u8),
    ShopPrice(u8),
    ShopStreet(u8),
    Sell(u8),
    Ship(u8),
    /// One of the notices that are on their way arrives; perhaps it comes again later.
    Notice {
        nth: u8,
        again: bool,
    },
    /// What is due is attempted. Perhaps everything dies after so many calls of either side.
    Work {
        dies_after: Option<u8>,
    },
    /// What the next call of the shop, or of the ERP, meets.
    ShopFault(u8),
    ErpFault(u8),
    /// The ERP goes away, or comes back.
    ErpDown,
    ErpUp,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let notice = (any::<u8>(), any::<bool>()).prop_map(|(nth, again)| Move::Notice { nth, again });
    let dies = prop_oneof![2 => Just(None), 1 => (1..16_u8).prop_map(Some)];
    let one = prop_oneof![
        2 => (0..4_u8).prop_map(Move::Name),
        2 => (1..4_u8).prop_map(Move::Price),
        1 => (0..4_u8).prop_map(Move::Street),
        2 => (0..4_u8).prop_map(Move::Count),
        1 => Just(Move::NewArticle),
        1 => Just(Move::NewPartner),
        1 => any::<u8>().prop_map(Move::Deliver),
        2 => (0..4_u8).prop_map(Move::Title),
        2 => (1..4_u8).prop_map(Move::ShopPrice),
        1 => (0..4_u8).prop_map(Move::ShopStreet),
        2 => (1..4_u8).prop_map(Move::Sell),
        1 => any::<u8>().prop_map(Move::Ship),
        6 => notice,
        8 => dies.prop_map(|dies_after| Move::Work { dies_after }),
        2 => any::<u8>().prop_map(Move::ShopFault),
        2 => any::<u8>().prop_map(Move::ErpFault),
        1 => Just(Move::ErpDown),
        1 => Just(Move::ErpUp),
    ];
    prop::collection::vec(one, 4..40)
}

/// An order of the article on the shop.
struct Sold {
    id: u64,
    name: String,
    units: i64,
    is_shipped: bool,
    is_delivered: bool,
}

/// Both sides in the storm.
struct World {
    bench: Bench,
    product: u64,
    variant: u64,
    customer: u64,
    template: i64,
    article: i64,
    partner: i64,
    /// The jobs of changes that nobody was told of yet.
    notices: RefCell<Vec<JobKey>>,
    sold: RefCell<Vec<Sold>>,
    /// Made in the ERP: template and SKU, partner and e-mail address.
    articles: RefCell<Vec<(i64, String)>>,
    partners: RefCell<Vec<(i64, String)>>,
    /// What people changed, and how often something failed or died.
    edits: Cell<u64>,
    mishaps: Cell<u64>,
    rounds: Cell<u32>,
}

/// Between two rounds so much time passes that whoever waits or rests is due.
const ROUND: Duration = Duration::from_secs(3_600);

impl World {
    async fn new(truth_says: &str) -> Self {
        let to = format!("truth = \"{truth_says}\"");
        let of_products = truth("product.in.toml", "product.out.toml", &to);
        let of_customers = truth("customer.in.toml", "customer.out.toml", &to);
        let changes = [of_products, of_customers].concat();
        let bench = Bench::both_ways_and_stock(&changes).await;
        let product = bench.shop.change(|shop| {
            shop.create_product(ProductDraft {
                title: "Mug".into(),
                variants: vec![VariantDraft::new(&[], "MUG", decimal("15"))],
                ..ProductDraft::default()
            })
        });
        let variant = bench
            .shop
            .read(|shop| shop.product(product).unwrap().variants[0].id);
        completed(bench.sync(Object::Product, product).await);
        let customer = ada(&bench);
        completed(bench.sync(Object::Customer, customer).await);
        let template = theirs(&bench, LinkKind::Product, product).await;
        let article = theirs(&bench, LinkKind::Variant, variant).await;
        assert_eq!(
            template, article,
            "its stock has one key, whatever the key is made of"
        );
        let partner = theirs(&bench, LinkKind::Customer, customer).await;
        bench.erp.set_stock(article, None, 50).unwrap();
        completed(bench.send(Object::Inventory, article).await);
        Self {
            bench,
            product,
            variant,
            customer,
            template,
            article,
            partner,
            notices: RefCell::default(),
            sold: RefCell::default(),
            articles: RefCell::default(),
            partners: RefCell::default(),
            edits: Cell::default(),
            mishaps: Cell::default(),
            rounds: Cell::default(),
        }
    }

    fn changed_in_the_erp(&self, object: Object, id: i64) {
        self.edits.set(self.edits.get() + 1);
        self.notices.borrow_mut().push(self.out(object, id));
    }

    fn changed_on_the_shop(&self, object: Object, id: u64) {
        self.edits.set(self.edits.get() + 1);
        self.notices.borrow_mut().push(self.bench.key(object, id));
    }

    fn out(&self, object: Object, id: i64) -> JobKey {
        JobKey {
            direction: Direction::Out,
            source_id: id.to_string(),
            ..self.bench.key(object, 1)
        }
    }

    async fn enqueue(&self, key: JobKey) {
        let job = NewJob {
            key,
            priority: Priority::LIVE,
            now: crate::domain::Clock::now(&SystemClock),
            cause: "test".into(),
        };
        self.bench.store.enqueue(job).await.unwrap();
    }

    async fn step(&self, wanted: &Move) {
        let bench = &self.bench;
        match wanted {
            Move::Name(n) => {
                write(
                    bench,
                    "product.template",
                    self.template,
                    json!({ "name": format!("Erp {n}") }),
                );
                self.changed_in_the_erp(Object::Product, self.template);
            }
            Move::Price(n) => {
                let price = json!({ "list_price": 14 + i32::from(*n) });
                write(bench, "product.template", self.template, price);
                self.changed_in_the_erp(Object::Product, self.template);
            }
            Move::Street(n) => {
                write(
                    bench,
                    "res.partner",
                    self.partner,
                    json!({ "street": format!("Erp Street {n}") }),
                );
                self.changed_in_the_erp(Object::Customer, self.partner);
            }
            Move::Count(n) => {
                // More than can be sold in one storm.
                bench
                    .erp
                    .set_stock(self.article, None, 50 + i64::from(*n))
                    .unwrap();
                self.changed_in_the_erp(Object::Inventory, self.article);
            }
            Move::NewArticle => {
                let sku = format!("HAT-{}", self.articles.borrow().len());
                let values = json!({ "name": sku, "list_price": 30, "type": "consu", "is_storable": true, "default_code": sku, "sale_ok": true });
                let made = bench.made_in_the_erp("product.product", values);
                let read = bench.in_the_erp("product.product", "read", json!([[made], ["product_tmpl_id"]]));
                let template = read[0]["product_tmpl_id"][0].as_i64().unwrap();
                self.articles.borrow_mut().push((template, sku));
                self.changed_in_the_erp(Object::Product, template);
            }
            Move::NewPartner => {
                let email = format!("grace{}@example.com", self.partners.borrow().len());
                let values = json!({ "name": "Grace Hopper", "email": email, "customer_rank": 1, "street": "Navy Yard 1", "city": "Berlin", "zip": "10115", "country_id": self.germany() });
                let partner = bench.made_in_the_erp("res.partner", values);
                self.partners.borrow_mut().push((partner, email));
                self.changed_in_the_erp(Object::Customer, partner);
            }
            Move::Deliver(n) => self.deliver(usize::from(*n)),
            Move::Title(n) => {
                let title = format!("Shop {n}");
                let edit = |product: &mut crate::sandbox::shopify::facts::Product| product.title = title;
                bench
                    .shop
                    .change(|shop| shop.edit_product(self.product, edit))
                    .unwrap();
                self.changed_on_the_shop(Object::Product, self.product);
            }
            Move::ShopPrice(n) => {
                let price = Decimal::from(14 + u32::from(*n));
                bench
                    .shop
                    .change(|shop| shop.edit_variant(self.variant, |variant| variant.price = price))
                    .unwrap();
                self.changed_on_the_shop(Object::Product, self.product);
            }
            Move::ShopStreet(n) => {
                let street = format!("Shop Street {n}");
                let edit = |customer: &mut crate::sandbox::shopify::facts::Customer| {
                    customer.addresses[0].address1 = Some(street);
                };
                bench
                    .shop
                    .change(|shop| shop.edit_customer(self.customer, edit))
                    .unwrap();
                self.changed_on_the_shop(Object::Customer, self.customer);
            }
            Move::Sell(n) => self.sell(*n),
            Move::Ship(n) => self.ship(usize::from(*n)),
            Move::Notice { nth, again } => {
                let key = {
                    let mut notices = self.notices.borrow_mut();
                    if notices.is_empty() {
                        return;
                    }
                    let at = usize::from(*nth) % notices.len();
                    if *again {
                        notices[at].clone()
                    } else {
                        notices.remove(at)
                    }
                };
                self.enqueue(key).await;
            }
            Move::Work { dies_after } => {
                self.round(dies_after.map(u64::from)).await;
            }
            Move::ShopFault(n) => {
                let faults = [
                    ApiFault::CutAfter,
                    ApiFault::CutBefore,
                    ApiFault::TooManyRequests(0.0),
                    ApiFault::Throttled,
                    ApiFault::HtmlError(503),
                    ApiFault::InternalError,
                ];
                self.mishaps.set(self.mishaps.get() + 1);
                let fault = faults[usize::from(*n) % faults.len()].clone();
                bench.shop.inject(fault, None, 1);
            }
            Move::ErpFault(n) => {
                let faults = [
                    Fault::CloseAfter,
                    Fault::CloseBefore,
                    Fault::Http {
                        status: 503,
                        retry_after: None,
                    },
                    Fault::HttpAfter(504),
                    Fault::PostgresDown,
                    Fault::Serialization,
                ];
                self.mishaps.set(self.mishaps.get() + 1);
                bench
                    .erp
                    .faults()
                    .next(faults[usize::from(*n) % faults.len()].clone());
            }
            Move::ErpDown => {
                self.mishaps.set(self.mishaps.get() + 1);
                bench.erp.down().await.unwrap();
            }
            Move::ErpUp => bench.erp.up().await.unwrap(),
        }
    }

    fn germany(&self) -> serde_json::Value {
        let found = self
            .bench
            .in_the_erp("res.country", "search", json!([[["code", "=", "DE"]]]));
        found[0].clone()
    }

    fn sell(&self, units: u8) {
        let mut draft = everyday(Buyer::Nobody, self.variant);
        draft.lines = vec![LineDraft::variant(self.variant, u32::from(units))];
        let (id, name) = order(&self.bench, draft);
        self.sold.borrow_mut().push(Sold {
            id,
            name,
            units: i64::from(units),
            is_shipped: false,
            is_delivered: false,
        });
        self.changed_on_the_shop(Object::Order, id);
    }

    fn ship(&self, nth: usize) {
        let mut sold = self.sold.borrow_mut();
        let mut open: Vec<&mut Sold> = sold.iter_mut().filter(|sold| !sold.is_shipped).collect();
        if open.is_empty() {
            return;
        }
        let at = nth % open.len();
        let sold = &mut *open[at];
        sold.is_shipped = true;
        self.bench
            .shop
            .change(|shop| shop.fulfill_order(sold.id, None))
            .unwrap();
        self.changed_on_the_shop(Object::Order, sold.id);
    }

    /// The ERP delivers an order that the shop has sent.
    fn deliver(&self, nth: usize) {
        let mut sold = self.sold.borrow_mut();
        let ledger = self.bench.erp.ledger();
        let booked = |sold: &Sold| {
            let orders = ledger.orders_by_reference(&sold.name);
            orders.into_iter().find(|order| order.state == "sale")
        };
        let mut open: Vec<&mut Sold> = sold
            .iter_mut()
            .filter(|sold| sold.is_shipped && !sold.is_delivered && booked(sold).is_some())
            .collect();
        if open.is_empty() {
            return;
        }
        let at = nth % open.len();
        let sold = &mut *open[at];
        sold.is_delivered = true;
        let order = booked(sold).unwrap().id;
        self.bench.erp.deliver_all(order).unwrap();
        self.changed_in_the_erp(Object::Inventory, self.article);
    }

    fn now(&self) -> Timestamp {
        crate::domain::Clock::now(&SystemClock).plus(ROUND * self.rounds.get())
    }

    /// Calls that either side got so far.
    fn calls(&self) -> u64 {
        self.bench.shop.ledger().calls.graphql + self.bench.erp.ledger().total_calls()
    }

    /// Attempts what is due, all at once. Where it dies, the answer of the last call is not read any more, and what was under
    /// way is taken over. Says whether anything was due.
    async fn round(&self, dies_after: Option<u64>) -> bool {
        let store = &self.bench.store;
        self.rounds.set(self.rounds.get() + 1);
        let now = self.now();
        let ready = store.ready_lanes(now).await.unwrap();
        let claim = Claim {
            node: "test".into(),
            lanes: ready.into_iter().map(|ready| (ready.lane, 10)).collect(),
            now,
            lease: Duration::from_secs(1),
        };
        let claimed = store.claim(claim).await.unwrap();
        if claimed.is_empty() {
            return false;
        }
        let attempts = claimed.into_iter().map(|mut claimed| async move {
            let long_ago = |at: Timestamp| at.minus(LONGEST_CALL);
            claimed.unclean_at = claimed.unclean_at.map(long_ago);
            let (id, fence) = (claimed.id, claimed.fence);
            let report = self.bench.engine.attempt(claimed, CancellationToken::new()).await;
            let comes_again = match &report.outcome {
                Outcome::Failed { disposition, .. } => *disposition != Disposition::Permanent,
                outcome => matches!(outcome, Outcome::Later { .. }),
            };
            let mut end = finish(id, fence, report);
            if comes_again {
                end.verdict = Verdict::Retry {
                    at: end.ended_at,
                    counts: false,
                    system_down: None,
                };
            }
            let finished = store.finish(end).await.unwrap();
            assert!(matches!(finished, Finished::Done(_)), "{finished:?}");
        });
        let last = dies_after.map(|calls| self.calls() + calls);
        let died = {
            let mut all = pin!(futures_util::future::join_all(attempts));
            std::future::poll_fn(|context| {
                if last.is_some_and(|last| self.calls() >= last) {
                    return Poll::Ready(true);
                }
                all.as_mut().poll(context).map(|_| false)
            })
            .await
        };
        if died {
            self.mishaps.set(self.mishaps.get() + 1);
            self.rounds.set(self.rounds.get() + 1);
            store.reclaim(self.now()).await.unwrap();
        }
        true
    }

    /// Lets everything come to its end.
    async fn calm(&self) {
        self.bench.shop.clear_faults();
        self.bench.erp.faults().clear();
        self.bench.erp.up().await.unwrap();
        let notices = std::mem::take(&mut *self.notices.borrow_mut());
        for key in notices {
            self.enqueue(key).await;
        }
        for _ in 0..3 {
            self.drain().await;
            for key in self.all().await {
                self.enqueue(key).await;
            }
        }
        self.drain().await;
    }

    async fn drain(&self) {
        for _ in 0..60 {
            if !self.round(None).await {
                return;
            }
        }
        panic!("it does not come to an end: {:?}", self.open_jobs().await);
    }

    /// The jobs of every record, in both directions.
    async fn all(&self) -> BTreeSet<JobKey> {
        let mut keys = BTreeSet::from([
            self.bench.key(Object::Product, self.product),
            self.bench.key(Object::Customer, self.customer),
            self.out(Object::Product, self.template),
            self.out(Object::Customer, self.partner),
            self.out(Object::Inventory, self.article),
        ]);
        let articles = self.articles.borrow().clone();
        for (template, _) in articles {
            keys.insert(self.out(Object::Product, template));
            keys.extend(self.ours(LinkKind::Product, Object::Product, template).await);
        }
        let partners = self.partners.borrow().clone();
        for (partner, _) in partners {
            keys.insert(self.out(Object::Customer, partner));
            keys.extend(self.ours(LinkKind::Customer, Object::Customer, partner).await);
        }
        keys.extend(
            self.sold
                .borrow()
                .iter()
                .map(|sold| self.bench.key(Object::Order, sold.id)),
        );
        keys
    }

    async fn ours(&self, kind: LinkKind, object: Object, id: i64) -> Option<JobKey> {
        let shop = "main".parse().unwrap();
        let link = self
            .bench
            .store
            .link_of_erp(&shop, kind, ErpId(id))
            .await
            .unwrap()?;
        Some(self.bench.key(object, link.source_id.parse().ok()?))
    }

    async fn open_jobs(&self) -> Vec<String> {
        let jobs = self
            .bench
            .store
            .jobs(crate::store::JobFilter::default())
            .await
            .unwrap();
        let open = jobs.into_iter().filter(|job| job.state.is_open());
        open.map(|job| format!("{:?} {:?} {:?}", job.key, job.state, job.problem))
            .collect()
    }

    /// Writes that the shop was sent.
    fn writes(&self) -> u64 {
        let calls = self.bench.shop.ledger().calls.by_operation;
        let of = |name: &&str| calls.get(&format!("Lockstep{name}"));
        WRITES.iter().filter_map(of).sum()
    }

    async fn check(&self, written: u64) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.open_jobs().await, Vec::<String>::new());
        let record = read(&self.bench, "product.template", self.template);
        prop_assert_eq!(json!(title(&self.bench, self.product)), record["name"].clone());
        let price = Decimal::try_from(record["list_price"].as_f64().unwrap()).unwrap();
        prop_assert_eq!(prices(&self.bench, self.product)[0], price);
        let street = self.bench.shop.read(|shop| {
            let customer = shop.customer(self.customer).unwrap();
            customer.address().unwrap().address1.clone()
        });
        let partner = read(&self.bench, "res.partner", self.partner);
        prop_assert_eq!(json!(street), partner["street"].clone());
        self.check_stock()?;

        let shop = self.bench.shop.ledger();
        let (articles, partners) = (self.articles.borrow(), self.partners.borrow());
        prop_assert_eq!(shop.products.len(), 1 + articles.len(), "products of the shop");
        prop_assert_eq!(shop.customers.len(), 1 + partners.len(), "customers of the shop");
        for (template, sku) in articles.iter() {
            let with_it = shop.products.iter().flat_map(|product| &product.variants);
            let count = with_it
                .filter(|(_, known, _)| known.as_ref() == Some(sku))
                .count();
            prop_assert_eq!(count, 1, "{} on the shop", sku);
            let known = self.bench.erp.ledger().products();
            let count = known
                .iter()
                .filter(|known| known.sku.as_ref() == Some(sku))
                .count();
            prop_assert_eq!(count, 1, "{} in the ERP, template {}", sku, template);
        }
        for (partner, email) in partners.iter() {
            let known = self.bench.erp.ledger().partners();
            let count = known
                .iter()
                .filter(|known| known.email_normalized.as_ref() == Some(email))
                .count();
            prop_assert_eq!(count, 1, "{} in the ERP, partner {}", email, partner);
        }
        for sold in self.sold.borrow().iter() {
            self.bench.booked(&sold.name);
        }
        // A change may take two writes, and each mishap lets one attempt write again.
        let most = 2 * self.edits.get() + 3 * self.mishaps.get();
        prop_assert!(written <= most, "{} writes, at most {}", written, most);
        Ok(())
    }

    /// What the shop offers is what the ERP has and nobody has bought.
    fn check_stock(&self) -> Result<(), TestCaseError> {
        let there = read(&self.bench, "product.product", self.article)["qty_available"].as_f64();
        #[expect(clippy::cast_possible_truncation, reason = "whole units")]
        let there = there.unwrap() as i64;
        let sold = self.sold.borrow();
        let open = sold.iter().filter(|sold| !sold.is_delivered);
        let promised: i64 = open.map(|sold| sold.units).sum();
        let level = self.bench.shop.read(|shop| {
            let level = shop.level(self.variant, shop.main_location()).unwrap();
            level.available
        });
        prop_assert_eq!(
            level,
            there - promised,
            "of {} units {} are sold",
            there,
            promised
        );
        Ok(())
    }
}

/// Mutations that write records of the shop.
const WRITES: [&str; 9] = [
    "AddressCreate",
    "AddressUpdate",
    "CustomerSet",
    "CustomerUpdate",
    "ProductSet",
    "ProductUpdate",
    "QuantitiesSet",
    "VariantsCreate",
    "VariantsUpdate",
];

async fn run(truth_says: &str, moves: Vec<Move>) -> Result<(), TestCaseError> {
    let world = World::new(truth_says).await;
    let before = world.writes();
    for wanted in &moves {
        world.step(wanted).await;
    }
    world.calm().await;
    let written = world.writes() - before;
    world.check(written).await?;
    for key in world.all().await {
        world.enqueue(key).await;
    }
    world.drain().await;
    prop_assert_eq!(world.writes() - before, written, "it is quiet");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 16,
        max_shrink_iters: 40,
        rng_seed: RngSeed::Fixed(5),
        ..ProptestConfig::default()
    })]
    #[test]
    fn any_interleaving_with_any_faults_settles_and_nothing_is_there_twice(
        moves in moves(),
        erp_is_right in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(if erp_is_right { "erp" } else { "shopify" }, moves))?;
    }
}
