//! Two shops that are kept in one ERP: what stands for a record of the other one is nobody's twin.

use super::*;
use crate::domain::{ErpId, Link};
use crate::store::Adoption;

fn paris() -> ShopName {
    "paris".parse().unwrap()
}

/// A customer that is linked, and a second partner with the same e-mail.
async fn twins(both: &Damaged) -> ErpId {
    let (_, partner) = both.customer("Ada").await;
    let email = both.bench.erp.ledger().record("res.partner", partner).unwrap()["email"].clone();
    let values = json!({ "name": "Ada of Paris", "email": email, "customer_rank": 1 });
    ErpId(both.bench.made_in_the_erp("res.partner", values))
}

/// Whether the next run takes this record for a twin, where the other shop is kept in the same ERP or in another one.
async fn is_a_twin(both: &Damaged, partner: ErpId, is_beside: bool) -> bool {
    let shop = FullShop {
        beside: is_beside.then(paris).into_iter().collect(),
        ..both.shop()
    };
    let wanted = FullRun {
        dry_run: true,
        ..FullRun::of(Object::Customer, "test")
    };
    let report = full_run(&shop, wanted, &CancellationToken::new()).await.unwrap();
    let store = &both.bench.store;
    let rows = store.drift(report.run, DriftFilter::default(), 9).await.unwrap();
    let is_twin = |row: &DriftRow| row.class == DriftClass::DuplicateInErp && row.erp_id == Some(partner);
    assert!(rows.iter().all(is_twin), "{rows:?}");
    !rows.is_empty()
}

/// The other shop's link to this record of the ERP that it is kept in.
async fn adopted(both: &Damaged, partner: ErpId, state: LinkState) {
    adopt(both, link(partner, state)).await;
}

fn link(partner: ErpId, state: LinkState) -> Link {
    Link {
        shop: paris(),
        kind: LinkKind::Customer,
        source_id: "9".to_owned(),
        model: "res.partner".to_owned(),
        erp_id: partner,
        erp_name: None,
        state,
        source_updated_at: None,
        agreed: json!({}),
        agreed_out: serde_json::Value::Null,
        writes: serde_json::Value::Null,
    }
}

async fn adopt(both: &Damaged, link: Link) {
    let group = Adoption {
        records: Vec::new(),
        links: vec![link],
    };
    let now = crate::domain::Clock::now(&SystemClock);
    both.bench.store.adopt_links(vec![group], now).await.unwrap();
}

#[tokio::test]
async fn a_record_that_no_shop_knows_is_a_twin_whoever_else_is_kept_there() {
    let both = Damaged::new(false).await;
    let partner = twins(&both).await;
    assert!(is_a_twin(&both, partner, true).await);
    assert!(is_a_twin(&both, partner, false).await);
}

#[tokio::test]
async fn a_record_that_has_our_name_for_what_another_one_is_linked_with_is_a_twin() {
    let both = Damaged::new(false).await;
    let customer = both.bench.shop.change(|shop| {
        shop.create_customer(CustomerDraft {
            email: Some("ada@example.com".into()),
            ..CustomerDraft::default()
        })
        .unwrap()
    });
    // It was matched with a partner that was there, and nothing but our name tells that of the other one.
    let partner = |name: &str| both.bench.made_in_the_erp("res.partner", json!({ "name": name }));
    let (matched, twin) = (partner("Ada"), partner("A stranger"));
    let link = Link {
        shop: main_shop(),
        source_id: customer.to_string(),
        ..link(ErpId(matched), LinkState::Linked)
    };
    adopt(&both, link).await;
    let named = json!([{
        "module": "__lockstep_main__", "name": format!("customer_{customer}"), "model": "res.partner", "res_id": twin,
    }]);
    both.bench.in_the_erp("ir.model.data", "create", named);
    let (_, rows) = both.run(Object::Customer).await;
    let twins: Vec<_> = rows
        .iter()
        .filter(|row| row.class == DriftClass::DuplicateInErp)
        .map(|row| (row.source_id, row.erp_id, row.erp.clone()))
        .collect();
    let beside = Some(format!("beside #{matched}"));
    assert_eq!(twins, [(Some(ShopifyId(customer)), Some(ErpId(twin)), beside)]);
}

#[tokio::test]
async fn a_record_that_was_made_for_another_shop_is_no_twin() {
    let both = Damaged::new(false).await;
    let partner = twins(&both).await;
    let named = json!([{
        "module": "__lockstep_paris__", "name": "customer_9", "model": "res.partner", "res_id": partner.0,
    }]);
    both.bench.in_the_erp("ir.model.data", "create", named);
    // Its name stands in this very ERP, wherever that shop is kept now.
    assert!(!is_a_twin(&both, partner, true).await);
    assert!(!is_a_twin(&both, partner, false).await);
}

#[tokio::test]
async fn a_record_that_another_shop_adopted_is_no_twin_where_both_are_kept_in_one_erp() {
    for state in [LinkState::Adopted, LinkState::Linked] {
        let both = Damaged::new(false).await;
        let partner = twins(&both).await;
        adopted(&both, partner, state).await;
        assert!(!is_a_twin(&both, partner, true).await, "{state:?}");
        // Kept in another database, the same number is another record.
        assert!(is_a_twin(&both, partner, false).await, "{state:?}");
    }
    let both = Damaged::new(false).await;
    let partner = twins(&both).await;
    adopted(&both, partner, LinkState::Retired).await;
    assert!(is_a_twin(&both, partner, true).await, "given up by that shop");
}
