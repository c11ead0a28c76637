//! Another domain under the same name, and another process at the same shop.

use std::time::Instant;

use super::follows::{CUSTOMERS, PRODUCTS, free_port, replace, topics, write, writes};
use super::*;
use crate::app::subscriptions::{self, Removal};
use crate::sandbox::shopify::{Options, ShopSandbox};

#[tokio::test]
async fn another_domain_under_the_same_name_leaves_the_old_one_behind_where_everybody_sees_it() {
    let sandbox = ShopSandbox::start(Options::quick()).await.unwrap();
    let place = Place::new();
    write(&place, &sandbox, free_port(), "customers = { in = 'on' }");
    let daemon = place.start(system_clock()).await.unwrap();
    until("it registers", async || topics(&sandbox) == CUSTOMERS).await;
    let left: ShopName = sandbox.domain().split('.').next().unwrap().parse().unwrap();
    replace(&place, sandbox.domain(), "other.myshopify.com");
    replace(&place, &sandbox.url(), "http://127.0.0.1:9");
    daemon.reload().await.unwrap();
    until("it is planned", async || {
        let open = daemon.store.open_problems(10).await.unwrap();
        open.iter().any(|row| {
            row.shop == left
                && row.problem.code.0 == "shop_removed"
                && row.problem.detail["plan"].as_array().map(Vec::len) == Some(5)
        })
    })
    .await;
    let main: ShopName = "main".parse().unwrap();
    assert!(daemon.store.subscriptions(&main).await.unwrap().is_empty());
    assert_eq!((topics(&sandbox).as_str(), writes(&sandbox)), (CUSTOMERS, 5));
    let mut config = Config::load(&place.path()).unwrap();
    config.admin.listen = daemon.admin_addr;
    let removal = subscriptions::remove_through_daemon(&config, &daemon.store, &left).await;
    assert!(
        matches!(&removal, Removal::Done(done) if done[0]["is_complete"] == true),
        "{removal:?}"
    );
    assert_eq!(topics(&sandbox), "");
    daemon.stop().await;
}

#[tokio::test]
async fn a_shop_that_another_process_changes_is_looked_at_again_within_seconds() {
    let sandbox = ShopSandbox::start(Options::quick()).await.unwrap();
    let place = Place::new();
    let port = free_port();
    let save = |sync: &str| {
        write(&place, &sandbox, port, sync);
        replace(&place, "\"* * * * * *\"", "\"0 0 0 1 1 *\"");
    };
    save("customers = { in = 'on' }");
    let daemon = place.start(system_clock()).await.unwrap();
    until("it registers", async || topics(&sandbox) == CUSTOMERS).await;
    let lease = "subscriptions:main";
    until("its own look is over", async || {
        let now = system_clock().now();
        let until = now.plus(Duration::from_mins(2));
        daemon
            .store
            .take_lease(lease, "another", now, until)
            .await
            .unwrap()
    })
    .await;
    save("products = { in = 'on' }");
    daemon.reload().await.unwrap();
    let since = Instant::now();
    until("it looked while another was at it", async || {
        since.elapsed() > Duration::from_secs(1)
    })
    .await;
    assert_eq!(topics(&sandbox), CUSTOMERS);
    daemon.store.release_lease(lease, "another").await.unwrap();
    let since = Instant::now();
    until("it follows", async || topics(&sandbox) == PRODUCTS).await;
    let took = since.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
    daemon.stop().await;
}
