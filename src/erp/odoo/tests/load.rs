//! Planning calls of `load`: which columns, which rows, how many calls.

use std::collections::BTreeMap;

use serde_json::json;

use crate::domain::{ErpId, ExternalId, FieldValue, Fields};
use crate::erp::odoo::load::{Batch, parse_name, plan, read_result};
use crate::erp::{ErpError, FieldInfo, FieldTable, Lines, Save};

fn field(kind: &str, relation: Option<&str>) -> FieldInfo {
    FieldInfo {
        kind: kind.to_owned(),
        required: false,
        readonly: false,
        relation: relation.map(str::to_owned),
        digits: None,
    }
}

fn tables() -> BTreeMap<&'static str, FieldTable> {
    let table = |fields: &[(&str, &str, Option<&str>)]| {
        FieldTable(
            fields
                .iter()
                .map(|(name, kind, relation)| ((*name).to_owned(), field(kind, *relation)))
                .collect(),
        )
    };
    BTreeMap::from([
        (
            "sale.order",
            table(&[
                ("client_order_ref", "char", None),
                ("partner_id", "many2one", Some("res.partner")),
                ("order_line", "one2many", Some("sale.order.line")),
            ]),
        ),
        (
            "sale.order.line",
            table(&[
                ("name", "text", None),
                ("product_id", "many2one", Some("product.product")),
                ("product_uom_qty", "float", None),
                ("price_unit", "float", None),
                ("discount", "float", None),
                ("tax_ids", "many2many", Some("account.tax")),
                ("display_type", "selection", None),
                ("technical_price_unit", "float", None),
            ]),
        ),
    ])
}

fn id(name: &str) -> ExternalId {
    ExternalId::new(&"main".parse().unwrap(), name).unwrap()
}

fn fields(values: &[(&str, FieldValue)]) -> Fields {
    values
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect()
}

fn text(value: &str) -> FieldValue {
    FieldValue::Text(value.to_owned())
}

fn order(name: &str, header: &[(&str, FieldValue)], lines: &[(&str, Fields)]) -> Save {
    Save {
        model: "sale.order".to_owned(),
        external_id: id(name),
        fields: fields(header),
        lines: (!lines.is_empty()).then(|| Lines {
            field: "order_line".to_owned(),
            model: "sale.order.line".to_owned(),
            rows: lines
                .iter()
                .map(|(name, fields)| (id(name), fields.clone()))
                .collect(),
        }),
    }
}

fn planned(major: u32, saves: &[Save]) -> Vec<Batch> {
    let tables = tables();
    plan(major, saves, |model| tables.get(model)).unwrap()
}

#[test]
fn a_record_and_its_lines_are_one_call_with_the_versions_own_names() {
    let line = |taxes: &[i64]| {
        fields(&[
            ("name", text("Hat")),
            ("price_unit", FieldValue::Decimal("9.90".parse().unwrap())),
            (
                "tax_ids",
                FieldValue::Records(taxes.iter().map(|id| ErpId(*id)).collect()),
            ),
        ])
    };
    let save = order(
        "order_1",
        &[
            ("client_order_ref", text("#1001")),
            ("partner_id", FieldValue::Record(ErpId(7))),
        ],
        &[("order_1_line_1", line(&[4, 5])), ("order_1_line_2", line(&[]))],
    );
    for (major, taxes) in [(18, "order_line/tax_id/.id"), (19, "order_line/tax_ids/.id")] {
        let [batch] = &planned(major, std::slice::from_ref(&save))[..] else {
            panic!("one call")
        };
        assert_eq!(
            batch.columns,
            [
                "id",
                "client_order_ref",
                "partner_id/.id",
                "order_line/id",
                "order_line/name",
                "order_line/price_unit",
                taxes,
                "order_line/technical_price_unit",
            ]
        );
        let line_1 = "__lockstep_main__.order_1_line_1";
        let line_2 = "__lockstep_main__.order_1_line_2";
        assert_eq!(
            batch.rows,
            [
                [
                    "__lockstep_main__.order_1",
                    "#1001",
                    "7",
                    line_1,
                    "Hat",
                    "9.9",
                    "4,5",
                    "-1"
                ],
                ["", "", "", line_2, "Hat", "9.9", "", "-1"],
            ]
        );
    }
}

#[test]
fn only_fields_that_are_set_become_columns() {
    let saves = [
        order("order_1", &[("client_order_ref", text("a"))], &[]),
        order("order_2", &[("client_order_ref", FieldValue::Clear)], &[]),
        order("order_3", &[("partner_id", FieldValue::Clear)], &[]),
        order("order_4", &[], &[]),
    ];
    let batches = planned(18, &saves);
    let columns: Vec<(Vec<&str>, Vec<usize>)> = batches
        .iter()
        .map(|batch| {
            (
                batch.columns.iter().map(String::as_str).collect(),
                batch.saves.clone(),
            )
        })
        .collect();
    assert_eq!(
        columns,
        [
            (vec!["id", "client_order_ref"], vec![0, 1]),
            (vec!["id", "partner_id/.id"], vec![2]),
            (vec!["id"], vec![3]),
        ]
    );
}

#[test]
fn lines_with_other_fields_need_another_call_but_notes_do_not() {
    let product = |more: &[(&str, FieldValue)]| {
        let mut line = fields(&[
            ("name", text("Hat")),
            ("product_id", FieldValue::Record(ErpId(3))),
        ]);
        line.extend(fields(more));
        line
    };
    let ten = FieldValue::Decimal("10".parse().unwrap());
    let note = fields(&[("name", text("Thank you")), ("display_type", text("line_note"))]);
    let save = order(
        "order_1",
        &[("client_order_ref", text("#1"))],
        &[
            ("l1", product(&[])),
            ("l2", product(&[("discount", ten.clone())])),
            ("l3", note),
            ("l4", product(&[("discount", ten)])),
        ],
    );
    let batches = planned(18, &[save]);
    assert_eq!(batches.len(), 2);
    let ids = |batch: &Batch| -> Vec<String> {
        let column = batch
            .columns
            .iter()
            .position(|name| name == "order_line/id")
            .unwrap();
        batch
            .rows
            .iter()
            .map(|row| row[column].replace("__lockstep_main__.", ""))
            .collect()
    };
    assert_eq!(ids(&batches[0]), ["l2", "l4", "l3"]);
    assert!(batches[0].columns.contains(&"client_order_ref".to_owned()));
    assert_eq!(ids(&batches[1]), ["l1"]);
    assert_eq!(
        batches[1].columns,
        [
            "id",
            "order_line/id",
            "order_line/name",
            "order_line/product_id/.id"
        ]
    );
    assert_eq!(
        batches[1].rows[0][0], "__lockstep_main__.order_1",
        "the record is named again"
    );
}

#[test]
fn unknown_and_doubled_fields_are_refused_before_anything_is_sent() {
    let tables = tables();
    for (name, header) in [
        ("unknown", vec![("mobile", text("1"))]),
        (
            "twice",
            vec![("client_order_ref", text("1")), ("client_order_ref", text("2"))],
        ),
    ] {
        let saves = [order("order_1", &header, &[])];
        let result = plan(18, &saves, |model| tables.get(model));
        assert!(matches!(result, Err(ErpError::Setup { .. })), "{name}");
    }
}

#[test]
fn a_failed_load_is_read_from_its_messages() {
    let batch = Batch {
        model: "sale.order".to_owned(),
        columns: vec!["id".to_owned()],
        rows: vec![vec!["a.b".to_owned()]],
        saves: vec![0],
    };
    let message = |text: &str| {
        json!({"ids": false, "nextrow": 0, "messages": [
            {"type": "warning", "record": 0, "field": "x", "message": "harmless"},
            {"type": "error", "record": 0, "field": "partner_id", "message": text},
        ]})
    };
    for (name, result, expected) in [
        (
            "race",
            message("could not serialize access due to concurrent update"),
            "erp_busy",
        ),
        (
            "duplicate",
            message("duplicate key value violates unique constraint \"x\"\nDETAIL: Key (a)=(b)"),
            "erp_busy",
        ),
        (
            "value",
            message("No matching record found for database id '999'"),
            "erp_rejected",
        ),
        ("no words", json!({"ids": false, "messages": []}), "erp_nonsense"),
        (
            "other count",
            json!({"ids": [1, 2], "messages": []}),
            "erp_nonsense",
        ),
        ("no object", json!([1]), "erp_nonsense"),
    ] {
        let error = read_result(&batch, &result).unwrap_err();
        assert_eq!(error.code(), expected, "{name}");
        assert!(!error.to_string().contains("DETAIL"), "{name}: {error}");
    }
    let error = read_result(&batch, &message("No matching record")).unwrap_err();
    assert!(
        error.to_string().ends_with("partner_id: No matching record"),
        "{error}"
    );
    assert_eq!(
        read_result(&batch, &json!({"ids": [30], "messages": []})).unwrap(),
        [ErpId(30)]
    );
}

#[test]
fn only_names_that_lockstep_gave_are_read_as_such() {
    for (full, expected) in [
        ("__lockstep_main__.order_1", Some(("main", "order_1"))),
        ("__lockstep_eu-2__.order_1", Some(("eu-2", "order_1"))),
        ("__import__.order_1", None),
        ("__lockstep_main__.a b", None),
        ("__lockstep_Main__.a", None),
        ("__lockstep_main__", None),
        ("__lockstep_", None),
        ("", None),
    ] {
        let parsed = parse_name(full);
        assert_eq!(
            parsed.as_ref().map(|id| (id.shop.as_str(), id.name.as_str())),
            expected,
            "{full}"
        );
    }
}
