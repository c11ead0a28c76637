//! What pages tell without being asked: both sides of a customer, and the calls of a job.

use super::live::{Live, all_in, job_of};
use crate::domain::{Call, Calls, LinkKind};
use crate::sandbox::shopify::draft::{Buyer, CustomerDraft};

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_opens_with_both_sides_and_a_job_with_the_calls_that_it_made() {
    let live = Live::new().await;
    let customer = live.shop.change(|shop| {
        shop.create_customer(CustomerDraft {
            first_name: Some("Ada".into()),
            last_name: Some("Lovelace".into()),
            email: Some("ada@example.com".into()),
            ..CustomerDraft::default()
        })
        .unwrap()
    });
    let (id, _) = live.place_for("Lovelace", Buyer::Customer(customer));
    let operator = live.rig.logged_in("operator").await;
    let token = operator.token().await;
    let sync = format!("/records/main/order/{id}/sync");
    let job = job_of(&operator.post(&sync, &[("form_token", &token)]).await);
    live.until_done(job).await;

    let page = operator.get(&format!("/jobs/{job}")).await;
    all_in(
        &page.text,
        &[
            "calls: Shopify",
            "LockstepOrder",
            "load sale.order",
            "<td>Shopify</td>",
            "<td>the ERP</td>",
        ],
    );
    let story = live.rig.store.job(job).await.unwrap().unwrap();
    let (calls, _) = Calls::taken_from(story.attempts.last().unwrap().detail.clone());
    let calls = calls.expect("it made calls");
    // That there is no record of a name yet is a refusal in Odoo.
    let is_known = |call: &&Call| ["ok", "erp_rejected"].contains(&call.outcome.as_str());
    assert_eq!(
        calls.first.iter().filter(is_known).count(),
        calls.first.len(),
        "{calls:?}"
    );
    let told = serde_json::to_string(&calls).unwrap();
    for personal in ["Ada", "ada@example.com", "10117"] {
        assert!(!told.contains(personal), "{personal}: {told}");
    }

    // Both sides without being asked for, and what differs first.
    let address = format!("/records/main/customer/{customer}");
    let page = operator.get(&address).await;
    all_in(
        &page.text,
        &["On both sides", "<th scope=\"row\">email</th>", "ada@example.com"],
    );
    assert!(!page.text.contains("differs</span>"), "{}", page.text);
    let shop = "main".parse().unwrap();
    let ids = [customer.to_string()];
    let links = live.rig.store.links(&shop, LinkKind::Customer, &ids).await;
    let partner = links.unwrap()[0].erp_id.0;
    let change = serde_json::json!([[partner], { "email": "byron@example.com" }]);
    live.erp
        .as_admin("res.partner", "write", change, serde_json::json!({}))
        .unwrap();
    let page = operator.get(&address).await;
    all_in(
        &page.text,
        &[
            "email <span class=\"chip warn\">differs</span>",
            "ada@example.com",
            "byron@example.com",
        ],
    );
    let viewer = live.rig.logged_in("viewer").await;
    let masked = viewer.get(&address).await;
    assert!(!masked.text.contains("@example.com"), "{}", masked.text);

    // A shop that does not answer in time keeps nobody waiting for longer.
    live.erp.down().await.unwrap();
    let page = operator.get(&address).await;
    assert_eq!(page.status, 200);
    all_in(&page.text, &["could not be compared", "Compare again"]);
    live.stop().await;
}
