//! Orders that the ERP has, and that nobody confirmed there.

use super::*;

#[tokio::test]
async fn what_left_the_shop_for_a_quotation_is_not_put_back() {
    let bench = bench().await;
    let article = &bench.articles(1).await[0];
    bench.count(article, 12);
    bench.push(article).await;
    let mut draft = everyday(Buyer::Nobody, article.variant);
    draft.payment = Payment::Pending("bank_transfer".into());
    let (id, name) = order(&bench, draft);
    assert_eq!(bench.sync(Object::Order, id).await.0, JobState::Completed);
    assert_eq!(bench.booked(&name).state, "draft");
    bench.push(article).await;
    assert_eq!(bench.level(article), (12, 9));
    // Sent before it is paid.
    bench.shop.change(|shop| shop.fulfill_order(id, None)).unwrap();
    assert_eq!(bench.sync(Object::Order, id).await.0, JobState::Completed);
    assert_eq!(bench.booked(&name).state, "draft");
    let before = bench.erp.ledger().calls();
    bench.push(article).await;
    let asked: u64 = bench.calls_since(&before).values().sum();
    assert!(asked <= 5, "{:?}", bench.calls_since(&before));
    assert_eq!(bench.level(article), (9, 9), "the ERP still counts 12");
}
