//! Records that are not the ones that were linked: nothing is written through such a link.

use super::*;
use crate::domain::{LinkState, ShopifyId};

fn target(bench: &Bench) -> Arc<dyn crate::sync::Target> {
    Arc::clone(&bench.engine.shop(&"main".parse().unwrap()).unwrap().target)
}

/// The open problems: code and cluster.
async fn problems(bench: &Bench) -> Vec<(String, String)> {
    let open = bench.store.open_problems(100).await.unwrap();
    open.into_iter()
        .map(|row| (row.problem.code.0.clone(), row.problem.cluster))
        .collect()
}

/// Has the link of a product lead to a template that was made for another one, as in an ERP that was exchanged.
async fn exchange(bench: &Bench, product: u64) -> i64 {
    let (other, _) = shirt(bench);
    completed(bench.sync(Object::Product, other).await);
    let gone = bench.link(LinkKind::Product, other).await.unwrap();
    let retired = crate::domain::Link {
        state: LinkState::Retired,
        ..gone.clone()
    };
    bench.relink(retired).await;
    let mut link = bench.link(LinkKind::Product, product).await.unwrap();
    link.erp_id = gone.erp_id;
    bench.relink(link).await;
    gone.erp_id.0
}

#[tokio::test]
async fn a_record_of_the_shop_that_says_it_belongs_to_another_one_is_not_written() {
    let bench = Bench::both_ways(Version::V18, &[]).await;
    let (product, _) = shirt(&bench);
    completed(bench.sync(Object::Product, product).await);
    let template = theirs(&bench, LinkKind::Product, product).await;
    let customer = ada(&bench);
    completed(bench.sync(Object::Customer, customer).await);
    let partner = theirs(&bench, LinkKind::Customer, customer).await;
    let target = target(&bench);
    for (kind, id, mark) in [
        (LinkKind::Product, product, "product_987654"),
        (LinkKind::Customer, customer, "customer_987654"),
    ] {
        target.note_erp_ref(kind, ShopifyId(id), mark).await.unwrap();
    }
    write(
        &bench,
        "product.template",
        template,
        json!({ "name": "A stranger" }),
    );
    write(
        &bench,
        "res.partner",
        partner,
        json!({ "street": "Strange Street 1" }),
    );
    for (object, id) in [(Object::Product, template), (Object::Customer, partner)] {
        let (state, why) = bench.send(object, id).await;
        assert_eq!(state, JobState::Problem, "{why:?}");
        let why = why.unwrap();
        assert!(
            why.starts_with("shopify_record_is_a_stranger") && why.contains("987654"),
            "{why}"
        );
    }
    assert_eq!(title(&bench, product), "Shirt");
    // The right mark is as good as none.
    target
        .note_erp_ref(
            LinkKind::Product,
            ShopifyId(product),
            &format!("product_{template}"),
        )
        .await
        .unwrap();
    completed(bench.send(Object::Product, template).await);
    assert_eq!(title(&bench, product), "A stranger");
}

#[tokio::test]
async fn records_of_an_erp_that_belong_to_others_are_one_problem_and_write_nothing() {
    let bench = Bench::both_ways(Version::V18, &[]).await;
    for n in 1..=2 {
        let (product, _) = shirt(&bench);
        completed(bench.sync(Object::Product, product).await);
        let right = bench.link(LinkKind::Product, product).await.unwrap();
        let template = exchange(&bench, product).await;
        write(
            &bench,
            "product.template",
            template,
            json!({ "name": "A stranger" }),
        );
        let (state, why) = bench.send(Object::Product, template).await;
        assert_eq!(state, JobState::Problem, "{why:?}");
        assert_eq!(title(&bench, product), "Shirt");
        let open = problems(&bench).await;
        assert_eq!(open.len(), n);
        assert!(
            open.iter().all(|problem| *problem == open[0]),
            "one for all of them: {open:?}"
        );
        assert_eq!(open[0].0, "erp_record_is_a_stranger");
        // Once the link is right again, an edit arrives.
        bench.relink(right.clone()).await;
        let template = right.erp_id.0;
        write(
            &bench,
            "product.template",
            template,
            json!({ "name": "Shirt, found again" }),
        );
        completed(bench.send(Object::Product, template).await);
        assert_eq!(title(&bench, product), "Shirt, found again");
    }
}

#[tokio::test]
async fn no_record_is_marked_before_it_is_known_to_be_the_linked_one() {
    let bench = Bench::both_ways(Version::V18, &[]).await;
    let customer = ada(&bench);
    completed(bench.sync(Object::Customer, customer).await);
    let other = bench.shop.change(|shop| {
        let draft = CustomerDraft {
            first_name: Some("Grace".into()),
            email: Some("grace@example.com".into()),
            ..CustomerDraft::default()
        };
        shop.create_customer(draft).unwrap()
    });
    completed(bench.sync(Object::Customer, other).await);
    // Found once and never written to, the first one leads to the other one's partner now: nothing of it is to be written
    // but our name.
    let gone = bench.link(LinkKind::Customer, other).await.unwrap();
    let retired = crate::domain::Link {
        state: LinkState::Retired,
        ..gone.clone()
    };
    bench.relink(retired).await;
    let adopted = crate::domain::Link {
        state: LinkState::Adopted,
        erp_id: gone.erp_id,
        agreed: json!({}),
        agreed_out: json!({}),
        ..bench.link(LinkKind::Customer, customer).await.unwrap()
    };
    bench.relink(adopted).await;
    let (state, why) = bench.send(Object::Customer, gone.erp_id.0).await;
    assert_eq!(state, JobState::Problem, "{why:?}");
    assert_eq!(problems(&bench).await[0].0, "erp_record_is_a_stranger");
    let calls = bench.shop.ledger().calls.by_operation;
    assert_eq!(calls.get("LockstepRefNote"), None, "{calls:?}");
}
