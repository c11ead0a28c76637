//! Any interleaving of edits on both sides, with jobs in any order between them, settles: both sides agree on what the mapping
//! owns, and the writes are bounded.

use std::cell::Cell;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Move {
    /// The ERP's name or price, the shop's title or first price.
    Name(u8),
    Price(u8),
    Title(u8),
    ShopPrice(u8),
    In,
    Out,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        2 => (0..4_u8).prop_map(Move::Name),
        2 => (1..4_u8).prop_map(Move::Price),
        2 => (0..4_u8).prop_map(Move::Title),
        2 => (1..4_u8).prop_map(Move::ShopPrice),
        3 => Just(Move::In),
        3 => Just(Move::Out),
    ];
    prop::collection::vec(one, 1..14)
}

async fn run(truth_says: &str, moves: Vec<Move>) -> Result<(), TestCaseError> {
    let to = format!("truth = \"{truth_says}\"");
    let bench = Bench::both_ways(Version::V18, &truth("product.in.toml", "product.out.toml", &to)).await;
    let product = bench.shop.change(|shop| {
        shop.create_product(ProductDraft {
            title: "Mug".into(),
            variants: vec![VariantDraft::new(&[], "MUG", decimal("15"))],
            ..ProductDraft::default()
        })
    });
    completed(bench.sync(Object::Product, product).await);
    let template = theirs(&bench, LinkKind::Product, product).await;
    let (edits, writes) = (Cell::new(0_usize), Cell::new(0_usize));
    let step = async |wanted: &Move| {
        let done = match wanted {
            Move::Name(n) => {
                edits.set(edits.get() + 1);
                write(
                    &bench,
                    "product.template",
                    template,
                    json!({ "name": format!("Erp {n}") }),
                );
                return;
            }
            Move::Price(n) => {
                edits.set(edits.get() + 1);
                write(
                    &bench,
                    "product.template",
                    template,
                    json!({ "list_price": 10 + i32::from(*n) }),
                );
                return;
            }
            Move::Title(n) => {
                edits.set(edits.get() + 1);
                let edit = |product: &mut crate::sandbox::shopify::facts::Product| {
                    product.title = format!("Shop {n}");
                };
                bench
                    .shop
                    .change(|shop| shop.edit_product(product, edit))
                    .unwrap();
                return;
            }
            Move::ShopPrice(n) => {
                edits.set(edits.get() + 1);
                let variant = bench
                    .shop
                    .read(|shop| shop.product(product).unwrap().variants[0].id);
                // Not far from the others: none is a sudden change.
                let price = Decimal::from(14 + u32::from(*n));
                bench
                    .shop
                    .change(|shop| shop.edit_variant(variant, |variant| variant.price = price))
                    .unwrap();
                return;
            }
            Move::In => completed(bench.sync(Object::Product, product).await),
            Move::Out => completed(bench.send(Object::Product, template).await),
        };
        writes.set(writes.get() + usize::from(!done.ends_with("up to date")));
    };
    for wanted in &moves {
        step(wanted).await;
    }
    for wanted in [Move::In, Move::Out, Move::In, Move::Out] {
        step(&wanted).await;
    }
    let (edits, written) = (edits.get(), writes.get());
    let record = read(&bench, "product.template", template);
    let (name, price) = (record["name"].clone(), record["list_price"].as_f64().unwrap());
    prop_assert_eq!(json!(title(&bench, product)), name, "{:?}", moves);
    let ours = prices(&bench, product)[0];
    prop_assert_eq!(ours, Decimal::try_from(price).unwrap(), "{:?}", moves);
    prop_assert!(
        written <= edits,
        "{} writes for {} edits: {:?}",
        written,
        edits,
        moves
    );
    for wanted in [Move::Out, Move::In] {
        step(&wanted).await;
    }
    prop_assert_eq!(writes.get(), written, "it is quiet: {:?}", moves);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 60, ..ProptestConfig::default() })]
    #[test]
    fn any_interleaving_settles_in_few_writes(moves in moves(), erp_is_right in any::<bool>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(if erp_is_right { "erp" } else { "shopify" }, moves))?;
    }
}
