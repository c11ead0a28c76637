//! What was told of a customer goes with their request, wherever it stands by then.

use std::path::Path;

use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};

use super::super::between::Between;
use super::super::*;
use crate::domain::{Actor, Clock as _, Via};
use crate::sandbox::receiver::Receiver;
use crate::sandbox::shopify::draft::{Buyer, CustomerDraft, LineDraft, OrderDraft, Payment};
use crate::sandbox::shopify::facts::Address;
use crate::store::{DispatchFilter, DispatchRow, DispatchState, Redeliver, Redelivered};

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// Somebody and an order of theirs.
struct Person {
    last_name: &'static str,
    street: &'static str,
    customer: u64,
    order: u64,
}

impl Person {
    /// Carries both over.
    async fn new(world: &Between, last_name: &'static str, street: &'static str) -> Self {
        let address = Address {
            first_name: Some("Ada".into()),
            last_name: Some(last_name.into()),
            address1: Some(street.into()),
            city: Some("Berlin".into()),
            zip: Some("10117".into()),
            country_code: Some("DE".into()),
            ..Address::default()
        };
        let (customer, order) = world.shop.change(|shop| {
            let customer = shop
                .create_customer(CustomerDraft {
                    first_name: Some("Ada".into()),
                    last_name: Some(last_name.into()),
                    email: Some(format!("{last_name}@example.com")),
                    addresses: vec![address.clone()],
                    ..CustomerDraft::default()
                })
                .unwrap();
            let order = shop.place_order(OrderDraft {
                buyer: Buyer::Customer(customer),
                lines: vec![LineDraft::custom("Goods", rust_decimal::Decimal::TEN, 2)],
                payment: Payment::Paid("shopify_payments".into()),
                shipping_address: Some(address.clone()),
                billing_address: Some(address),
                ..OrderDraft::default()
            });
            (customer, order.unwrap())
        });
        for (topic, object, id) in [
            ("customers/create", Object::Customer, customer),
            ("orders/create", Object::Order, order),
        ] {
            world.deliver(topic, &format!(r#"{{"id":{id}}}"#)).await;
            world.job_is(object, &id.to_string(), JobState::Completed).await;
        }
        Self {
            last_name,
            street,
            customer,
            order,
        }
    }

    /// Which of these texts tells of them.
    fn is_in(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        [self.last_name, self.street]
            .iter()
            .any(|part| text.contains(&part.to_lowercase()))
    }
}

impl Between {
    async fn dispatches(&self) -> Vec<DispatchRow> {
        let filter = DispatchFilter {
            limit: 100,
            ..DispatchFilter::default()
        };
        self.daemon.store.dispatches(filter).await.unwrap()
    }

    async fn stories(&self) -> String {
        let mut all = String::new();
        for row in self.dispatches().await {
            let story = self.daemon.store.dispatch(row.id).await.unwrap();
            all += &serde_json::to_string(&story).unwrap();
        }
        all
    }

    async fn requested(&self, topic: &str, more: &str) {
        let shop = self.shop.domain();
        let body = format!(r#"{{"shop_id":954889,"shop_domain":"{shop}"{more}}}"#);
        self.deliver(topic, &body).await;
        until(topic, async || {
            let jobs = self.jobs(Object::Shop).await;
            jobs.iter().all(|job| job.state == JobState::Completed)
        })
        .await;
    }

    /// Of each table that names them, its name.
    async fn tables_with(&self, person: &Person) -> Vec<String> {
        let url = format!("sqlite://{}", self.database().display());
        let mut conn = SqliteConnection::connect(&url).await.unwrap();
        let tables: Vec<String> =
            sqlx::query_scalar("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
                .fetch_all(&mut conn)
                .await
                .unwrap();
        let mut found = Vec::new();
        for table in tables {
            let columns: Vec<String> = sqlx::query_scalar("SELECT name FROM pragma_table_info($1)")
                .bind(&table)
                .fetch_all(&mut conn)
                .await
                .unwrap();
            let columns: Vec<String> = columns
                .iter()
                .map(|column| format!("coalesce(CAST(\"{column}\" AS TEXT), '')"))
                .collect();
            let query = format!(
                "SELECT CAST({} AS BLOB) FROM \"{table}\"",
                columns.join(" || ' ' || ")
            );
            let rows: Vec<Vec<u8>> = sqlx::query_scalar(AssertSqlSafe(query))
                .fetch_all(&mut conn)
                .await
                .unwrap();
            if rows.iter().any(|row| person.is_in(&String::from_utf8_lossy(row))) {
                found.push(table);
            }
        }
        conn.close().await.unwrap();
        found
    }
}

/// Whether a file that there is, or its log, has this in it.
fn is_on_disk(database: &Path, person: &Person) -> bool {
    ["", "-wal"].iter().any(|end| {
        let mut path = database.as_os_str().to_owned();
        path.push(end);
        std::fs::read(path).is_ok_and(|bytes| person.is_in(&String::from_utf8_lossy(&bytes)))
    })
}

/// Three endpoints that see people: one that takes and one that refuses, which both repeat what they were told, and one that
/// rests.
fn endpoints(takes: &Receiver, refuses: &Receiver, rests: &Receiver) -> String {
    let endpoint = |name: &str, receiver: &Receiver, more: &str| {
        format!(
            "[notify.endpoints.{name}]\nurl = '{}'\nallow_http = true\nevents = ['*']\nsecrets = ['{SECRET}']\n\
             include = ['record', 'related', 'values']\npersonal_data = true\n{more}\n",
            receiver.url()
        )
    };
    [
        "[notify]\nallow_networks = ['127.0.0.1']\n".to_owned(),
        endpoint("takes", takes, ""),
        endpoint("refuses", refuses, "retry = { max_attempts = 1 }"),
        endpoint("rests", rests, "state = 'paused'"),
    ]
    .concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_privacy_request_leaves_nothing_of_what_was_told() {
    let receiver = async || Receiver::start(SECRET).await.unwrap();
    let (takes, refuses, rests) = (receiver().await, receiver().await, receiver().await);
    let world = Between::telling("main", &endpoints(&takes, &refuses, &rests)).await;
    let store = &world.daemon.store;
    refuses.answer(500, "no Lovelace in Hauptweg 17");
    let ada = Person::new(&world, "Lovelace", "Hauptweg 17").await;
    // Whoever sends goes by the clock, which the receivers compare with theirs: it must not run far ahead.
    let all_told = async |least: usize| {
        until("all is told", async || {
            world.clock.advance(Duration::from_millis(100));
            let rows = world.dispatches().await;
            let is_over = |row: &DispatchRow| match row.endpoint.as_str() {
                "takes" => row.state == DispatchState::Delivered,
                "refuses" => row.state == DispatchState::Failed,
                _ => matches!(row.state, DispatchState::Waiting | DispatchState::Cancelled),
            };
            rows.len() >= least && rows.iter().all(is_over) && store.outbox(1).await.unwrap().is_empty()
        })
        .await;
    };
    all_told(9).await;
    refuses.answer(500, "no");
    let before = world.dispatches().await;
    // That an endpoint fails is told once, and of no person.
    let of_ada: Vec<i64> = before
        .iter()
        .filter(|row| row.record.is_some())
        .map(|row| row.id)
        .collect();
    assert_eq!(of_ada.len(), 9);
    let grace = Person::new(&world, "Hopper", "Nebenweg 4").await;
    all_told(before.len() + of_ada.len()).await;
    for person in [&ada, &grace] {
        assert!(person.is_in(&world.stories().await));
        let tables = world.tables_with(person).await;
        assert!(tables.contains(&"notifications".to_owned()), "{tables:?}");
    }
    assert!(
        world
            .tables_with(&ada)
            .await
            .contains(&"dispatch_tries".to_owned())
    );

    let request = format!(
        r#","customer":{{"id":{},"email":null,"phone":null}},"orders_to_redact":[{}]"#,
        ada.customer, ada.order
    );
    world.requested("customers/redact", &request).await;
    let stories = world.stories().await;
    assert!(!ada.is_in(&stories), "{stories}");
    assert!(grace.is_in(&stories), "another customer's stay");
    assert_eq!(world.tables_with(&ada).await, [""; 0]);
    assert!(
        !is_on_disk(&world.database(), &ada),
        "nor in what is free in the file"
    );
    // That it was told, when and to whom, stays on record, and so does that it was removed.
    for row in world.dispatches().await {
        let is_adas = of_ada.contains(&row.id);
        let story = store.dispatch(row.id).await.unwrap().unwrap();
        assert_eq!(story.body.is_none(), is_adas, "{row:?}");
        if !is_adas {
            continue;
        }
        let expected = match row.endpoint.as_str() {
            "takes" => DispatchState::Delivered,
            "refuses" => DispatchState::Failed,
            _ => DispatchState::Cancelled,
        };
        assert_eq!((row.state, &row.record), (expected, &None), "{row:?}");
        let again = store
            .redeliver(
                Redeliver::One(row.id),
                Actor::new("ada", Via::Cli),
                world.clock.now(),
            )
            .await
            .unwrap();
        assert_eq!(again, Redelivered::Removed);
    }
    let records = store.compliance_records(&world.name).await.unwrap();
    assert_eq!(records.len(), 1);
    assert!(records[0].summary.contains(&format!("customer {}", ada.customer)));

    // What waited is not sent with it.
    world.configure("state = 'paused'", "state = 'active'");
    until("what waits of the other one is sent", async || {
        world.clock.advance(Duration::from_millis(100));
        rests
            .told()
            .values()
            .any(|told| grace.is_in(&told.body.to_string()))
            && world
                .dispatches()
                .await
                .iter()
                .all(|row| row.state != DispatchState::Waiting)
    })
    .await;
    let sent = format!("{:?}", rests.told());
    assert!(!ada.is_in(&sent), "{sent}");

    world.requested("shop/redact", "").await;
    assert_eq!(world.tables_with(&grace).await, [""; 0]);
    let stories = world.stories().await;
    assert!(!grace.is_in(&stories), "{stories}");
    assert_eq!(store.compliance_records(&world.name).await.unwrap().len(), 2);
    let database = world.database();
    world.daemon.stop().await;
    for person in [&ada, &grace] {
        assert!(!is_on_disk(&database, person), "{}", person.last_name);
    }
}
