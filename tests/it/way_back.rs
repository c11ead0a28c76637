//! The way back is interrupted at every step of every kind of write: each change of the ERP arrives on the shop once.

use std::time::Instant;

use lockstep::failpoint::FailPoint;
use lockstep::sandbox::odoo::ProductView;
use lockstep::sandbox::shopify::facts::Product;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::crashes::{Action, RESUMED, struck};
use crate::support::daemon::{Daemon, Start};
use crate::support::world::{Database, Settings, World, until};

/// Something that happens in the ERP while the daemon is armed. Each can happen again and again in one world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// A product gets another name and another price: two writes.
    Price,
    /// A product is made, and counted at once: its stock follows it.
    NewProduct,
    /// A product gets a variant more.
    NewVariant,
    /// A customer is made.
    NewCustomer,
    /// A customer moves, and writes from another address: two writes, of the customer and of its address.
    Address,
    /// A variant is counted.
    Stock,
}

impl Change {
    pub(crate) const ALL: &[Self] = &[
        Self::Price,
        Self::NewProduct,
        Self::NewVariant,
        Self::NewCustomer,
        Self::Address,
        Self::Stock,
    ];

    /// The points at which it is interrupted, and which passing of each is meant. Every mutation is answered once before the
    /// daemon is killed.
    pub(crate) const fn points(self) -> &'static [(FailPoint, u32)] {
        use FailPoint::*;
        match self {
            Self::Price => &[
                (JobClaimed, 1),
                (SourceFetched, 1),
                (Planned, 1),
                (ShopWritten, 1),
                (ShopWritten, 2),
                (BeforeFinish, 1),
                (AfterFinish, 1),
            ],
            Self::NewProduct => &[
                (ShopWritten, 1),
                (ShopLinked, 1),
                (IntentCommitted, 1),
                (ShopWritten, 2),
                (BeforeFinish, 1),
            ],
            Self::NewVariant => &[(Planned, 1), (ShopWritten, 1), (BeforeFinish, 1)],
            Self::NewCustomer => &[(ShopWritten, 1), (ShopLinked, 1), (BeforeFinish, 1)],
            Self::Address => &[(SourceFetched, 1), (ShopWritten, 1), (BeforeFinish, 1)],
            Self::Stock => &[
                (SourceFetched, 1),
                (Planned, 1),
                (IntentCommitted, 1),
                (ShopWritten, 1),
                (BeforeFinish, 1),
            ],
        }
    }

    /// How many writes to the shop it takes where nothing interrupts it.
    const fn writes(self) -> u64 {
        match self {
            Self::NewVariant | Self::NewCustomer | Self::Stock => 1,
            Self::Price | Self::NewProduct | Self::Address => 2,
        }
    }
}

/// What is counted of the first variant before the product gets another one.
const SETTLED: i64 = 5;

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

/// What both sides have before anything changes.
struct Stage<'w> {
    world: &'w World,
    change: Change,
    /// The shop's product and its first variant, and the customer.
    product: u64,
    variant: u64,
    customer: u64,
    /// The ERP's.
    template: i64,
    article: i64,
    partner: i64,
}

impl<'w> Stage<'w> {
    async fn set(world: &'w World, change: Change, daemon: &Daemon) -> Self {
        let variant = world.product()[0];
        let customer = world.customer("ada@example.com");
        world.idle(daemon).await;
        quiet(world, daemon).await;
        let product = world.shop.ledger().products[0].id;
        let article = articles(world, "SHIRT-S").remove(0);
        let partner = partners(world, "ada@example.com")[0];
        let stage = Self {
            world,
            change,
            product,
            variant,
            customer,
            template: article.template_id,
            article: article.id,
            partner,
        };
        if change == Change::NewVariant {
            // A product's stock is one job: what its other variants have is settled first, so that the new one alone is new.
            let counted = world.erp.set_stock(stage.article, None, SETTLED);
            counted.expect("it is counted");
            let is_settled = || (stage.on_hand(variant) == Some(SETTLED)).then_some(());
            until("the stock is settled", is_settled, || daemon.log()).await;
            quiet(world, daemon).await;
        }
        stage
    }

    fn in_the_erp(&self, model: &str, method: &str, args: Value) -> Value {
        let done = self.world.erp.as_admin(model, method, args, json!({}));
        done.expect("the ERP takes it")
    }

    fn write(&self, model: &str, id: i64, values: Value) {
        self.in_the_erp(model, "write", json!([[id], values]));
    }

    fn happen(&self, round: usize) {
        match self.change {
            Change::Price => {
                let values = json!({ "name": name(round), "list_price": 20 + round });
                self.write("product.template", self.template, values);
            }
            Change::NewProduct => {
                let values = json!([{
                    "name": name(round), "list_price": 30, "default_code": sku(round),
                    "type": "consu", "is_storable": true, "sale_ok": true,
                }]);
                let made = self.in_the_erp("product.product", "create", values);
                let made = made.as_i64().expect("it has a number");
                self.world
                    .erp
                    .set_stock(made, None, units(round))
                    .expect("it is counted");
            }
            Change::NewVariant => {
                let mine = json!([[["product_tmpl_id", "=", self.template]], ["attribute_id"]]);
                let line = self.in_the_erp("product.template.attribute.line", "search_read", mine);
                let (line, attribute) = (&line[0]["id"], &line[0]["attribute_id"][0]);
                let size = json!([{ "name": size(round), "attribute_id": attribute }]);
                let size = self.in_the_erp("product.attribute.value", "create", size);
                let values = json!({ "attribute_line_ids": [[1, line, { "value_ids": [[4, size]] }]] });
                self.write("product.template", self.template, values);
            }
            Change::NewCustomer => {
                let germany = self.in_the_erp("res.country", "search", json!([[["code", "=", "DE"]]]));
                let values = json!([{
                    "name": "Grace Hopper", "email": email(round), "customer_rank": 1,
                    "street": street(round), "zip": "10115", "city": "Berlin", "country_id": germany[0],
                }]);
                self.in_the_erp("res.partner", "create", values);
            }
            Change::Address => {
                let values = json!({ "street": street(round), "email": email(round) });
                self.write("res.partner", self.partner, values);
            }
            Change::Stock => {
                let counted = self.world.erp.set_stock(self.article, None, units(round));
                counted.expect("it is counted");
            }
        }
    }

    /// What the shop lacks of it; nothing once it arrived.
    fn lacks(&self, round: usize) -> Option<String> {
        let shop = &self.world.shop;
        let wanted = |holds: bool, shown: String| (!holds).then_some(shown);
        match self.change {
            Change::Price => {
                let price = Decimal::from(20 + round);
                let product = self.product();
                let prices: Vec<Decimal> = product.variants.iter().map(|variant| variant.price).collect();
                let holds = product.title == name(round) && prices.iter().all(|shown| *shown == price);
                wanted(holds, format!("{}: {prices:?}", product.title))
            }
            Change::NewProduct => {
                let made = self.titled(&name(round));
                let level = made
                    .first()
                    .and_then(|product| self.on_hand(product.variants[0].id));
                wanted(level == Some(units(round)), format!("{made:?}"))
            }
            Change::NewVariant => {
                let sizes = self.sizes();
                wanted(sizes.contains(&size(round)), format!("{sizes:?}"))
            }
            Change::NewCustomer => {
                let customers = shop.ledger().customers;
                let made = customers
                    .iter()
                    .any(|customer| customer.email == Some(email(round)));
                wanted(made, format!("{customers:?}"))
            }
            Change::Address => shop.read(|shop| {
                let customer = shop.customer(self.customer).expect("it is there");
                let lives = customer.address().and_then(|address| address.address1.clone());
                let holds = lives == Some(street(round)) && customer.email == Some(email(round));
                wanted(holds, format!("{customer:?}"))
            }),
            Change::Stock => {
                let level = self.on_hand(self.variant);
                wanted(level == Some(units(round)), format!("{level:?}"))
            }
        }
    }

    /// What must hold when all is quiet again: what changed is there, once, and nothing else changed.
    fn check_after(&self, round: usize, before: &Count, why: &str) {
        assert_eq!(self.lacks(round), None, "{why}");
        let now = Count::of(self.world);
        let made = |this: Change| usize::from(self.change == this);
        assert_eq!(
            now.products,
            before.products + made(Change::NewProduct),
            "{why}: products of the shop"
        );
        assert_eq!(
            now.templates,
            before.templates + made(Change::NewProduct),
            "{why}: products of the ERP"
        );
        assert_eq!(
            now.customers,
            before.customers + made(Change::NewCustomer),
            "{why}: customers"
        );
        assert_eq!(
            now.partners,
            before.partners + made(Change::NewCustomer),
            "{why}: partners"
        );
        let counted = made(Change::Stock) + made(Change::NewProduct);
        assert_eq!(
            now.adjustments,
            before.adjustments + counted,
            "{why}: adjustments"
        );
        let variants = made(Change::NewProduct) + made(Change::NewVariant);
        assert_eq!(now.variants, before.variants + variants, "{why}: variants");
        let written = now.writes - before.writes;
        assert!(
            written <= 2 * self.change.writes(),
            "{why}: {written} writes; each may be repeated once"
        );
        if self.change == Change::NewVariant {
            let all: Vec<String> = ["S", "M"]
                .map(str::to_owned)
                .into_iter()
                .chain((0..=round).map(size))
                .collect();
            assert_eq!(self.sizes(), all, "{why}");
        }
        let addresses = self.world.shop.read(|shop| {
            let customer = shop.customer(self.customer).expect("it is there");
            customer.addresses.len()
        });
        assert_eq!(addresses, 1, "{why}: addresses");
        let problems = self.world.problems();
        assert!(problems.is_empty(), "{why}: {problems:?}");
    }

    fn product(&self) -> Product {
        let found = self.world.shop.read(|shop| shop.product(self.product).cloned());
        found.expect("it is there")
    }

    fn sizes(&self) -> Vec<String> {
        let product = self.product();
        product
            .variants
            .iter()
            .map(|variant| variant.option_values.join("/"))
            .collect()
    }

    fn titled(&self, title: &str) -> Vec<Product> {
        let ids: Vec<u64> = self
            .world
            .shop
            .ledger()
            .products
            .iter()
            .map(|product| product.id)
            .collect();
        self.world.shop.read(|shop| {
            let products = ids.iter().filter_map(|id| shop.product(*id));
            products
                .filter(|product| product.title == title)
                .cloned()
                .collect()
        })
    }

    fn on_hand(&self, variant: u64) -> Option<i64> {
        self.world.shop.read(|shop| {
            let level = shop.level(variant, shop.main_location())?;
            level.quantity("on_hand")
        })
    }
}

/// How much there is on both sides.
struct Count {
    products: usize,
    variants: usize,
    customers: usize,
    adjustments: usize,
    templates: usize,
    partners: usize,
    writes: u64,
}

impl Count {
    fn of(world: &World) -> Self {
        let shop = world.shop.ledger();
        Self {
            products: shop.products.len(),
            variants: shop.products.iter().map(|product| product.variants.len()).sum(),
            customers: shop.customers.len(),
            adjustments: shop.adjustments.len(),
            templates: world.erp.ledger().count("product.template"),
            partners: world.erp.ledger().partners().len(),
            writes: writes(world),
        }
    }
}

/// Writes of records that the shop was sent so far.
pub(crate) fn writes(world: &World) -> u64 {
    let calls = world.shop.ledger().calls.by_operation;
    let of = |name: &&str| calls.get(&format!("Lockstep{name}"));
    WRITES.iter().filter_map(of).sum()
}

/// Waits until the poller has looked twice more and nothing is under way: what it may have found was carried out.
pub(crate) async fn quiet(world: &World, daemon: &Daemon) {
    let looks = || world.erp.ledger().calls_of("product.template", "search_read");
    let seen = looks();
    // A look takes one or two calls.
    until(
        "the ERP is looked at",
        || (looks() >= seen + 5).then_some(()),
        || daemon.log(),
    )
    .await;
    world.idle(daemon).await;
}

fn articles(world: &World, sku: &str) -> Vec<ProductView> {
    let mut all = world.erp.ledger().products();
    all.retain(|product| product.sku.as_deref() == Some(sku));
    all
}

fn partners(world: &World, email: &str) -> Vec<i64> {
    let all = world.erp.ledger().partners();
    let same = all
        .iter()
        .filter(|partner| partner.email_normalized.as_deref() == Some(email));
    same.map(|partner| partner.id).collect()
}

fn name(round: usize) -> String {
    format!("Name {round}")
}

fn sku(round: usize) -> String {
    format!("HAT-{round}")
}

fn size(round: usize) -> String {
    format!("L{round}")
}

fn email(round: usize) -> String {
    format!("grace{round}@example.com")
}

fn street(round: usize) -> String {
    format!("Navy Yard {}", round + 1)
}

fn units(round: usize) -> i64 {
    i64::try_from(round).expect("it is small") + 7
}

fn settings() -> Settings {
    Settings {
        way_back: Some("1s"),
        ..Settings::default()
    }
}

/// Interrupts the change at each of its points, one after the other in one world.
async fn walk(change: Change, database: Database, action: Action) {
    let world = World::with(database, settings()).await;
    let mut daemon = world.start(&Start::default());
    let stage = Stage::set(&world, change, &daemon).await;
    for (round, (point, nth)) in change.points().iter().enumerate() {
        let why = format!("{action:?} at {point} ({nth}) on {database:?}, {change:?}");
        let before = Count::of(&world);
        let status = daemon.terminate();
        assert!(status.success(), "{why}: {status:?}\n{}", daemon.log());
        let mut armed = world.start(&Start {
            fail: Some(format!("{point}:{nth}={}", action.word())),
            ..Start::default()
        });
        stage.happen(round);
        struck(&mut armed, *point, action, &why).await;
        let resumed = Instant::now();
        daemon = match action {
            Action::Error => armed,
            Action::Abort | Action::Hang => world.start(&Start::default()),
        };
        let lacks = || {
            let lack = stage.lacks(round).unwrap_or_default();
            format!("{lack}\n{}", daemon.log())
        };
        until(&why, || stage.lacks(round).is_none().then_some(()), lacks).await;
        let took = resumed.elapsed();
        assert!(took < RESUMED, "{why}: resumed after {took:?}");
        quiet(&world, &daemon).await;
        stage.check_after(round, &before, &why);
    }
}

/// Each is a test of its own: they wait more than they work, and so they wait side by side.
macro_rules! walks {
    ($($name:ident: $change:ident, $database:ident, $action:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            walk(Change::$change, Database::$database, Action::$action).await;
        }
    )*};
}

walks! {
    killed_while_a_price_goes_to_the_shop_on_sqlite_it_arrives_once: Price, Sqlite, Abort;
    killed_while_a_new_product_goes_to_the_shop_on_sqlite_it_arrives_once: NewProduct, Sqlite, Abort;
    killed_while_a_new_variant_goes_to_the_shop_on_sqlite_it_arrives_once: NewVariant, Sqlite, Abort;
    killed_while_a_new_customer_goes_to_the_shop_on_sqlite_it_arrives_once: NewCustomer, Sqlite, Abort;
    killed_while_an_address_goes_to_the_shop_on_sqlite_it_arrives_once: Address, Sqlite, Abort;
    killed_while_stock_goes_to_the_shop_on_sqlite_it_is_set_once: Stock, Sqlite, Abort;
    killed_while_a_price_goes_to_the_shop_on_postgres_it_arrives_once: Price, Postgres, Abort;
    killed_while_a_new_product_goes_to_the_shop_on_postgres_it_arrives_once: NewProduct, Postgres, Abort;
    killed_while_a_new_variant_goes_to_the_shop_on_postgres_it_arrives_once: NewVariant, Postgres, Abort;
    killed_while_a_new_customer_goes_to_the_shop_on_postgres_it_arrives_once: NewCustomer, Postgres, Abort;
    killed_while_an_address_goes_to_the_shop_on_postgres_it_arrives_once: Address, Postgres, Abort;
    killed_while_stock_goes_to_the_shop_on_postgres_it_is_set_once: Stock, Postgres, Abort;
    failing_while_a_price_goes_to_the_shop_it_arrives_once: Price, Sqlite, Error;
    failing_while_a_new_product_goes_to_the_shop_it_arrives_once: NewProduct, Sqlite, Error;
    failing_while_a_new_variant_goes_to_the_shop_it_arrives_once: NewVariant, Sqlite, Error;
    failing_while_a_new_customer_goes_to_the_shop_it_arrives_once: NewCustomer, Sqlite, Error;
    failing_while_an_address_goes_to_the_shop_it_arrives_once: Address, Sqlite, Error;
    failing_while_stock_goes_to_the_shop_it_is_set_once: Stock, Sqlite, Error;
}
