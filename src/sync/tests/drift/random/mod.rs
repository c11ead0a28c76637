//! Random damage: from two sides in step, any edits, deletions, duplicates and lost webhooks on either side. Each is reported
//! with its class and field, what can be repaired is, and the next run finds nothing to do and writes nothing.

mod damage;

use std::sync::Mutex;

use futures_util::future::BoxFuture;

use self::damage::{Damage, Expected, Place, all};
use super::*;
use crate::domain::{Clock, Entropy};
use crate::shopify::Manner;

/// Decks that are dealt: each has every kind of damage twice, once for each way of the shop. `PROPTEST_CASES` deals more.
const DECKS: u64 = 1;

/// Of one deck so many hands are dealt again to a shop that is read by bulk operations.
const HANDS_IN_BULK: usize = 4;

/// So many things happen at most between two runs.
const HAND: usize = 6;

const OBJECTS: [Object; 4] = [
    Object::Customer,
    Object::Product,
    Object::Order,
    Object::Inventory,
];

/// What happens between two runs, and whether what the ERP changes goes to the shop.
type Hand = (Vec<Damage>, bool);

/// A place below `count`, by chance.
fn below(entropy: &SeededEntropy, count: usize) -> usize {
    let bytes = entropy.bytes();
    usize::from(u16::from_le_bytes([bytes[0], bytes[1]])) % count
}

/// All kinds of damage in an order that the seed decides, in hands of any size.
fn dealt(seed: u64) -> Vec<Hand> {
    let entropy = SeededEntropy::new(seed);
    let mut hands = Vec::new();
    for out in [false, true] {
        let mut deck = all();
        for place in (1..deck.len()).rev() {
            deck.swap(place, below(&entropy, place + 1));
        }
        while !deck.is_empty() {
            let size = 2 + below(&entropy, HAND - 1);
            let left = deck.len().saturating_sub(size);
            hands.push((deck.split_off(left), out));
        }
    }
    hands
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

/// Deals a hand to two sides in step, and looks what runs make of it.
async fn play((damages, out): &Hand, in_bulk: bool) {
    let both = sides(*out, in_bulk).await;
    both.customer("Stays").await;
    let mut hurts = Vec::new();
    for (number, damage) in damages.iter().enumerate() {
        let place = Place {
            both: &both,
            number,
            out: *out,
        };
        hurts.push(place.apply(*damage).await);
    }
    let of = format!("{damages:?}, out {out}");
    let mut rows = Vec::new();
    for object in OBJECTS {
        rows.extend(both.repaired(object).await);
    }
    let told: Vec<&Expected> = hurts.iter().flat_map(|hurt| &hurt.told).collect();
    for one in &told {
        let row = rows.iter().find(|row| one.is(row));
        assert!(
            row.is_some_and(|row| one.is_told_by(row)),
            "{one:#?} of {of}: {rows:#?}"
        );
    }
    let other = rows.iter().find(|row| !told.iter().any(|one| one.is(row)));
    assert_eq!(other, None, "nothing else: {of}");
    assert_eq!(rows.len(), told.len(), "each once: {rows:#?} of {of}");

    let again: Vec<&Expected> = hurts.iter().flat_map(|hurt| &hurt.again).collect();
    let mut asked = None;
    // A person who does not answer is not asked twice.
    for turn in 2..=3 {
        for object in OBJECTS {
            for row in both.is_quiet(object).await {
                let is_known = again.iter().any(|one| one.is(&row) && one.fate == row.fate);
                assert!(is_known, "run {turn} tells of something new: {row:#?} of {of}");
            }
        }
        let problems = both.bench.store.open_problems(1_000).await.unwrap().len();
        assert_eq!(*asked.get_or_insert(problems), problems, "run {turn} of {of}");
    }
    for (damage, hurt) in damages.iter().zip(&hurts) {
        assert!((hurt.stands)(&both), "{damage:?} is not as it is to be: {of}");
    }
}

/// Deals a hand, and says how often each kind was in it by then.
fn deal(hand: &Hand, in_bulk: bool, drawn: &mut BTreeMap<(Damage, bool), u32>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(play(hand, in_bulk));
    let (damages, out) = hand;
    for damage in damages {
        *drawn.entry((*damage, *out)).or_default() += 1;
    }
}

#[test]
fn any_damage_is_told_and_what_can_be_is_repaired() {
    let more = std::env::var("PROPTEST_CASES");
    let decks = more.ok().and_then(|more| more.parse().ok()).unwrap_or(DECKS);
    let mut drawn = BTreeMap::new();
    for seed in 0..decks {
        for hand in dealt(seed) {
            deal(&hand, false, &mut drawn);
        }
    }
    for damage in all() {
        for out in [false, true] {
            let times = drawn.get(&(damage, out)).copied().unwrap_or_default();
            assert_eq!(u64::from(times), decks, "{damage:?}, out {out}");
        }
    }
}

#[test]
fn any_damage_is_told_by_what_bulk_operations_list_too() {
    for hand in dealt(1_000).iter().step_by(6).take(HANDS_IN_BULK) {
        deal(hand, true, &mut BTreeMap::new());
    }
}
