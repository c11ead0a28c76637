//! What can be seen from outside: log lines and metrics.

use std::io::Write;
use std::sync::Mutex;

use rust_decimal::Decimal;

use super::between::Between;
use super::*;
use crate::app::review::Reviewer;
use crate::domain::{Actor, Clock as _, Via};
use crate::sandbox::odoo::{Fault, OdooError, Rule};
use crate::sandbox::shopify::draft::{
    Buyer, CustomerDraft, LineDraft, OrderDraft, Payment, ProductDraft, VariantDraft,
};
use crate::sandbox::shopify::facts::{Address, Tax};
use crate::sandbox::shopify::faults::ApiFault;
use crate::store::EndpointAct;

/// Log lines of this thread.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

fn ada(world: &Between) -> u64 {
    world.shop.change(|shop| {
        shop.create_customer(CustomerDraft {
            first_name: Some("Ada".into()),
            last_name: Some("Lovelace".into()),
            email: Some("ada@example.com".into()),
            addresses: vec![berlin()],
            ..CustomerDraft::default()
        })
        .unwrap()
    })
}

fn berlin() -> Address {
    Address {
        first_name: Some("Ada".into()),
        last_name: Some("Lovelace".into()),
        address1: Some("Unter den Linden 1".into()),
        city: Some("Berlin".into()),
        zip: Some("10117".into()),
        country_code: Some("DE".into()),
        ..Address::default()
    }
}

#[tokio::test]
async fn what_odoo_says_about_a_customer_is_shown_to_people_and_not_logged() {
    let lines = Lines::default();
    let sink = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter("lockstep=debug")
        .with_ansi(false)
        .with_writer(move || sink.clone())
        .finish();
    // While there is one subscriber only, a place in the code that another test's thread (without one) passes first is
    // taken for a place that nobody wants to hear of. So there are two.
    let _other = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    // The daemon lives in this thread, with all its tasks.
    let _guard = tracing::subscriber::set_default(subscriber);
    let world = Between::new("main").await;
    let id = ada(&world);
    let words = OdooError {
        name: "odoo.exceptions.ValidationError".into(),
        message: "Ada Lovelace, Unter den Linden 1: this partner is not allowed".into(),
    };
    let rule = Rule::new(Fault::Error(words)).model("res.partner").method("load");
    world.erp.faults().add(rule.always());
    world
        .deliver("customers/create", &format!(r#"{{"id":{id}}}"#))
        .await;
    let job = world
        .job_is(Object::Customer, &id.to_string(), JobState::Problem)
        .await;
    let story = world.story(&job.key).await.to_string();
    assert!(
        story.contains("Unter den Linden 1: this partner is not allowed"),
        "{story}"
    );
    until("it is logged", async || {
        lines.text().contains("job needs a person")
    })
    .await;
    let log = lines.text();
    for name in ["Lovelace", "Linden", "ada@example.com"] {
        assert!(!log.contains(name), "{name} in the log:\n{log}");
    }
    // Every line of a client names the job that it worked for.
    let span = format!("attempt{{job={} shop=main object=customer}}", job.id);
    let asked: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("asked Shopify"))
        .collect();
    assert!(!asked.is_empty(), "{log}");
    for line in asked {
        assert!(line.contains(&span), "{line}");
    }
    world.daemon.stop().await;
}

#[tokio::test]
async fn a_scrape_shows_an_order_a_duplicate_and_an_outage() {
    // The metrics belong to the process: this shop's name is its own.
    // Nobody listens where it tells of things.
    let world = Between::telling(
        "metered",
        "[notify]\nallow_networks = [\"127.0.0.1\"]\n[notify.endpoints.closed]\nurl = \"http://127.0.0.1:9/\"\nallow_http = true\n\
         events = [\"*\"]",
    )
    .await;
    let variant = world.shop.change(|shop| {
        let product = shop.create_product(ProductDraft {
            title: "Shirt".into(),
            options: vec!["Size".into()],
            variants: vec![VariantDraft::new(&["S"], "SHIRT-S", Decimal::new(1_999, 2))],
            ..ProductDraft::default()
        });
        shop.product(product).unwrap().variants[0].id
    });
    let customer = ada(&world);
    let order = world.shop.change(|shop| {
        shop.place_order(OrderDraft {
            buyer: Buyer::Customer(customer),
            lines: vec![LineDraft::variant(variant, 3)],
            taxes: vec![Tax::new("MwSt", Decimal::new(19, 2))],
            taxes_included: true,
            payment: Payment::Paid("shopify_payments".into()),
            shipping_address: Some(berlin()),
            billing_address: Some(berlin()),
            ..OrderDraft::default()
        })
        .unwrap()
    });
    let body = format!(r#"{{"id":{order}}}"#);
    for _ in 0..2 {
        assert_eq!(world.deliver_as("the same", "orders/create", &body).await, 200);
    }
    world
        .job_is(Object::Order, &order.to_string(), JobState::Completed)
        .await;
    let reviewer = Reviewer::new(
        world.daemon.store.clone(),
        Arc::new(world.clock.clone()),
        Actor::new("anna", Via::Cli),
    );
    let shop = world.name.clone();
    reviewer.pause(&shop, "stocktaking").await.unwrap();
    reviewer.resume(&shop, None).await.unwrap();
    // A privacy request that is none, a question that Shopify fails to answer, and an ERP that is down.
    world.deliver("shop/redact", r#"{"x":1}"#).await;
    world.shop.inject(ApiFault::InternalError, None, 1);
    world.deliver("orders/updated", &body).await;
    world
        .job_is(Object::Order, &order.to_string(), JobState::Retryable)
        .await;
    world.erp.faults().set_postgres_down(true);
    world
        .deliver("customers/update", &format!(r#"{{"id":{customer}}}"#))
        .await;
    let scrape = async || {
        let url = format!("http://{}/metrics", world.daemon.admin_addr);
        client().get(&url).send().await.unwrap().text().await.unwrap()
    };
    until("the outage is shown", async || {
        world.clock.advance(Duration::from_secs(20));
        scrape()
            .await
            .contains(r#"lockstep_breaker_open{shop="metered",system="erp"} 1"#)
    })
    .await;
    until("what could not be told is shown", async || {
        scrape()
            .await
            .contains(r#"lockstep_notify_deliveries_total{endpoint="closed",outcome="retried"} "#)
    })
    .await;
    // A person pauses it. What was tried was timed, once for each request.
    let act = EndpointAct {
        name: "closed".to_owned(),
        pause: true,
        health: None,
        reason: None,
        actor: Actor::new("anna", Via::Cli),
        at: world.clock.now(),
    };
    assert!(
        scrape()
            .await
            .contains(r#"lockstep_notify_paused{endpoint="closed"} 0"#)
    );
    world.daemon.store.set_endpoint(act).await.unwrap();
    until("the pause is shown", async || {
        world.clock.advance(Duration::from_secs(5));
        scrape()
            .await
            .contains(r#"lockstep_notify_paused{endpoint="closed"} 1"#)
    })
    .await;
    let text = scrape().await;
    let value = |sample: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(sample));
        line.unwrap_or_else(|| panic!("{sample} is missing:\n{text}"))
            .trim()
            .parse()
            .unwrap()
    };
    let (count, sum) = (
        value(r#"lockstep_notify_seconds_count{endpoint="closed"}"#),
        value(r#"lockstep_notify_seconds_sum{endpoint="closed"}"#),
    );
    assert!(
        count >= 1.0 && sum > 0.0 && sum < 60.0,
        "{count} requests in {sum} s"
    );
    for sample in [
        r#"lockstep_jobs_completed_total{shop="metered",object="order",direction="in",outcome="completed"} 1"#,
        r#"lockstep_jobs_failed_total{shop="metered",object="shop",direction="in"} 1"#,
        r#"lockstep_jobs_retried_total{shop="metered",object="order",direction="in",reason="failed"} 1"#,
        r#"lockstep_jobs_retried_total{shop="metered",object="customer",direction="in",reason="system_down"} "#,
        "lockstep_jobs_running ",
        r#"lockstep_notify_waiting{endpoint="closed"} "#,
        r#"lockstep_notify_paused{endpoint="closed"} 1"#,
        r#"lockstep_notify_seconds_count{endpoint="closed"} "#,
        r#"lockstep_duplicates_skipped_total{shop="metered"} 1"#,
        r#"lockstep_queue_depth{shop="metered",object="customer",direction="in",state="#,
        r#"lockstep_queue_oldest_seconds{shop="metered",object="customer",direction="in",state="#,
        "lockstep_problems_open ",
        r#"lockstep_actions_total{shop="metered",action="pause"} 1"#,
        r#"lockstep_manual_corrections_total{shop="metered"} 0"#,
        r#"lockstep_source_to_target_seconds_count{shop="metered",object="order",direction="in"} 1"#,
        r#"lockstep_intake_total{shop="metered",outcome="job"} "#,
        r#"lockstep_intake_total{shop="metered",outcome="repeated"} 1"#,
        r#"lockstep_intake_seconds_count{outcome="job"} "#,
        "lockstep_http_connections{",
        r#"lockstep_erp_call_seconds_count{shop="metered",method="load",outcome="answered"} "#,
        r#"lockstep_erp_errors_total{shop="metered",method="#,
        r#"lockstep_shopify_call_seconds_count{shop="metered",operation="LockstepOrder"} "#,
        r#"lockstep_shopify_errors_total{shop="metered",kind="shopify_internal_error"} 1"#,
        r#"lockstep_shopify_bucket_points{shop="metered"} "#,
        r#"lockstep_shopify_version_differs{shop="metered"} 0"#,
    ] {
        assert!(text.contains(sample), "{sample} is missing:\n{text}");
        let series = sample.split(['{', ' ']).next().unwrap();
        let help = format!("# HELP {} ", series.trim_end_matches("_count"));
        assert!(text.contains(&help), "{series} has no help");
    }
    // Refused credentials show as well, although no call of a model gets through.
    world.erp.faults().set_postgres_down(false);
    world.erp.faults().set_keys_expired(true);
    until("the refused log-in is shown", async || {
        world.clock.advance(Duration::from_secs(20));
        let authenticate = r#"lockstep_erp_errors_total{shop="metered",method="authenticate","#;
        scrape().await.contains(authenticate)
    })
    .await;
    world.daemon.stop().await;
}
