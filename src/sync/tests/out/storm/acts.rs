//! What happens in the storm, and how attempts go through it.

use super::*;

impl World {
    pub(super) async fn new(truth_says: &str) -> Self {
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

    pub(super) fn changed_in_the_erp(&self, object: Object, id: i64) {
        self.edits.set(self.edits.get() + 1);
        self.notices.borrow_mut().push(self.out(object, id));
    }

    pub(super) fn changed_on_the_shop(&self, object: Object, id: u64) {
        self.edits.set(self.edits.get() + 1);
        self.notices.borrow_mut().push(self.bench.key(object, id));
    }

    pub(super) fn out(&self, object: Object, id: i64) -> JobKey {
        JobKey {
            direction: Direction::Out,
            source_id: id.to_string(),
            ..self.bench.key(object, 1)
        }
    }

    pub(super) async fn enqueue(&self, key: JobKey) {
        let job = NewJob {
            key,
            priority: Priority::LIVE,
            now: crate::domain::Clock::now(&SystemClock),
            cause: "test".into(),
        };
        self.bench.store.enqueue(job).await.unwrap();
    }

    pub(super) async fn step(&self, wanted: &Move) {
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

    pub(super) fn germany(&self) -> serde_json::Value {
        let found = self
            .bench
            .in_the_erp("res.country", "search", json!([[["code", "=", "DE"]]]));
        found[0].clone()
    }

    pub(super) fn sell(&self, units: u8) {
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

    pub(super) fn ship(&self, nth: usize) {
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
    pub(super) fn deliver(&self, nth: usize) {
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

    pub(super) fn now(&self) -> Timestamp {
        crate::domain::Clock::now(&SystemClock).plus(ROUND * self.rounds.get())
    }

    /// Calls that either side got so far.
    pub(super) fn calls(&self) -> u64 {
        self.bench.shop.ledger().calls.graphql + self.bench.erp.ledger().total_calls()
    }

    /// Attempts what is due, all at once. Where it dies, the answer of the last call is not read any more, and what was under
    /// way is taken over. Says whether anything was due.
    pub(super) async fn round(&self, dies_after: Option<u64>) -> bool {
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
            assert_ne!(finished, Finished::Stale);
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
    pub(super) async fn calm(&self) {
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

    pub(super) async fn drain(&self) {
        for _ in 0..60 {
            if !self.round(None).await {
                return;
            }
        }
        panic!("it does not come to an end: {:?}", self.open_jobs().await);
    }
}
