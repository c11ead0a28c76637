//! Lists of dispatches.

use super::super::fixture::Fixture;
use super::super::given::START;
use super::{MINUTE, body, claim, end, kept, rows, to};
use crate::store::{DispatchEnd, DispatchFilter, DispatchState, FannedOut};

pub(in super::super) async fn deliveries_are_filtered_and_paged(fixture: Fixture) {
    let store = &fixture.store;
    // Three endpoints, two types of event, two shops; told a minute apart.
    for number in 0..9_u32 {
        let at = START.plus(MINUTE * number);
        store
            .add_notifications(vec![body(&number.to_string())], at)
            .await
            .unwrap();
        let outbox = store.outbox(1).await.unwrap();
        let mut keep = kept(&number.to_string());
        if number % 2 == 1 {
            keep.event = "customer.synced".to_owned();
        }
        if number >= 6 {
            keep.shop = Some("second".to_owned());
        }
        let row = FannedOut {
            id: outbox[0].id,
            kept: Some(keep),
            dispatches: vec![to("slack"), to(if number < 4 { "sheet" } else { "mail" })],
        };
        assert_eq!(store.fan_out(vec![row], at).await.unwrap(), 2);
    }
    let claimed = claim(store, "slack", 4, START).await;
    end(store, "slack", &claimed[..3], DispatchEnd::Delivered).await;
    end(store, "slack", &claimed[3..], DispatchEnd::Failed).await;

    let text = |text: &str| Some(text.to_owned());
    let all = DispatchFilter::default;
    let everything = rows(store, all()).await;
    assert_eq!(everything.len(), 18);
    for (what, filter, fits) in [
        (
            "endpoint",
            DispatchFilter {
                endpoint: text("slack"),
                ..all()
            },
            9,
        ),
        (
            "event",
            DispatchFilter {
                event: text("customer.synced"),
                ..all()
            },
            8,
        ),
        (
            "state",
            DispatchFilter {
                state: Some(DispatchState::Waiting),
                ..all()
            },
            14,
        ),
        (
            "shop",
            DispatchFilter {
                shop: text("second"),
                ..all()
            },
            6,
        ),
        (
            "since",
            DispatchFilter {
                since: Some(START.plus(MINUTE * 7)),
                ..all()
            },
            4,
        ),
        (
            "until",
            DispatchFilter {
                until: Some(START.plus(MINUTE)),
                ..all()
            },
            2,
        ),
        (
            "its id",
            DispatchFilter {
                search: text("evt_5"),
                ..all()
            },
            2,
        ),
        (
            "its name",
            DispatchFilter {
                search: text("#5"),
                ..all()
            },
            2,
        ),
        (
            "its key",
            DispatchFilter {
                search: text("erp/sale.order/5"),
                ..all()
            },
            2,
        ),
        (
            "no part of a name",
            DispatchFilter {
                search: text("evt_"),
                ..all()
            },
            0,
        ),
        (
            "several",
            DispatchFilter {
                endpoint: text("slack"),
                event: text("order.synced"),
                state: Some(DispatchState::Delivered),
                shop: text("main"),
                ..all()
            },
            2,
        ),
        (
            "a name and more",
            DispatchFilter {
                search: text("#5"),
                endpoint: text("mail"),
                ..all()
            },
            1,
        ),
        (
            "nobody's",
            DispatchFilter {
                endpoint: text("nobody"),
                ..all()
            },
            0,
        ),
    ] {
        let found = rows(store, filter.clone()).await;
        assert_eq!(found.len(), fits, "{what}: {found:#?}");
        assert!(found.is_sorted_by(|a, b| a.id > b.id), "{what}: newest first");
        // Page by page it is the same.
        let mut paged = Vec::new();
        let mut before = None;
        loop {
            let page = DispatchFilter {
                limit: 2,
                before,
                ..filter.clone()
            };
            let page = rows(store, page).await;
            let Some(last) = page.last() else { break };
            before = Some(last.id);
            paged.extend(page);
        }
        assert_eq!(paged, found, "{what}");
    }
    let one = &rows(
        store,
        DispatchFilter {
            search: text("evt_3"),
            endpoint: text("slack"),
            ..all()
        },
    )
    .await[0];
    assert_eq!(
        (one.state, one.failure.as_deref(), one.status),
        (DispatchState::Failed, Some("status"), Some(500))
    );
    assert_eq!(
        (one.event.as_str(), one.shop.as_deref()),
        ("customer.synced", Some("main"))
    );
    assert_eq!(
        (one.object.as_deref(), one.record.as_deref()),
        (Some("order"), Some("#3"))
    );
    assert_eq!(
        (one.notification.as_str(), one.created_at),
        ("evt_3", START.plus(MINUTE * 3))
    );

    let endpoints = store.endpoints().await.unwrap();
    let counts: Vec<_> = endpoints
        .iter()
        .map(|row| (row.name.as_str(), row.waiting, row.failed, row.oldest_waiting))
        .collect();
    let minute = |number: u32| Some(START.plus(MINUTE * number));
    assert_eq!(
        counts,
        [
            ("mail", 5, 0, minute(4)),
            ("sheet", 4, 0, minute(0)),
            ("slack", 5, 1, minute(4))
        ]
    );

    // However many wait for their first try, what is to be tried again is told.
    let again = claim(store, "slack", 1, START).await;
    end(store, "slack", &again, DispatchEnd::Again { at: START }).await;
    let tried = store.tried_dispatches("slack", 2).await.unwrap();
    let tried: Vec<_> = tried.iter().map(|row| (row.id, row.state)).collect();
    assert_eq!(
        tried,
        [
            (again[0].id, DispatchState::Waiting),
            (claimed[3].id, DispatchState::Failed)
        ]
    );
}
