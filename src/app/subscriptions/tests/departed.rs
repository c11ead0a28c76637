//! Shops that are not declared any more, looked at by several nodes.

use super::*;
use crate::domain::NewProblem;

fn config_without_main() -> Config {
    let text = "[shops.other]\ndomain = 'other.myshopify.com'\naccess_token = 'shpat_1'\nwebhook_secrets = ['secret']\n\
                [shops.other.odoo]\nurl = 'https://erp.example.com'\ndatabase = 'prod'\nlogin = 'a@example.com'\napi_key = 'k'\n";
    Config::parse(text, std::path::Path::new("lockstep.toml"), &|_| None).unwrap()
}

fn wrong(code: &str) -> NewProblem {
    NewProblem {
        code: code.into(),
        record: None,
        field: None,
        reason: "a test".to_owned(),
        fix: "none".to_owned(),
        owner: "operator".to_owned(),
        mapping: None,
        cluster: code.to_owned(),
        detail: serde_json::Value::Null,
    }
}

#[tokio::test]
async fn a_node_without_the_credentials_leaves_what_the_one_with_them_told() {
    let sandbox = sandbox().await;
    let here = Here::new(&sandbox, ORDERS).await;
    here.apply().await;
    let config = config_without_main();
    let (saw_it, started_since) = (Departed::default(), Departed::default());
    saw_it.insert(here.target.clone());
    let look = async |departed: &Departed| note_departed(&here.at, &config, departed).await.unwrap().len();
    assert_eq!(look(&started_since).await, 1);
    assert_eq!(look(&saw_it).await, 1, "more is known now");
    let told = here.problems().await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].problem.detail["plan"].as_array().map(Vec::len), Some(8));
    for _ in 0..3 {
        assert_eq!((look(&started_since).await, look(&saw_it).await), (0, 0));
    }
    assert_eq!(
        here.problems().await[0].id,
        told[0].id,
        "not closed and opened anew"
    );
}

#[tokio::test]
async fn what_was_wrong_with_a_shop_that_nobody_declares_is_over() {
    let sandbox = sandbox().await;
    let here = Here::new(&sandbox, ORDERS).await;
    let now = here.at.clock.now();
    let other: ShopName = "other".parse().unwrap();
    for shop in [&here.target.name, &other] {
        for code in [SCOPE_MISSING, TWIN_INSTALLATION, "something_else"] {
            here.at
                .store
                .open_shop_problem(shop, wrong(code), now)
                .await
                .unwrap();
        }
    }
    note_departed(&here.at, &config_without_main(), &Departed::default())
        .await
        .unwrap();
    let left: BTreeSet<String> = here
        .problems()
        .await
        .into_iter()
        .map(|row| format!("{} {}", row.shop, row.problem.code))
        .collect();
    assert_eq!(
        left.into_iter().collect::<Vec<_>>(),
        [
            "main something_else",
            "other scope_missing",
            "other something_else",
            "other twin_installation"
        ]
    );
}
