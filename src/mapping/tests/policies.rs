//! What happens when a value is not there: each policy, for each way in which it can be missing.

use std::collections::HashMap;

use super::super::{Mapped, Mappings, Source};
use super::samples::*;
use crate::domain::{Canonical as _, Direction, ErpId, Fact, FieldValue, Need, Needed, Object, Order};
use crate::shopify::AdminSchema;

const HEAD: &str = r#"version = 1
erp = "odoo"
object = "order"
direction = "in"
owner = "order desk"
note = "for tests"
model = "sale.order"
external_id = "order_{order.id}"
"#;

const SELECT: &str = r#"select = 'weight: metafield(namespace: "own", key: "weight") { json: jsonValue value }'
"#;

/// How one field came out.
#[derive(Debug, PartialEq)]
enum Out {
    Value(FieldValue),
    Absent,
    /// A problem with this code, by this owner.
    Problem(&'static str),
    Held(&'static str),
}

fn text(value: &str) -> Out {
    Out::Value(FieldValue::Text(value.into()))
}

/// Evaluates `[fields]` with one field `x`, every need answered by `answer`.
fn evaluate(rule: &str, rest: &str, record: &Fact, answer: Option<&Needed>) -> Out {
    let source = Source {
        file: "order.in.toml".into(),
        text: format!(
            "{HEAD}{}[fields]\nx = {rule}\n{rest}",
            if rule.contains("raw") { SELECT } else { "" }
        ),
    };
    let mappings = Mappings::from_sources(vec![source], &AdminSchema)
        .unwrap_or_else(|errors| panic!("{rule}: {errors}"));
    let mapping = mappings.get(Object::Order, Direction::In).unwrap();
    let settings = settings(Some("7"));
    let answers: HashMap<Need, Needed> = mapping
        .needs(record, &settings)
        .into_iter()
        .filter_map(|need| answer.map(|answer| (need, answer.clone())))
        .collect();
    let known = |code: &str| -> &'static str {
        [
            "missing_value",
            "not_in_table",
            "not_linked",
            "country_not_found",
            "country_ambiguous",
            "not_gathered",
            "expression_failed",
            "wrong_kind_of_value",
        ]
        .into_iter()
        .find(|known| *known == code)
        .unwrap_or_else(|| panic!("{rule}: unexpected code {code}"))
    };
    match mapping.evaluate(record, &settings, &answers) {
        Ok(Mapped { held, .. }) if !held.is_empty() => Out::Held(known(&held[0].code)),
        Ok(mapped) => mapped
            .field("x")
            .map_or(Out::Absent, |field| Out::Value(field.value.clone())),
        Err(problems) => {
            assert_eq!(problems.len(), 1, "{rule}: {problems:#?}");
            let problem = problems[0].problem(Some("#1042"));
            assert!(
                !problem.reason.is_empty() && !problem.fix.is_empty() && problem.owner == "order desk",
                "{problem:?}"
            );
            let line = if rule.contains("raw") { 11 } else { 10 };
            let expected = format!("order.in.toml:{line}");
            assert_eq!(problem.mapping.as_deref(), Some(&*expected), "{rule}");
            Out::Problem(known(&problems[0].code))
        }
    }
}

/// An order without e-mail and phone, with a country that is there.
fn record() -> Order {
    Order {
        email: None,
        phone: Some("  ".into()),
        ..order()
    }
}

#[test]
fn each_policy_applies_when_the_source_is_empty() {
    let record = record().fact();
    for source in [
        "order.email",
        "order.phone",
        "order.email | upper",
        "order.raw.customer.displayName",
        "order.tags | first",
    ] {
        for (policy, expected) in [
            ("missing = \"fail\"", Out::Problem("missing_value")),
            ("missing = \"skip\"", Out::Absent),
            ("missing = \"clear\"", Out::Value(FieldValue::Clear)),
            ("missing = \"hold\"", Out::Held("missing_value")),
            ("default = \"none\"", text("none")),
        ] {
            let rule = format!("{{ value = \"{source}\", type = \"text\", {policy} }}");
            assert_eq!(evaluate(&rule, "", &record, None), expected, "{rule}");
        }
    }
}

#[test]
fn the_first_choice_with_a_value_is_taken() {
    let record = record().fact();
    let tables = "[tables.t]\npaid = \"yes\"\n[tables.u]\npending = \"later\"\n";
    for (rule, expected) in [
        (r#"["order.email", "order.name"]"#, text("#1042")),
        (
            r#"[{ value = "order.name", when = "order.test" }, "order.currency"]"#,
            text("EUR"),
        ),
        (
            r#"{ first_of = ["order.email", "order.phone"], missing = "clear" }"#,
            Out::Value(FieldValue::Clear),
        ),
        (
            r#"{ first_of = ["order.email", "order.phone"], default = "-" }"#,
            text("-"),
        ),
        // A single one with a condition is left alone when that does not hold; the last of several is not.
        (r#"{ value = "order.name", when = "order.test" }"#, Out::Absent),
        (
            r#"[{ value = "order.name", when = "order.test" }, { value = "order.name", when = "order.edited" }]"#,
            Out::Problem("missing_value"),
        ),
        (
            r#"{ value = "order.financial_status", table = "t", missing = "fail" }"#,
            text("yes"),
        ),
        (
            r#"{ value = "order.financial_status", table = "u", missing = "fail" }"#,
            Out::Problem("not_in_table"),
        ),
        (
            r#"{ value = "order.financial_status", table = "u", missing = "skip" }"#,
            Out::Absent,
        ),
        (
            r#"{ value = "order.financial_status", table = "u", default = "other" }"#,
            text("other"),
        ),
        (
            r#"[{ value = "order.financial_status", table = "u" }, "order.name"]"#,
            text("#1042"),
        ),
    ] {
        assert_eq!(evaluate(rule, tables, &record, None), expected, "{rule}");
    }
}

#[test]
fn each_policy_applies_when_the_erp_has_no_such_record() {
    let record = record().fact();
    let look_up =
        r#"look_up = { kind = "country", code = "order.billing_address.country_code" }, missing = "skip""#;
    let link = r#"link = "customer", id = "order.customer.id", missing = "skip""#;
    let found = Needed::Found(ErpId(5));
    let several = Needed::Ambiguous(vec![ErpId(1), ErpId(2)]);
    let five = || Out::Value(FieldValue::Record(ErpId(5)));
    for (source, not_found) in [(look_up, "country_not_found"), (link, "not_linked")] {
        let not_found = || not_found;
        for (policy, answer, expected) in [
            ("fail", &found, five()),
            ("fail", &Needed::Missing, Out::Problem(not_found())),
            ("skip", &Needed::Missing, Out::Absent),
            ("clear", &Needed::Missing, Out::Value(FieldValue::Clear)),
            ("hold", &Needed::Missing, Out::Held(not_found())),
        ] {
            let rule = format!("{{ {source}, not_found = \"{policy}\" }}");
            assert_eq!(
                evaluate(&rule, "", &record, Some(answer)),
                expected,
                "{rule} {answer:?}"
            );
        }
        let rule = format!("{{ {source}, not_found = \"skip\" }}");
        assert_eq!(
            evaluate(&rule, "", &record, None),
            Out::Problem("not_gathered"),
            "never taken for missing: {rule}"
        );
    }
    // That there are several is not passed over, whatever is said about none.
    for (policy, expected) in [
        ("skip", Out::Problem("country_ambiguous")),
        ("clear", Out::Problem("country_ambiguous")),
        ("hold", Out::Held("country_ambiguous")),
    ] {
        let rule = format!("{{ {look_up}, not_found = \"{policy}\" }}");
        assert_eq!(evaluate(&rule, "", &record, Some(&several)), expected, "{rule}");
    }
}

#[test]
fn a_value_is_written_only_if_the_erp_has_it() {
    let record = record().fact();
    let rule = r#"{ value = "order.currency", if_found = { kind = "currency", code = "value" }, not_found = "skip" }"#;
    assert_eq!(
        evaluate(rule, "", &record, Some(&Needed::Found(ErpId(3)))),
        text("EUR")
    );
    assert_eq!(evaluate(rule, "", &record, Some(&Needed::Missing)), Out::Absent);
}

#[test]
fn filters_do_what_the_manual_says() {
    let record = record().fact();
    let decimal = |text: &str| Out::Value(FieldValue::Decimal(number(text)));
    for (expression, expected) in [
        // Amounts: exact, and half is rounded away from zero.
        ("order.totals.total | times('0.1')", decimal("5.490")),
        (
            "order.totals.total | plus(order.totals.tax) | minus(1)",
            decimal("62.35"),
        ),
        ("order.totals.tax | negate", decimal("-8.45")),
        ("order.totals.tax | negate | absolute", decimal("8.45")),
        ("'2.345' | decimal | round_to(2)", decimal("2.35")),
        ("'-2.345' | decimal | round_to(2)", decimal("-2.35")),
        ("order.totals.tax | fixed(1)", text("8.5")),
        ("order.totals.shipping | fixed(3)", text("4.900")),
        ("order.totals.tax | cents", Out::Value(FieldValue::Integer(845))),
        ("order.lines | sum('discount')", decimal("2.00")),
        ("order.lines | pluck('amount') | sum", decimal("54.90")),
        // Texts.
        ("order.name | replace('#', '')", text("1042")),
        (
            "'a, b,,c' | split(',') | joined('/') | default('')",
            text("a/b/c"),
        ),
        (
            "[order.name, order.email | default(''), order.name] | joined(' ') | default('')",
            text("#1042"),
        ),
        (
            "'  Ada@EXAMPLE.com ' | normal_email | default('?')",
            text("ada@example.com"),
        ),
        ("'no address' | normal_email | default('?')", text("?")),
        ("'030 123456' | phone(order.email, 'DE')", text("+4930123456")),
        ("'030 123456' | phone(order.email)", text("030 123456")),
        ("'<a>\\n&' | html", text("&lt;a&gt;<br>&amp;")),
        (
            "'<!channel> & <https://a.b|x>' | slack",
            text("&lt;!channel&gt; &amp; &lt;https://a.b|x&gt;"),
        ),
        ("order.name | truncate(3) | lower", text("#10")),
        ("'+49 (30) 1' | digits", text("49301")),
        ("order.id ~ '-' ~ (order.lines | count)", text("1001-4")),
        // Lists and times.
        (
            "order.lines | pluck('title') | last | default('')",
            text("Standard"),
        ),
        ("(order.lines | first).title | default('')", text("Mug")),
        (
            "'2026-11-20' if order.processed_at < order.updated_at else 'x'",
            text("2026-11-20"),
        ),
        ("order.email or order.phone or order.name", text("#1042")),
        (
            "order.test or order.financial_status in ['paid', 'pending']",
            Out::Value(FieldValue::Bool(true)),
        ),
        (
            "not (order.totals.total is zero)",
            Out::Value(FieldValue::Bool(true)),
        ),
        (
            "order.totals.total > ('54.89' | decimal)",
            Out::Value(FieldValue::Bool(true)),
        ),
        (
            "order.totals.total == ('54.900' | decimal)",
            Out::Value(FieldValue::Bool(true)),
        ),
        (
            "order.totals.total == order.totals.received",
            Out::Value(FieldValue::Bool(true)),
        ),
    ] {
        let rule = format!("\"{}\"", expression.replace('\\', "\\\\"));
        assert_eq!(evaluate(&rule, "", &record, None), expected, "{expression}");
    }
    let day = r#"{ value = "order.processed_at | date('America/New_York')", type = "date" }"#;
    let expected = Out::Value(FieldValue::Date("2026-11-20".parse().unwrap()));
    assert_eq!(evaluate(day, "", &record, None), expected);
}

#[test]
fn the_shops_own_record_is_read_and_unchecked_values_only_as_the_declared_type() {
    let record = record().fact();
    for (rule, expected) in [
        (
            r#"{ value = "order.raw.poNumber", type = "text", missing = "skip" }"#,
            text("P-1"),
        ),
        (
            r#"{ value = "order.raw.weight.json", type = "decimal", missing = "skip" }"#,
            Out::Value(FieldValue::Decimal(number("1.25"))),
        ),
        (
            r#"{ value = "order.raw.weight.json | times('2')", missing = "skip" }"#,
            Out::Value(FieldValue::Decimal(number("2.50"))),
        ),
        (
            r#"{ value = "order.raw.weight.json", missing = "skip", type = "boolean" }"#,
            Out::Problem("wrong_kind_of_value"),
        ),
        (
            r#"{ value = "order.raw.poNumber | decimal", missing = "skip" }"#,
            Out::Problem("expression_failed"),
        ),
        // What the schema knows needs no type.
        (
            r#"{ value = "order.raw.weight.value", missing = "skip" }"#,
            text("1.25"),
        ),
        (
            r#"{ value = "order.raw.weight.value | decimal", missing = "skip" }"#,
            Out::Value(FieldValue::Decimal(number("1.25"))),
        ),
        (
            r#"{ value = "order.raw.customAttributes | attribute('channel')", missing = "skip" }"#,
            text("till 4"),
        ),
        (
            r#"{ value = "order.raw.customAttributes | attribute('colour')", missing = "fail" }"#,
            Out::Problem("missing_value"),
        ),
    ] {
        assert_eq!(evaluate(rule, "", &record, None), expected, "{rule}");
    }
}

#[test]
fn a_combined_tax_is_asked_for_once_and_none_is_said_explicitly() {
    let rule = r#"{ when = "order.tags", look_up = { kind = "tax", rate = "order.lines | sum('discount')", included = "order.taxes_included" }, type = "records", missing = "clear" }"#;
    let found = Needed::Found(ErpId(5));
    let taxed = Order {
        tags: vec!["a".into()],
        ..order()
    }
    .fact();
    assert_eq!(
        evaluate(rule, "", &taxed, Some(&found)),
        Out::Value(FieldValue::Records(vec![ErpId(5)]))
    );
    assert_eq!(
        evaluate(rule, "", &order().fact(), Some(&found)),
        Out::Value(FieldValue::Records(vec![]))
    );
}
