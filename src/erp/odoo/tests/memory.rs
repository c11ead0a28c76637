//! What is remembered of a server, and how it is forgotten.

use serde_json::json;

use super::scripted::Scripted;
use crate::domain::{ErpId, ExternalId, FieldValue};
use crate::erp::{Erp as _, ErpError, Save};

#[tokio::test]
async fn a_field_that_was_missing_is_seen_once_everything_is_forgotten() {
    let save = Save {
        model: "res.partner".to_owned(),
        external_id: ExternalId::new(&"main".parse().unwrap(), "customer_1").unwrap(),
        fields: vec![("x_shop".to_owned(), FieldValue::Text("x".to_owned()))],
        lines: None,
    };
    for json2 in [false, true] {
        let server = Scripted::start(json2, []).await;
        let odoo = super::scripted(&server);
        server.then(server.result(&json!({"name": {"type": "char"}})));
        let error = odoo.save(std::slice::from_ref(&save)).await.unwrap_err();
        assert!(matches!(error, ErpError::Setup { .. }), "{error}");
        // The module is installed; what is remembered would still say no.
        assert!(odoo.save(std::slice::from_ref(&save)).await.is_err());
        odoo.forget_everything();
        server.then(server.result(&json!({"name": {"type": "char"}, "x_shop": {"type": "char"}})));
        server.then(server.result(&json!({"ids": [5], "messages": []})));
        assert_eq!(odoo.save(std::slice::from_ref(&save)).await.unwrap(), [ErpId(5)]);
    }
}

#[tokio::test]
async fn a_server_that_was_upgraded_under_us_is_seen_after_a_refusal() {
    let server = Scripted::start(false, []).await;
    let odoo = super::scripted(&server);
    assert_eq!(odoo.about().await.unwrap().major, 18);
    server.take_json_rpc_away();
    assert_eq!(
        odoo.about().await.unwrap().major,
        18,
        "nobody had a reason to look"
    );
    odoo.forget_look_ups();
    let about = odoo.about().await.unwrap();
    assert_eq!((about.major, about.protocol.as_str()), (22, "json-2"));
    assert_eq!(server.logins(), 2);
}
