//! Tables of single shops: laid over the mapping's, checked at their place, and never used while they say TODO.

use std::collections::HashMap;

use miette::{GraphicalReportHandler, GraphicalTheme};

use super::super::{Mapping, MappingErrors, Mappings, ShopFacts, Source, TODO};
use super::samples;
use crate::domain::{Canonical as _, Direction, FieldValue, Object};
use crate::shopify::AdminSchema;

const ORDER: &str = r#"version = 1
erp = "odoo"
object = "order"
direction = "in"
owner = "order desk"
note = "for tests"
model = "sale.order"
external_id = "order_{order.id}"

[fields]
x_journal = { first_of = [{ value = "order.gateways | first", table = "journal" }, { constant = "Other" }], missing = "skip" }

[stage]
value = "order.financial_status"
table = "stage"
default = "quotation"

[tables.journal]
paypal = "PayPal"
bogus = "Test money"

[tables.stage]
paid = "confirmed"
"#;

fn load(tables: &[(&str, &str)]) -> Result<Mappings, MappingErrors> {
    let mut sources = vec![source("order.in.toml", ORDER)];
    sources.extend(tables.iter().map(|(file, text)| source(file, text)));
    Mappings::from_sources(sources, &AdminSchema)
}

fn source(file: &str, text: &str) -> Source {
    Source {
        file: file.to_owned(),
        text: text.to_owned(),
    }
}

/// What becomes of `x_journal` for this gateway, or the code and the words of the problem.
fn journal(mapping: &Mapping, gateway: &str) -> Result<Option<FieldValue>, String> {
    let mut order = samples::order();
    order.gateways = vec![gateway.to_owned()];
    let (fact, settings) = (order.fact(), ShopFacts::default().fact());
    match mapping.evaluate(&fact, &settings, &HashMap::new()) {
        Ok(mapped) => {
            let mut fields = mapped.fields.into_iter();
            Ok(fields
                .find(|field| &*field.target == "x_journal")
                .map(|field| field.value))
        }
        Err(problems) => Err(problems
            .iter()
            .map(|problem| format!("{}: {} {}", problem.code, problem.reason, problem.fix))
            .collect::<Vec<_>>()
            .join("; ")),
    }
}

#[test]
fn a_shops_tables_count_for_that_shop_only_entry_by_entry() {
    let mappings = load(&[(
        "tables.paris.toml",
        "[tables.journal]\npaypal = \"PayPal Paris\"\nklarna = \"Klarna\"\n",
    )])
    .unwrap();
    let of = |shop| mappings.of_shop(shop, Object::Order, Direction::In).unwrap();
    let text = |text: &str| Ok(Some(FieldValue::Text(text.to_owned())));
    for (shop, gateway, expected) in [
        ("main", "paypal", "PayPal"),
        ("main", "klarna", "Other"),
        ("paris", "paypal", "PayPal Paris"),
        ("paris", "klarna", "Klarna"),
        ("paris", "bogus", "Test money"),
    ] {
        assert_eq!(journal(of(shop), gateway), text(expected), "{shop} {gateway}");
    }
    assert_eq!(mappings.shops().collect::<Vec<_>>(), ["paris"]);
    let without = load(&[]).unwrap();
    assert_ne!(
        without.revision(),
        mappings.revision(),
        "they belong to what is in force"
    );
}

#[test]
fn an_entry_that_says_todo_is_counted_and_waits_for_a_person_whatever_the_rule_says() {
    let mappings = load(&[(
        "tables.main.toml",
        "[tables.journal]\n# candidates: Bank\nbogus = \"TODO\"\nklarna = \"TODO\"\n[tables.carrier]\nDHL = \"TODO\"\n",
    )])
    .unwrap();
    let todos: Vec<(&str, usize, &str, &str)> = mappings
        .todos()
        .iter()
        .map(|todo| {
            (
                todo.file.as_str(),
                todo.line,
                todo.table.as_str(),
                todo.key.as_str(),
            )
        })
        .collect();
    assert_eq!(
        todos,
        [
            ("tables.main.toml", 3, "journal", "bogus"),
            ("tables.main.toml", 4, "journal", "klarna"),
            ("tables.main.toml", 6, "carrier", "DHL"),
        ]
    );
    let mapping = mappings.of_shop("main", Object::Order, Direction::In).unwrap();
    // The rule has another choice and `missing = "skip"`: neither is an answer to what was meant to be filled in.
    for (gateway, line) in [("bogus", 3), ("klarna", 4)] {
        let told = journal(mapping, gateway).unwrap_err();
        for part in [
            "table_entry_todo",
            gateway,
            "tables.main.toml",
            &format!("line {line}"),
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
    assert_eq!(
        journal(mapping, "paypal"),
        Ok(Some(FieldValue::Text("PayPal".to_owned())))
    );
}

#[test]
fn an_entry_that_says_todo_is_not_skipped_as_if_the_erp_had_no_such_record() {
    let field = "x_tax = { look_up = { kind = \"tax\", rate = \"'19' | decimal\", included = \"order.taxes_included\" }, \
                 table = \"tax\", not_found = \"skip\" }\n";
    let text = ORDER.replace("[fields]\n", &format!("[fields]\n{field}")) + "[tables.tax]\n";
    let todo = "[tables.tax]\n\"19 included\" = \"TODO\"\n\"19 not included\" = \"TODO\"\n";
    let sources = vec![source("order.in.toml", &text), source("tables.main.toml", todo)];
    let mappings = Mappings::from_sources(sources, &AdminSchema).unwrap();
    let mapping = mappings.of_shop("main", Object::Order, Direction::In).unwrap();
    let told = journal(mapping, "paypal").unwrap_err();
    assert!(
        told.contains("table_entry_todo") && told.contains("tables.main.toml"),
        "{told}"
    );
}

#[test]
fn a_table_of_which_nothing_is_filled_in_is_no_mistake() {
    let all = format!("[tables.journal]\npaypal = \"{TODO}\"\nbogus = \"{TODO}\"\n");
    let mappings = load(&[("tables.main.toml", &all)]).unwrap();
    let mapping = mappings.of_shop("main", Object::Order, Direction::In).unwrap();
    assert!(
        journal(mapping, "paypal")
            .unwrap_err()
            .contains("table_entry_todo")
    );
}

#[test]
fn mistakes_are_shown_where_they_stand() {
    let mut shown = String::new();
    for (name, text) in [
        ("no toml", "[tables.journal\n"),
        ("a key beside the tables", "[journal]\npaypal = \"PayPal\"\n"),
        (
            "a table that nothing reads",
            "[tables.journel]\npaypal = \"PayPal\"\n",
        ),
        ("a list", "[tables.journal]\npaypal = [\"PayPal\"]\n"),
        ("two kinds", "[tables.carrier]\na = 1\nb = \"x\"\n"),
        (
            "another kind than the mapping's",
            "[tables.journal]\npaypal = 7\n",
        ),
        (
            "a status that never is",
            "[tables.stage]\npayed = \"confirmed\"\n",
        ),
        ("no stage", "[tables.stage]\npending = \"confirm\"\n"),
    ] {
        let errors = load(&[("tables.main.toml", text)]).expect_err(name);
        let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor()).with_width(120);
        shown.extend(["--- ", name, "\n"]);
        for error in &errors.errors {
            assert_eq!(error.file, "tables.main.toml", "{name}: {error}");
            handler.render_report(&mut shown, error).unwrap();
        }
    }
    insta::assert_snapshot!("tables_of_a_shop", shown);
}
