//! What is named with an order besides.

use super::*;

#[tokio::test]
async fn what_belongs_to_an_order_is_named_with_it() {
    let bench = bench(Settings {
        invoices: Invoices::Post,
        ..settings()
    })
    .await;
    let (_, variants) = shirt(&bench);
    let (id, _) = order(&bench, everyday(Buyer::Customer(ada(&bench)), variants[0]));
    bench.sync(Object::Order, id).await;
    bench.shop.change(|shop| shop.fulfill_order(id, None)).unwrap();
    bench.sync(Object::Order, id).await;
    let draft = RefundDraft::returned(0, 1);
    bench.shop.change(|shop| shop.refund_order(id, &draft)).unwrap();
    bench.sync(Object::Order, id).await;
    let told = bench.told.lock().unwrap();
    let mut orders = told.iter().filter_map(|(about, _)| about.as_ref());
    let last = orders.rfind(|about| about.kind == Object::Order);
    let mut related: Vec<(&str, String, bool, bool)> = last
        .unwrap()
        .related
        .iter()
        .map(|one| {
            let erp = one.erp.as_ref().unwrap();
            (
                one.kind,
                erp.model.clone(),
                erp.number.is_some(),
                one.shopify.is_some(),
            )
        })
        .collect();
    related.sort_unstable();
    assert_eq!(
        related,
        [
            // A draft, which has no number yet.
            ("credit_note", "account.move".to_owned(), false, false),
            ("customer", "res.partner".to_owned(), false, true),
            ("delivery", "stock.picking".to_owned(), true, false),
            ("invoice", "account.move".to_owned(), true, false),
        ]
    );
}
