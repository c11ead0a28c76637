//! Random damage: from two sides in step, any edits, deletions, duplicates and lost webhooks on either side. Each is reported
//! with its class and field, what can be repaired is, and the next run finds nothing to do and writes nothing.

mod damage;

use std::sync::Mutex;

use futures_util::future::BoxFuture;
use proptest::prelude::*;

use self::damage::{ALL, Damage, Expected, Place};
use super::*;
use crate::domain::Clock;
use crate::shopify::Manner;

/// Cases of the property; each runs four kinds of records twice.
const CASES: u32 = 12;

/// Cases of it where the shop is read by bulk operations.
const CASES_IN_BULK: u32 = 3;

const OBJECTS: [Object; 4] = [
    Object::Customer,
    Object::Product,
    Object::Order,
    Object::Inventory,
];

fn damage() -> impl Strategy<Value = Vec<Damage>> {
    prop::collection::vec(prop::sample::select(ALL.to_vec()), 0..6)
}

/// A clock for whoever waits for a bulk operation: it does not keep them waiting.
#[derive(Clone, Debug)]
struct Skipping(Arc<Mutex<Timestamp>>);

impl Clock for Skipping {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'static, ()> {
        let mut now = self.0.lock().unwrap();
        *now = (*now).max(at);
        Box::pin(std::future::ready(()))
    }
}

/// Both sides; all of a shop is read by bulk operations, however little it is, where that is asked.
async fn sides(out: bool, in_bulk: bool) -> Damaged {
    let mut both = Damaged::adjusted(|shop| {
        shop.out.insert(Object::Inventory);
        if out {
            shop.out.extend([Object::Customer, Object::Product]);
        }
    })
    .await;
    if in_bulk {
        let bench = &mut both.bench;
        let mut context = ShopContext::clone(bench.engine.shop(&main_shop()).unwrap());
        let mut settings = crate::shopify::Settings::new(bench.shop.domain());
        settings.base_url = Some(bench.shop.url());
        settings.currency = CurrencyChoice::Shop;
        let now = Clock::now(&SystemClock);
        let shopify = Shopify::connect(
            main_shop(),
            &settings,
            Credentials::Token(Secret::text("shpat_sandbox_0123456789abcdef")),
            &transport::Settings::default(),
            Arc::new(Skipping(Arc::new(Mutex::new(now)))),
            Arc::new(SystemEntropy),
        );
        let manner = Manner {
            paged_up_to: 0,
            ..Manner::default()
        };
        context.source = Arc::new(shopify.unwrap().reading(manner));
        bench.engine = Engine::new([context]);
    }
    both
}

fn is_it(row: &DriftRow, one: &Expected) -> bool {
    row.object == one.object
        && (one.source.is_none() || row.source_id.map(|id| id.0) == one.source)
        && (one.erp.is_none() || row.erp_id.map(|id| id.0) == one.erp)
        && row.class == one.class
        && row.field == one.field
}

async fn run(damages: Vec<Damage>, out: bool, in_bulk: bool) -> Result<(), TestCaseError> {
    let both = sides(out, in_bulk).await;
    both.customer("Stays").await;
    let mut expected = Vec::new();
    for (number, damage) in damages.iter().enumerate() {
        let place = Place {
            both: &both,
            number,
            out,
        };
        expected.extend(place.apply(*damage).await);
    }
    let mut rows = Vec::new();
    for object in OBJECTS {
        rows.extend(both.repaired(object).await);
    }
    for one in &expected {
        let row = rows.iter().find(|row| is_it(row, one));
        prop_assert_eq!(
            row.map(|row| row.fate),
            Some(one.fate),
            "{:?} of {:?}, out {}: {:#?}",
            one,
            damages,
            out,
            rows
        );
    }
    let other = rows
        .iter()
        .find(|row| !expected.iter().any(|one| is_it(row, one)));
    prop_assert_eq!(other, None, "nothing else: {:?}, out {}", damages, out);
    prop_assert_eq!(
        rows.len(),
        expected.len(),
        "each once: {:?} of {:?}",
        rows,
        damages
    );
    for object in OBJECTS {
        both.is_quiet(object).await;
    }
    Ok(())
}

fn case(damages: Vec<Damage>, out: bool, in_bulk: bool) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(run(damages, out, in_bulk))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, max_shrink_iters: 40, ..ProptestConfig::default() })]
    #[test]
    fn any_damage_is_told_and_what_can_be_is_repaired(damages in damage(), out in any::<bool>()) {
        case(damages, out, false)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES_IN_BULK, failure_persistence: None, max_shrink_iters: 10, ..ProptestConfig::default() })]
    #[test]
    fn any_damage_is_told_by_what_bulk_operations_list_too(damages in damage(), out in any::<bool>()) {
        case(damages, out, true)?;
    }
}
