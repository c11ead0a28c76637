//! Whether the golden orders cover what was demanded of them.

use super::fixture;

/// What the fixtures must cover: some `covers` of some fixture contains one of the words of each line, in any case.
const DEMANDED: [&[&str]; 75] = [
    // What was sold.
    &["guest per contact"],
    &["guest on the fallback partner"],
    &["point of sale"],
    &["draft order"],
    &["b2b company and location"],
    &["billing unlike shipping"],
    &["no shipping address"],
    &["custom line, fallback"],
    &["custom line, problem"],
    &["deleted product, fallback"],
    &["deleted product, problem"],
    &[
        "same sku twice",
        "same variant twice",
        "two variants with one sku",
    ],
    &["gift card sold"],
    &["tip"],
    &["duties"],
    &["additional fees"],
    &["bundle with lineitemgroup"],
    &["130 lines"],
    &["quantity 1,000"],
    &["three decimals"],
    &["zero price"],
    &["100 % discount"],
    &["test order"],
    &["html and emoji"],
    &["line properties"],
    &["tags"],
    &["source channel"],
    &["purchase order number"],
    &["high fraud risk, booked"],
    &["high fraud risk, held"],
    &["high fraud risk, left out"],
    &["address without a country"],
    &["customer not yet in the erp"],
    // What it cost.
    &["product discount", "percentage discount"],
    &["order discount"],
    &["discount code"],
    &["automatic discount"],
    &["manual discount"],
    &["script discount"],
    &["amount discount"],
    &["discount on shipping", "shipping discount"],
    &["exact unit price"],
    &["tax included"],
    &["tax excluded"],
    &["several tax lines per line"],
    &["missing tax"],
    &["exempt customer"],
    &["exempt line"],
    &["channel-liable tax"],
    &["shipping with its own tax"],
    &["several shipping lines"],
    &["removed shipping line"],
    &["cash rounding"],
    &["zero decimals"],
    &["presentment currency"],
    &["price list"],
    &["round globally"],
    &["per-line rounding"],
    &["rounding line within the tolerance"],
    &["difference above the tolerance"],
    // What was paid.
    &["authorised is not paid"],
    &["several gateways"],
    &["gift card as payment"],
    &["partially paid"],
    &["structured payment facts"],
    &["closed accounting period"],
    // What happened next.
    &["removed line"],
    &["added line"],
    &["changed quantity", "quantity up"],
    &["locked order"],
    &["delivered order"],
    &["invoiced order"],
    &["cancellation before import"],
    &["cancellation after delivery"],
    &["deleted order"],
];

/// The same for refunds, fulfilments and bad input.
const DEMANDED_TOO: [&[&str]; 22] = [
    &["cancellation after import"],
    &["refund with restock"],
    &["refund without restock"],
    &["partial refund"],
    &["refund of shipping only"],
    &["refund of an amount only"],
    &["several refunds"],
    &["full refund"],
    &["orderadjustments"],
    &["refunds = quantity"],
    &["refunds = credit_note"],
    &["refunds = problem"],
    &["fulfillments = validate"],
    &["fulfillments = leave"],
    &["fulfillments = hold"],
    &["already shipped"],
    &["totals that contradict each other"],
    &["unknown enum value"],
    &["negative quantity"],
    &["currency not active in the erp"],
    &["country without states"],
    &["deleted customer"],
];

#[test]
fn there_are_sixty_golden_orders_and_each_demand_is_covered() {
    let (fixtures, wrong) = fixture::all();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(fixtures.len() >= 60, "only {}", fixtures.len());
    let covered: Vec<String> = fixtures
        .iter()
        .flat_map(|fixture| fixture.covers.iter().map(|word| word.to_lowercase()))
        .collect();
    let missing: Vec<_> = DEMANDED
        .iter()
        .chain(&DEMANDED_TOO)
        .filter(|words| {
            let one = |word: &&str| covered.iter().any(|covered| covered.contains(*word));
            !words.iter().any(one)
        })
        .collect();
    assert!(missing.is_empty(), "no golden order covers {missing:?}");
}
