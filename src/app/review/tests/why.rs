//! What is said about an order.

use super::*;

#[tokio::test]
async fn why_says_in_one_sentence_what_the_store_knows() {
    let rig = Rig::new().await;
    rig.ended(
        Object::Order,
        7,
        "#7",
        Verdict::Problem(problem("tax_not_found", Value::Null)),
    )
    .await;
    // By its name with and without the sign, its number, its gid, and the address of its page.
    for asked in [
        "#7",
        "7",
        " #7 ",
        "gid://shopify/Order/7",
        "https://admin.shopify.com/store/main/orders/7",
    ] {
        let why = rig.why(asked, false).await;
        assert_eq!(why.outlook, Outlook::Problem, "{asked}");
        assert_eq!(
            why.sentence, "Order #7 needs a person: The ERP has no tax of 21 %.",
            "{asked}"
        );
        assert!(why.next.unwrap().contains("Make the tax."));
    }
    let shopify = rig.why("#7", false).await.references.shopify.unwrap();
    let page = format!("https://{}/admin/orders/7", rig.shop.domain());
    assert_eq!((shopify.name.as_str(), shopify.url), ("#7", Some(page)));

    for (verdict, outlook, part) in [
        (
            Verdict::Obsolete {
                reason: "before_start".into(),
            },
            Outlook::BeforeStart,
            "older than the shop's start (2020-01-01",
        ),
        (
            Verdict::Obsolete {
                reason: "it was placed with a test gateway".into(),
            },
            Outlook::Test,
            "test gateway",
        ),
        (
            Verdict::Obsolete {
                reason: "cancelled_before_import".into(),
            },
            Outlook::Cancelled,
            "cancelled before",
        ),
        (
            Verdict::Obsolete {
                reason: "deleted".into(),
            },
            Outlook::Deleted,
            "deleted on Shopify",
        ),
        (
            Verdict::Held(problem(crate::sync::SUDDEN_CHANGE, Value::Null)),
            Outlook::Held,
            "held back",
        ),
        (
            Verdict::Retry {
                at: rig.manual.now().plus(Duration::from_mins(12)),
                counts: true,
                system_down: None,
            },
            Outlook::Queued,
            "tried again in 12 min",
        ),
    ] {
        let text = format!("{verdict:?}");
        rig.ended(Object::Order, 8, "#8", verdict).await;
        let why = rig.why("#8", false).await;
        assert_eq!(why.outlook, outlook, "{text}: {}", why.sentence);
        assert!(why.sentence.contains(part), "{text}: {}", why.sentence);
        let job = why.job.unwrap();
        rig.store.discard(job, "test", rig.manual.now()).await.unwrap();
    }
    for asked in [
        "#404",
        "' OR 1=1",
        "<script>",
        "#10/42",
        "\u{202e}#1 \u{1f984}",
        "",
    ] {
        let why = rig.why(asked, false).await;
        assert_eq!(why.outlook, Outlook::Unknown, "{asked}");
    }
}

#[tokio::test]
async fn why_says_what_a_waiting_order_waits_for() {
    let rig = Rig::new().await;
    let job = rig.job(Object::Order, 5).await;
    let first = rig.why("5", false).await;
    assert_eq!(first.outlook, Outlook::Queued);
    assert_eq!(first.sentence, "Order 5 waits for its turn, 0 before it.");
    let reviewer = rig.reviewer();
    let shop = rig.of_shop().name.clone();
    assert_eq!(reviewer.pause(&shop, "stocktaking").await.unwrap(), Acted::Done);
    let paused = rig.why("5", false).await;
    assert_eq!(paused.outlook, Outlook::Paused);
    assert_eq!(
        paused.sentence,
        "Order 5 waits because anna paused main: stocktaking."
    );
    reviewer.resume(&shop, None).await.unwrap();
    reviewer.hold(job, "call the customer").await.unwrap();
    let held = rig.why("5", false).await;
    assert_eq!(held.outlook, Outlook::Held);
    assert!(
        held.sentence.contains("anna holds it back: call the customer"),
        "{}",
        held.sentence
    );
    reviewer.release(job, None).await.unwrap();
    let running = rig.claim(Object::Order).await;
    assert_eq!(rig.why("5", false).await.outlook, Outlook::Running);
    rig.end(&running, "#5", Verdict::Completed).await;
    assert_eq!(
        rig.why("#5", false).await.outlook,
        Outlook::OutOfScope,
        "it made no sales order"
    );
    reviewer.discard(job, "no").await.unwrap();
    let moments = timeline(&rig.store, job).await.unwrap().unwrap();
    let kinds: Vec<&str> = moments.iter().map(|moment| moment.kind).collect();
    for kind in ["made", "attempt", "action", "problem", "solved"] {
        assert!(kinds.contains(&kind), "{kind}: {kinds:?}");
    }
}
