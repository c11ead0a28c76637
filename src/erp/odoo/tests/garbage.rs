//! Answers that make no sense are errors: never a panic, and never taken for something else.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::scripted::Scripted;
use crate::erp::odoo::{orders, wire};

/// JSON of any shape, with the words that answers use among its keys.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    let keys = prop_oneof![
        Just("result".to_owned()),
        Just("error".to_owned()),
        Just("data".to_owned()),
        Just("name".to_owned()),
        Just("message".to_owned()),
        Just("jsonrpc".to_owned()),
        Just("ids".to_owned()),
        Just("messages".to_owned()),
        Just("id".to_owned()),
        Just("order_line".to_owned()),
        Just("state".to_owned()),
        Just("amount_total".to_owned()),
        ".{0,5}",
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((keys.clone(), inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn garbage_is_an_error_and_never_a_panic(value in any_json(), status in 100_u16..600) {
        let body = value.to_string();
        drop(wire::read_json_rpc(status, body.as_bytes()));
        drop(wire::read_json2(status, body.as_bytes()));
        drop(orders::parse_order(&value, "tax_ids"));
        for kind in ["char", "integer", "monetary", "many2one", "many2many", "date", "datetime", "boolean", "selection"] {
            drop(crate::erp::odoo::value::decode(kind, &value));
        }
        let batch = crate::erp::odoo::load::Batch {
            model: "sale.order".to_owned(),
            columns: vec!["id".to_owned()],
            rows: vec![vec!["a.b".to_owned()]],
            saves: vec![0],
        };
        drop(crate::erp::odoo::load::read_result(&batch, &value));
        if let Ok(wire::Reply::Fault(fault)) = wire::read_json2(status, body.as_bytes()) {
            drop(fault.clone().into_error(fault.meaning(6), "res.partner", "write", None));
        }
    }

    #[test]
    fn bytes_that_are_no_json_are_an_error(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        drop(wire::read_json_rpc(200, &bytes));
        drop(wire::read_json2(500, &bytes));
    }
}

/// Asks everything that the trait offers, each with `answers` of any shape. Nothing may panic; what is answered counts.
async fn ask_everything(odoo: &crate::erp::odoo::Odoo, server: &Scripted, answers: &[Value]) {
    use crate::domain::{ErpId, ExternalId, FieldValue, LookUp, Scalar, ShopifyId};
    use crate::erp::{Erp as _, Find, Lines, Needs, ProductSave, Save, VariantSave};
    let script = || {
        // As many as an operation can want; what is left over belongs to the next one.
        for answer in answers.iter().cycle().take(12) {
            server.then(server.result(answer));
        }
    };
    let id = ExternalId::new(&"main".parse().unwrap(), "order_1").unwrap();
    let name = || vec![("name".to_owned(), FieldValue::Text("x".to_owned()))];
    let save = Save {
        model: "sale.order".to_owned(),
        external_id: id.clone(),
        fields: name(),
        lines: Some(Lines {
            field: "order_line".to_owned(),
            model: "sale.order.line".to_owned(),
            rows: vec![(id.clone(), name())],
        }),
    };
    let find = Find {
        model: "res.partner".to_owned(),
        equal: name(),
        one_of: Some(("name".to_owned(), vec![FieldValue::Text("x".to_owned())])),
        fields: vec!["name".to_owned()],
        limit: 5,
    };
    let product = ProductSave {
        external_id: id.clone(),
        existing: None,
        fields: name(),
        options: vec![("Size".to_owned(), vec!["S".to_owned()])],
        variants: vec![VariantSave {
            id: ShopifyId(1),
            existing: Some(ErpId(3)),
            options: vec![("Size".to_owned(), "S".to_owned())],
            fields: name(),
        }],
    };
    let when = crate::domain::Timestamp::from_millis(0);
    script();
    drop(odoo.identify(&id).await);
    drop(odoo.external_ids("sale.order", &[ErpId(1)]).await);
    drop(odoo.fields("sale.order").await);
    drop(odoo.find(&find).await);
    drop(odoo.read("sale.order", &[ErpId(1)], &["name".to_owned()]).await);
    script();
    drop(odoo.save(&[save]).await);
    drop(odoo.update("res.partner", ErpId(1), &name()).await);
    drop(odoo.set_active("res.partner", ErpId(1), false).await);
    drop(odoo.declared("sale.order").await);
    drop(odoo.order(ErpId(1)).await);
    script();
    drop(odoo.remove_order_lines(ErpId(1), &[ErpId(2)]).await);
    drop(odoo.confirm_order(ErpId(1), when).await);
    drop(odoo.cancel_order(ErpId(1), true).await);
    script();
    drop(odoo.save_product(&product).await);
    drop(odoo.variants(ErpId(1)).await);
    script();
    for kind in crate::domain::LOOK_UP_KINDS {
        let keys = kind.required.iter().map(|key| {
            let value = match *key {
                "rate" => Scalar::Decimal(rust_decimal::Decimal::ONE),
                "included" => Scalar::Bool(true),
                "model" => Scalar::Text("res.partner".to_owned()),
                _ => Scalar::Text("DE".to_owned()),
            };
            ((*key).to_owned(), value)
        });
        let look_up = LookUp {
            kind: kind.name.to_owned(),
            keys: keys.collect(),
        };
        drop(odoo.look_up(&look_up).await);
    }
    script();
    let needs = Needs {
        fields: [(
            "res.partner".to_owned(),
            vec![crate::domain::FieldNeed {
                name: "name".to_owned(),
                optional: false,
                written: true,
                place: "customer.in.toml:20".to_owned(),
            }],
        )]
        .into(),
        services: vec!["shipping".to_owned()],
        currencies: vec!["EUR".to_owned()],
        languages: vec!["de_DE".to_owned()],
    };
    drop(odoo.check(&needs).await);
}

proptest! {
    // Each case speaks to a server; a few of them go far in depth already.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_answer_makes_any_operation_panic(answers in prop::collection::vec(any_json(), 1..5), json2: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = Scripted::start(json2, []).await;
            ask_everything(&super::scripted(&server), &server, &answers).await;
        });
    }
}

#[tokio::test]
async fn garbage_results_are_errors_in_every_operation() {
    use crate::domain::{ErpId, ExternalId, LookUp, Scalar};
    use crate::erp::{Erp as _, Find, Save};
    let id = ExternalId::new(&"main".parse().unwrap(), "order_1").unwrap();
    let table = json!({"name": {"type": "char"}, "state": {"type": "selection"}});
    for garbage in [
        json!(null),
        json!(7),
        json!("x"),
        json!([]),
        json!([7]),
        json!({}),
        json!([{"id": "x"}]),
        json!([[]]),
    ] {
        for json2 in [false, true] {
            let server = Scripted::start(json2, []).await;
            let odoo = super::scripted(&server);
            let script = |tables: usize| {
                for _ in 0..tables {
                    server.then(server.result(&table));
                }
                server.then(server.result(&garbage));
            };
            script(0);
            drop(odoo.identify(&id).await);
            script(0);
            drop(odoo.external_ids("sale.order", &[ErpId(1)]).await);
            script(2);
            drop(odoo.order(ErpId(1)).await);
            script(0);
            let find = Find {
                model: "sale.order".to_owned(),
                equal: Vec::new(),
                one_of: None,
                fields: vec!["name".to_owned()],
                limit: 5,
            };
            drop(odoo.find(&find).await);
            script(0);
            drop(odoo.read("sale.order", &[ErpId(1)], &["name".to_owned()]).await);
            script(0);
            let save = Save {
                model: "sale.order".to_owned(),
                external_id: id.clone(),
                fields: Vec::new(),
                lines: None,
            };
            assert!(odoo.save(&[save]).await.is_err(), "{garbage}");
            script(0);
            let look_up = LookUp {
                kind: "country".to_owned(),
                keys: [("code".to_owned(), Scalar::Text("DE".to_owned()))].into(),
            };
            drop(odoo.look_up(&look_up).await);
            script(0);
            drop(odoo.cancel_order(ErpId(1), true).await);
            script(0);
            drop(odoo.variants(ErpId(1)).await);
        }
    }
}
