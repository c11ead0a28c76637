//! Every mistake that a mapping can contain is found at load, at its place, with words that help.

use std::fmt::Write as _;

use miette::{GraphicalReportHandler, GraphicalTheme};

use super::super::{Mappings, Source};
use crate::shopify::AdminSchema;

/// A small mapping that is right. `§fields§` and the like are replaced by the cases.
const BASE: &str = r#"version = 1
erp = "odoo"
object = "order"
direction = "in"
owner = "order desk"
note = "for tests"
model = "sale.order"
external_id = "order_{order.id}"
"#;

fn errors(text: &str) -> Result<String, String> {
    match Mappings::from_sources(
        vec![Source {
            file: "order.in.toml".into(),
            text: text.into(),
        }],
        &AdminSchema,
    ) {
        Ok(_) => Ok("no mistake was found".into()),
        Err(errors) => {
            let handler =
                GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor()).with_width(120);
            let mut shown = String::new();
            for error in &errors.errors {
                handler
                    .render_report(&mut shown, error)
                    .map_err(|error| error.to_string())?;
            }
            Err(shown)
        }
    }
}

/// Cases of mistakes: a name, and what follows the head of the file.
const MISTAKES: &[(&str, &str)] = &[
    ("no such path", "[fields]\nx = \"order.custmer.email\"\n"),
    ("no such name", "[fields]\nx = \"ordr.name\"\n"),
    ("a path within a text", "[fields]\nx = \"order.name.first\"\n"),
    ("a path within a list", "[fields]\nx = \"order.lines.title\"\n"),
    (
        "a path deep in an expression",
        "[fields]\nx = \"order.name ~ order.naem\"\n",
    ),
    ("may be empty", "[fields]\nx = \"order.email\"\n"),
    (
        "may be empty in the last of a list",
        "[fields]\nx = [\"order.email\", \"order.phone\"]\n",
    ),
    (
        "missing before the last",
        "[fields]\nx = [{ value = \"order.email\", missing = \"skip\" }, \"order.name\"]\n",
    ),
    (
        "default and missing",
        "[fields]\nx = { value = \"order.email\", missing = \"skip\", default = \"a\" }\n",
    ),
    (
        "unknown policy",
        "[fields]\nx = { value = \"order.email\", missing = \"skp\" }\n",
    ),
    ("unknown filter", "[fields]\nx = \"order.name | uper\"\n"),
    (
        "unknown test",
        "[fields]\nx = { value = \"order.name\", when = \"order.name is nonempty\" }\n",
    ),
    ("a function", "[fields]\nx = \"range(3)\"\n"),
    (
        "money times a number",
        "[fields]\nx = \"order.totals.total * 2\"\n",
    ),
    (
        "money plus money",
        "[fields]\nx = \"order.totals.total + order.totals.tax\"\n",
    ),
    ("money divided", "[fields]\nx = \"order.totals.total / 2\"\n"),
    (
        "money of unknown kind times a number",
        "select = 'w: metafield(namespace: \"own\", key: \"w\") { jsonValue }'\n[fields]\nx = { value = \"order.raw.w.jsonValue * 2\", type = \"decimal\" }\n",
    ),
    (
        "money as a text",
        "[fields]\nx = \"'total ' ~ order.totals.total\"\n",
    ),
    (
        "money as a condition",
        "[fields]\nx = { value = \"order.name\", when = \"order.totals.total\" }\n",
    ),
    (
        "money in an and",
        "[fields]\nx = { value = \"order.name\", when = \"order.totals.total and order.test\" }\n",
    ),
    (
        "money compared with a number",
        "[fields]\nx = { value = \"order.name\", when = \"order.totals.total > 0\" }\n",
    ),
    (
        "money in a text field",
        "[fields]\nx = { value = \"order.totals.total\", type = \"text\" }\n",
    ),
    (
        "a field that the ERP decides",
        "[fields]\nx = { value = \"order.name\", truth = \"erp\" }\n",
    ),
    (
        "a field that is not compared",
        "[fields]\nx = { value = \"order.name\", lossy = true }\n",
    ),
    (
        "a line that is kept",
        "[fields]\nx = \"order.name\"\n[groups.lines]\nfield = \"x\"\nmodel = \"y\"\neach = \"order.lines\"\nas = \"line\"\nkey = \"{line.key}\"\n[groups.lines.fields]\nz = { value = \"line.title\", on = \"create\" }\n",
    ),
    (
        "a stage that is kept",
        "[fields]\nx = \"order.name\"\n[stage]\nconstant = \"confirmed\"\ntruth = \"hold\"\n",
    ),
    ("a float", "[fields]\nx = 0.19\n"),
    (
        "a float in an expression",
        "[fields]\nx = \"order.totals.total | times(1.19)\"\n",
    ),
    (
        "a factor that is no number",
        "[fields]\nx = \"order.totals.total | times('1,19')\"\n",
    ),
    ("text times a number", "[fields]\nx = \"order.name * 3\"\n"),
    (
        "an empty part in a text",
        "[fields]\nx = \"order.name ~ order.email\"\n",
    ),
    (
        "never equal",
        "[fields]\nx = { value = \"order.name\", when = \"order.name == order.test\" }\n",
    ),
    (
        "never this status",
        "[fields]\nx = { value = \"order.name\", when = \"order.financial_status == 'payed'\" }\n",
    ),
    (
        "never one of these",
        "[fields]\nx = { value = \"order.name\", when = \"order.financial_status in ['paid', 'pendng']\" }\n",
    ),
    (
        "a time without a zone",
        "[fields]\nx = { value = \"order.processed_at\", type = \"date\" }\n",
    ),
    (
        "no such zone",
        "[fields]\nx = \"order.processed_at | date('Europe/Berlyn')\"\n",
    ),
    (
        "no such part of a list",
        "[fields]\nx = \"order.lines | sum('amont')\"\n",
    ),
    ("syntax of an expression", "[fields]\nx = \"order.name ~\"\n"),
    ("an empty expression", "[fields]\nx = \"\"\n"),
    ("a whole record", "[fields]\nx = \"order.customer\"\n"),
    (
        "a raw value without a type",
        "select = 'w: metafield(namespace: \"own\", key: \"w\") { jsonValue }'\n[fields]\nx = { value = \"order.raw.w.jsonValue\", missing = \"skip\" }\n",
    ),
    (
        "no such field in the shop's own record",
        "[fields]\nx = { value = \"order.raw.poNumbr\", missing = \"skip\" }\n",
    ),
    (
        "no such field to select",
        "select = '''\n  poNumber\n  customer { shoeSize }\n'''\n[fields]\nx = \"order.name\"\n",
    ),
    (
        "a selection that contradicts what is read anyway",
        "select = 'note: email'\n[fields]\nx = \"order.name\"\n",
    ),
    (
        "a selection of a list that is read in pages",
        "select = 'lineItems(first: 5) { nodes { id } }'\n[fields]\nx = \"order.name\"\n",
    ),
    (
        "an attribute of what is no list of pairs",
        "[fields]\nx = { value = \"order.tags | attribute('x')\", missing = \"skip\" }\n",
    ),
    (
        "unknown key of a rule",
        "[fields]\nx = { value = \"order.name\", wen = \"order.test\" }\n",
    ),
    (
        "two sources",
        "[fields]\nx = { value = \"order.name\", constant = \"x\" }\n",
    ),
    ("no source", "[fields]\nx = { when = \"order.test\" }\n"),
    (
        "two types",
        "[fields]\nx = [{ value = \"order.name\", when = \"order.test\" }, \"order.processed_at\"]\n",
    ),
    (
        "unknown type",
        "[fields]\nx = { value = \"order.name\", type = \"string\" }\n",
    ),
    (
        "unknown look-up",
        "[fields]\nx = { look_up = { kind = \"contry\", code = \"'DE'\" } }\n",
    ),
    (
        "unknown key of a look-up",
        "[fields]\nx = { look_up = { kind = \"country\", cod = \"'DE'\" } }\n",
    ),
    (
        "a look-up's key may be empty",
        "[fields]\nx = { look_up = { kind = \"country\", code = \"order.billing_address.country_code\" } }\n",
    ),
    (
        "a list of look-ups without a name",
        "[fields]\nx = { look_up = { kind = \"country\", code = \"tag\" }, each = \"order.tags\" }\n",
    ),
    (
        "a tax that may be left out",
        "[fields]\nx = { look_up = { kind = \"country\", code = \"tag\" }, each = \"order.tags\", as = \"tag\", not_found = \"skip\" }\n",
    ),
    (
        "unknown link",
        "[fields]\nx = { link = \"custmer\", id = \"order.id\" }\n",
    ),
    ("a link without id", "[fields]\nx = { link = \"customer\" }\n"),
    (
        "unknown table",
        "[fields]\nx = { value = \"order.name\", table = \"names\" }\n[tables.name]\na = \"b\"\n",
    ),
    (
        "a table's key that never comes",
        "[fields]\nx = { value = \"order.financial_status\", table = \"t\", missing = \"skip\" }\n[tables.t]\npayed = \"a\"\n",
    ),
    (
        "a table that leaves some out",
        "[fields]\nx = { value = \"order.financial_status\", table = \"t\" }\n[tables.t]\npaid = \"a\"\n",
    ),
    (
        "a table of two kinds",
        "[fields]\nx = { value = \"order.name\", table = \"t\", missing = \"skip\" }\n[tables.t]\na = \"a\"\nb = 1\n",
    ),
    (
        "same as a later field",
        "[fields]\nx = { same_as = \"y\" }\ny = \"order.name\"\n",
    ),
    (
        "unknown row",
        "[fields]\nx = { row = \"addresses.billing\", missing = \"skip\" }\n[groups.addresses]\nmodel = \"res.partner\"\nlink = \"address\"\neach = { invoice = \"order.billing_address\" }\nas = \"address\"\nkey = \"{address | hash}\"\nfields = { city = { value = \"address.city\", missing = \"skip\" } }\n",
    ),
    (
        "rows of no list",
        "[fields]\nx = \"order.name\"\n[groups.lines]\nmodel = \"sale.order.line\"\neach = \"order.name\"\nas = \"line\"\nkey = \"{line}\"\nfields = { name = \"line\" }\n",
    ),
    (
        "a group without key",
        "[fields]\nx = \"order.name\"\n[groups.lines]\nmodel = \"sale.order.line\"\neach = \"order.lines\"\nas = \"line\"\nfields = { name = \"line.title\" }\n",
    ),
    (
        "discounts of what has none",
        "[fields]\nx = \"order.name\"\n[groups.lines]\nmodel = \"sale.order.line\"\neach = \"order.payments\"\nas = \"line\"\nkey = \"{line.id}\"\ndiscounts = \"unit_price_else_line\"\nfields = { name = \"line.kind\" }\n",
    ),
    (
        "a name that is taken",
        "[let]\norder = \"order.name\"\n[fields]\nx = \"order.name\"\n",
    ),
    (
        "unknown stage",
        "stage = { value = \"order.financial_status\", table = \"t\", missing = \"fail\" }\n[fields]\nx = \"order.name\"\n[tables.t]\npaid = \"confirm\"\n",
    ),
    (
        "a skip without reason",
        "[[skip]]\nwhen = \"order.test\"\n[fields]\nx = \"order.name\"\n",
    ),
    ("no name of a field", "[fields]\n\"x y\" = \"order.name\"\n"),
    (
        "unknown key at the top",
        "modell = \"x\"\n[fields]\nx = \"order.name\"\n",
    ),
    ("toml that is none", "[fields\nx = 1\n"),
];

#[test]
fn every_mistake_is_shown_at_its_place() {
    let mut shown = String::new();
    for (name, rest) in MISTAKES {
        match errors(&format!("{BASE}{rest}")) {
            Ok(nothing) => panic!("{name}: {nothing}"),
            Err(report) => writeln!(shown, "## {name}\n{report}").unwrap(),
        }
    }
    insta::assert_snapshot!("mistakes", shown);
}

#[test]
fn the_head_of_a_file_is_checked() {
    let mut shown = String::new();
    for (name, text) in [
        ("nothing at all", String::new()),
        (
            "a later version",
            BASE.replace("version = 1", "version = 2") + "[fields]\nx = \"order.name\"\n",
        ),
        (
            "another file's object",
            BASE.replace("\"order\"", "\"customer\"")
                .replace("order.id", "customer.id")
                + "[fields]\nx = \"customer.display_name\"\n",
        ),
        (
            "an unknown object",
            BASE.replace("\"order\"", "\"ordr\"") + "[fields]\nx = \"order.name\"\n",
        ),
        (
            "an unknown ERP",
            BASE.replace("odoo", "sap") + "[fields]\nx = \"order.name\"\n",
        ),
        (
            "nobody owns it",
            BASE.replace("order desk", " ") + "[fields]\nx = \"order.name\"\n",
        ),
        (
            "the same id for all",
            BASE.replace("order_{order.id}", "order") + "[fields]\nx = \"order.name\"\n",
        ),
        (
            "an id of an amount",
            BASE.replace("{order.id}", "{order.totals.tax}") + "[fields]\nx = \"order.name\"\n",
        ),
        (
            "an open brace",
            BASE.replace("{order.id}", "{order.id") + "[fields]\nx = \"order.name\"\n",
        ),
    ] {
        match errors(&text) {
            Ok(nothing) => panic!("{name}: {nothing}"),
            Err(report) => writeln!(shown, "## {name}\n{report}").unwrap(),
        }
    }
    insta::assert_snapshot!("heads", shown);
}

#[test]
fn all_mistakes_of_all_files_are_told_at_once_and_nothing_is_taken() {
    let text = format!("{BASE}[fields]\na = \"order.nme\"\nb = \"order.name | uper\"\n");
    let errors = Mappings::from_sources(
        vec![
            Source {
                file: "order.in.toml".into(),
                text,
            },
            Source {
                file: "customer.in.toml".into(),
                text: "version = 1".into(),
            },
        ],
        &AdminSchema,
    )
    .expect_err("both are wrong");
    assert!(errors.errors.len() > 3, "{errors}");
    assert!(errors.to_string().contains("customer.in.toml:1:"), "{errors}");
    assert!(
        errors
            .errors
            .iter()
            .any(|error| error.file == "order.in.toml" && error.line == 10)
    );
}

#[test]
fn a_folder_replaces_shipped_files_and_must_hold_nothing_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let shipped = Mappings::load(None, &AdminSchema).unwrap();
    assert_eq!(
        Mappings::load(Some(folder.path()), &AdminSchema)
            .unwrap()
            .revision(),
        shipped.revision(),
        "an empty folder"
    );

    let (_, order) = super::super::DEFAULTS
        .iter()
        .find(|(file, _)| *file == "order.in.toml")
        .unwrap();
    let changed = order.replace("\"order desk\"", "\"somebody else\"");
    std::fs::write(folder.path().join("order.in.toml"), changed).unwrap();
    std::fs::write(folder.path().join(".order.in.toml.swp"), "not read").unwrap();
    let own = Mappings::load(Some(folder.path()), &AdminSchema).unwrap();
    assert_ne!(own.revision(), shipped.revision());
    let order = own
        .get(crate::domain::Object::Order, crate::domain::Direction::In)
        .unwrap();
    assert_eq!(order.owner, "somebody else");

    std::fs::write(folder.path().join("ordr.in.toml"), "version = 1").unwrap();
    let errors = Mappings::load(Some(folder.path()), &AdminSchema).expect_err("a file that would do nothing");
    assert_eq!(
        errors.errors[0].help.as_deref(),
        Some("did you mean `order.in.toml`?")
    );
    assert!(Mappings::load(Some(&folder.path().join("nowhere")), &AdminSchema).is_err());
}
