//! What conditions and templates can read of a real order, and what would be sent for it: on the page, by the API, and as it is
//! sent then.

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::live::{Live, OPERATOR, VIEWER, all_in};
use super::*;
use crate::app::testing::until;
use crate::domain::{Clock as _, Priority, SystemClock};
use crate::sandbox::receiver::Receiver;
use crate::sandbox::shopify::draft::{Buyer, CustomerDraft, OrderPatch};
use crate::store::NewJob;

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const EMAIL: &str = "guest@example.com";
/// Its last name.
const NAME: &str = "Lovelace";

/// Two endpoints: `whole` gets a body of its own and sees people, `shy` gets the record as others may see it.
fn endpoints(whole: &Receiver, shy: &Receiver) -> String {
    let endpoint = |name: &str, receiver: &Receiver, more: &str| {
        format!(
            "[notify.endpoints.{name}]\nurl = '{}'\nallow_http = true\nevents = ['order.synced']\nsecrets = ['{SECRET}']\n{more}\n",
            receiver.url()
        )
    };
    let template = r#"personal_data = true
[notify.endpoints.whole.body]
template = '''{
  "order": "{{ order.name }}", "mail": "{{ order.email }}", "to": "{{ order.shipping_address.last_name }}",
  "total": {{ order.totals.total }}, "lines": {{ order.lines | count }}, "shop": "{{ event.shop }}"
}'''"#;
    format!(
        "[notify]\nallow_networks = ['127.0.0.1']\n{}{}",
        endpoint("shy", shy, "include = ['record', 'related']"),
        endpoint("whole", whole, template)
    )
}

async fn called(live: &Live, path: &str, token: &str) -> (StatusCode, Value) {
    let address = format!("http://{}{path}", live.rig.daemon.admin_addr);
    let answer = live
        .rig
        .client
        .get(address)
        .bearer_auth(token)
        .send()
        .await
        .unwrap();
    (answer.status(), answer.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_shown_as_it_is_read_and_sent_to_those_who_may_see_it() {
    let (whole, shy) = (
        Receiver::start(SECRET).await.unwrap(),
        Receiver::start(SECRET).await.unwrap(),
    );
    let live = Live::with(&endpoints(&whole, &shy)).await;
    let customer = live.shop.change(|shop| {
        shop.create_customer(CustomerDraft {
            first_name: Some("Ada".into()),
            last_name: Some(NAME.into()),
            email: Some(EMAIL.into()),
            ..CustomerDraft::default()
        })
        .unwrap()
    });
    let (id, name) = live.place_for(NAME, Buyer::Customer(customer));
    let called_as = name.trim_start_matches('#');
    let of_order = format!("main/order/{called_as}");

    // Every place that can be read, with what stands there.
    let (status, listed) = called(&live, &format!("/api/v1/notify/fields/{of_order}"), OPERATOR).await;
    assert_eq!(status, StatusCode::OK, "{listed}");
    assert_eq!(listed["record"], name.as_str());
    let (_, bare) = called(&live, "/api/v1/notify/fields/order.synced", VIEWER).await;
    let paths = |listed: &Value| -> Vec<String> {
        let fields = listed["fields"].as_array().unwrap().iter();
        fields
            .map(|field| field["path"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(paths(&listed), paths(&bare));
    let fields = listed["fields"].as_array().unwrap();
    for field in fields {
        let path = field["path"].as_str().unwrap();
        // Of a list that is empty there is no first item.
        let is_certain = field["may_be_empty"] == false && path.starts_with("order.") && !path.contains("[]");
        assert!(!is_certain || !field["value"].is_null(), "{field}");
    }
    let value = |path: &str| {
        let field = fields.iter().find(|field| field["path"] == path);
        field.unwrap_or_else(|| panic!("{path} is listed"))["value"].clone()
    };
    for (path, expected) in [
        ("event.type", json!("order.synced")),
        ("event.shop", json!("main")),
        ("event.object.name", json!(name)),
        ("event.object.shopify.number", json!(id)),
        ("order.name", json!(name)),
        ("order.email", json!(EMAIL)),
        ("order.totals.total", json!("20.00")),
        ("order.lines[].title", json!("<b>Goods</b>")),
        ("order.lines[].quantity", json!("2")),
        ("order.shipping_address.last_name", json!(NAME)),
    ] {
        assert_eq!(value(path), expected, "{path}");
    }
    // It is of the order as it is now.
    let patch = OrderPatch {
        tags: Some(vec!["rush".to_owned()]),
        ..OrderPatch::default()
    };
    live.shop.change(|shop| shop.patch_order(id, patch)).unwrap();
    let (_, again) = called(&live, &format!("/api/v1/notify/fields/{of_order}"), OPERATOR).await;
    assert!(again.to_string().contains("rush"), "{again}");

    let mut previews = Vec::new();
    for endpoint in ["whole", "shy"] {
        let path = format!("/api/v1/notify/endpoints/{endpoint}/preview/{of_order}");
        // Values are of people.
        let (status, refused) = called(&live, &path, VIEWER).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{refused}");
        let (status, shown) = called(&live, &path, OPERATOR).await;
        assert_eq!(
            (status, &shown["is_sent"]),
            (StatusCode::OK, &json!(true)),
            "{shown}"
        );
        previews.push(serde_json::from_str::<Value>(shown["body"].as_str().unwrap()).unwrap());
    }
    let (status, refused) = called(&live, &format!("/api/v1/notify/fields/{of_order}"), VIEWER).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{refused}");
    assert!(!refused.to_string().contains(NAME), "{refused}");

    let page = format!("/notify/fields?shop=main&object=order&number={called_as}&endpoint=whole");
    let shown = live.rig.logged_in("operator").await.get(&page).await;
    all_in(
        &shown.text,
        &[
            &name,
            EMAIL,
            NAME,
            "order.totals.total",
            "&#60;b&#62;Goods",
            "What whole would be sent",
            "&#34;total&#34;: 20.00",
        ],
    );
    let refused = live.rig.logged_in("viewer").await.get(&page).await;
    assert_eq!(refused.status, 403);
    assert!(!refused.text.contains(NAME), "{}", refused.text);
    assert!(
        whole.told().is_empty() && shy.told().is_empty(),
        "nothing was sent"
    );

    // And now in earnest.
    let key = JobKey {
        shop: "main".parse().unwrap(),
        object: Object::Order,
        direction: Direction::In,
        source_id: id.to_string(),
    };
    let job = NewJob {
        key,
        priority: Priority::LIVE,
        now: SystemClock.now(),
        cause: "test".to_owned(),
    };
    live.rig.store.enqueue(job).await.unwrap();
    let of = async |receiver: &Receiver| {
        let told = until("it is told", async || receiver.told().into_values().next()).await;
        told.body
    };
    assert_eq!(of(&whole).await, previews[0]);
    assert_eq!(previews[0]["mail"], EMAIL);
    let (sent, shown) = (of(&shy).await, &previews[1]);
    for part in ["record", "source", "destination", "shop", "direction", "status"] {
        assert_eq!(sent[part], shown[part], "{part}");
    }
    // A preview asks the shop alone: it does not know who stands for the customer in the ERP.
    let (customer, known) = (&sent["related"][0], &shown["related"][0]);
    assert_eq!(
        (&customer["kind"], &customer["shopify"]),
        (&known["kind"], &known["shopify"])
    );
    assert_eq!(customer["erp"]["model"], "res.partner");
    for part in ["kind", "name", "shopify"] {
        assert_eq!(sent["object"][part], shown["object"][part], "{part}");
    }
    assert_eq!(sent["record"]["totals"]["total"], "20.00");
    for body in [&sent, shown] {
        let text = body.to_string();
        assert!(!text.contains(NAME) && !text.contains(EMAIL), "{text}");
    }
    live.stop().await;
}
