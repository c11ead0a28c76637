//! Any interleaving of edits, sales, counts, notices in any order and repeated, with failing calls, lost answers, throttling, an
//! ERP that is away, and attempts that die: it settles, both sides agree on what the mappings own, nothing is there twice, the
//! writes are bounded, and the shop offers what the ERP has left.

mod acts;
mod check;

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
