//! `setup` and `mappings suggest` between both stand-ins, as a shop owner runs them.

use std::path::PathBuf;

use lockstep::sandbox::odoo::{OdooSandbox, Options as ErpOptions, Version};
use lockstep::sandbox::shopify::draft::{LineDraft, OrderDraft, Payment, ProductDraft, VariantDraft};
use lockstep::sandbox::shopify::facts::Tax;
use lockstep::sandbox::shopify::{Options as ShopOptions, ShopSandbox};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::support::daemon::run;
use crate::support::world::everyday;

/// A shop, and an ERP in which nothing was made for it yet.
struct Bare {
    shop: ShopSandbox,
    erp: OdooSandbox,
    folder: tempfile::TempDir,
}

impl Bare {
    async fn new(version: Version) -> Self {
        Self::with(ErpOptions::version(version)).await
    }

    async fn with(options: ErpOptions) -> Self {
        let bare = Self {
            shop: ShopSandbox::start(ShopOptions::default())
                .await
                .expect("the stand-in shop starts"),
            erp: OdooSandbox::start(options)
                .await
                .expect("the stand-in ERP starts"),
            folder: tempfile::tempdir().expect("a temporary folder"),
        };
        let access = ShopOptions::default().access;
        let text = format!(
            "[store]\nurl = \"sqlite://lockstep.db\"\n[mappings]\ndir = \"mappings\"\n[shops.main]\ndomain = \"{}\"\n\
             client_id = \"{}\"\nclient_secret = \"{}\"\nbase_url = \"{}\"\n[shops.main.odoo]\nurl = \"{}\"\n\
             database = \"prod\"\nlogin = \"connector@example.com\"\napi_key = \"{}\"\ncalls_per_second = 1000\n\
             [shops.main.sync]\norders = {{ in = \"on\" }}\n",
            bare.shop.domain(),
            access.client_id,
            access.client_secret,
            bare.shop.url(),
            bare.erp.url(),
            bare.erp.api_key(),
        );
        std::fs::create_dir(bare.path("mappings")).expect("a folder can be made");
        std::fs::write(bare.path("lockstep.toml"), text).expect("the configuration can be written");
        bare
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        run(&self.path("lockstep.toml"), arguments)
    }

    /// The JSON that a command prints, which ends with this code.
    fn json(&self, arguments: &[&str], expected: i32) -> Value {
        let (code, out, err) = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(code, expected, "{arguments:?}: {out}{err}");
        serde_json::from_str(&out)
            .unwrap_or_else(|error| panic!("{arguments:?} printed no JSON ({error}): {out}{err}"))
    }

    fn count(&self, model: &str) -> i64 {
        let found = self.erp.as_admin(
            model,
            "search_count",
            json!([[]]),
            json!({"context": {"active_test": false}}),
        );
        found
            .expect("it can be counted")
            .as_i64()
            .expect("it is a number")
    }

    fn tables(&self) -> String {
        std::fs::read_to_string(self.path("mappings/tables.main.toml")).expect("it was written")
    }

    fn place(&self, gateway: &str) {
        self.place_taxed(gateway, "MwSt");
    }

    /// An order at 19 %, included in the price, under a tax of this title.
    fn place_taxed(&self, gateway: &str, title: &str) {
        self.shop.change(|shop| {
            let product = shop.create_product(ProductDraft {
                title: "Mug".into(),
                variants: vec![VariantDraft::new(&[], "MUG", Decimal::new(1_999, 2))],
                ..ProductDraft::default()
            });
            let variant = shop.product(product).expect("it was just made").variants[0].id;
            shop.place_order(OrderDraft {
                lines: vec![LineDraft::variant(variant, 1)],
                payment: Payment::Paid(gateway.into()),
                taxes: vec![Tax::new(title, Decimal::new(19, 2))],
                ..everyday(variant)
            })
            .expect("the shop takes it");
        });
    }
}

/// The rows of a plan that are of this kind, by name and state.
fn states(plan: &Value, what: &str) -> Vec<(String, String)> {
    let rows = plan["rows"].as_array().expect("it has rows");
    rows.iter()
        .filter(|row| row["what"] == what)
        .map(|row| {
            let text = |key: &str| row[key].as_str().expect("a text").to_owned();
            (text("name"), text("state"))
        })
        .collect()
}

fn all_are(states: &[(String, String)], expected: &str) -> bool {
    !states.is_empty() && states.iter().all(|(_, state)| state == expected)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn setup_makes_what_is_missing_once_and_only_after_a_yes() {
    for version in [Version::V18, Version::V19] {
        let bare = Bare::new(version).await;
        bare.place("paypal");
        let before = (bare.count("product.product"), bare.count("product.pricelist"));
        let plan = bare.json(&["setup", "plan"], 1);
        let services = states(&plan, "service product");
        assert_eq!(services.len(), 8, "{plan:#}");
        assert!(all_are(&services, "missing"), "{plan:#}");
        assert_eq!(
            states(&plan, "currency"),
            [("EUR".to_owned(), "there".to_owned())]
        );
        assert!(all_are(&states(&plan, "price list"), "missing"));
        assert!(
            all_are(&states(&plan, "order field"), "needs_administrator"),
            "{plan:#}"
        );
        assert_eq!(
            states(&plan, "journal"),
            [("paypal".to_owned(), "named".to_owned())]
        );
        let (code, out, err) = bare.run(&["setup", "apply"]);
        assert_eq!((code, out.as_str()), (2, ""), "nobody can be asked: {err}");
        assert!(err.contains("--yes"), "{err}");
        assert_eq!(
            (bare.count("product.product"), bare.count("product.pricelist")),
            before,
            "nothing was made without a yes"
        );

        let done = bare.json(&["setup", "apply", "--yes"], 1);
        assert!(all_are(&states(&done, "service product"), "made"), "{done:#}");
        assert!(all_are(&states(&done, "price list"), "made"), "{done:#}");
        let after = (bare.count("product.product"), bare.count("product.pricelist"));
        assert_eq!(after, (before.0 + 8, before.1 + 1));

        let again = bare.json(&["setup", "apply", "--yes"], 1);
        assert!(all_are(&states(&again, "service product"), "there"), "{again:#}");
        assert!(all_are(&states(&again, "price list"), "there"), "{again:#}");
        assert_eq!(
            (bare.count("product.product"), bare.count("product.pricelist")),
            after
        );

        let (code, out, err) = bare.run(&["setup", "plan"]);
        assert_eq!((code, err.as_str()), (1, ""), "{out}");
        assert!(out.contains("12 need an administrator"), "{out}");
        let (_, live, _) = bare.run(&["check", "--live", "--json"]);
        let live: Value = serde_json::from_str(&live).expect("it prints JSON");
        let rows: Vec<&Value> = live["live"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|part| part["rows"].as_array())
            .flatten()
            .collect();
        for what in [
            "ERP service for shipping",
            "ERP service for gift_card",
            "ERP currency EUR",
        ] {
            let row = rows.iter().find(|row| row["what"] == what);
            assert_eq!(row.map(|row| &row["outcome"]), Some(&json!("ok")), "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_an_administrators_key_nothing_is_left_but_what_is_for_people_to_decide() {
    for version in [Version::V18, Version::V19] {
        let bare = Bare::with(ErpOptions {
            is_admin: true,
            ..ErpOptions::version(version)
        })
        .await;
        let plan = bare.json(&["setup", "plan"], 1);
        assert_eq!(states(&plan, "order field").len(), 12, "{plan:#}");
        assert!(all_are(&states(&plan, "order field"), "missing"), "{plan:#}");
        let done = bare.json(&["setup", "apply", "--yes"], 0);
        assert!(all_are(&states(&done, "order field"), "made"), "{done:#}");
        let fields = bare
            .erp
            .as_admin(
                "sale.order",
                "fields_get",
                json!([["x_shopify_id", "x_shopify_paid", "x_shopify_payments"], ["type"]]),
                json!({}),
            )
            .expect("they can be asked for");
        assert_eq!(
            fields,
            json!({
                "x_shopify_id": {"type": "char"}, "x_shopify_paid": {"type": "float"},
                "x_shopify_payments": {"type": "text"},
            })
        );
        let again = bare.json(&["setup", "apply", "--yes"], 0);
        assert!(all_are(&states(&again, "order field"), "there"), "{again:#}");
        assert_eq!(bare.count("ir.model.fields"), 12);
        let (code, out, err) = bare.run(&["setup", "plan"]);
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
        assert!(out.contains("everything is there"), "{out}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn setup_says_who_does_not_answer() {
    let bare = Bare::new(Version::V18).await;
    bare.shop.stop().await;
    let plan = bare.json(&["setup", "plan"], 1);
    assert_eq!(
        states(&plan, "currency"),
        [("of the shop".to_owned(), "failed".to_owned())]
    );
    assert!(
        all_are(&states(&plan, "service product"), "missing"),
        "the rest is looked at"
    );
    bare.erp.stop().await;
    let (code, out, err) = bare.run(&["setup", "plan"]);
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    assert!(
        err.contains("the ERP cannot be asked") && err.contains("check --live"),
        "{err}"
    );
    let (code, _, err) = bare.run(&["mappings", "suggest"]);
    assert_eq!(code, 1, "{err}");
    assert!(!bare.path("mappings/tables.main.toml").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suggested_tables_are_filled_in_where_nothing_can_be_mistaken_and_checked_for_the_rest() {
    for version in [Version::V18, Version::V19] {
        let bare = Bare::new(version).await;
        bare.place("klarna");
        let told = bare.json(&["mappings", "suggest"], 0);
        assert_eq!(
            (&told["changed"], &told["orders"]),
            (&json!(true), &json!(1)),
            "{told:#}"
        );
        let tables = bare.tables();
        for line in [
            "[tables.journal]",
            "# candidates: Bank (bank), Cash (cash)\nklarna = \"TODO\"",
            "[tables.tax]\n\"19 included MwSt\" = ",
            " # 19% incl.\n",
            "[tables.currency]\nEUR = \"EUR\"",
            "[tables.carrier]",
            "Standard = \"TODO\"",
            "[tables.warehouse]",
            "# candidates: My Company (WH)",
        ] {
            assert!(tables.contains(line), "{version:?} {line}:\n{tables}");
        }
        let checked = bare.json(&["check"], 0);
        let todo = |checked: &Value| -> Vec<String> {
            let list = checked["todo"].as_array().expect("a list");
            list.iter()
                .map(|todo| todo["key"].as_str().expect("a text").to_owned())
                .collect()
        };
        let left = todo(&checked);
        assert!(
            left.contains(&"klarna".to_owned()) && left.contains(&"Standard".to_owned()),
            "{checked:#}"
        );
        let (code, out, _) = bare.run(&["check"]);
        assert_eq!(code, 0);
        assert!(
            out.contains(&format!("{} table entries are still TODO", left.len())) && out.contains("klarna"),
            "{out}"
        );

        // A person fills one in; another gateway comes into use.
        let edited = tables.replace("klarna = \"TODO\"", "klarna = \"Bank\" # by hand");
        std::fs::write(bare.path("mappings/tables.main.toml"), &edited).expect("it can be written");
        let (code, out, err) = bare.run(&["mappings", "suggest"]);
        assert_eq!(code, 0, "{out}{err}");
        assert!(out.contains("nothing new") && out.contains("as it was"), "{out}");
        assert_eq!(bare.tables(), edited);
        bare.place("cash");
        bare.json(&["mappings", "suggest"], 0);
        let last = bare.tables();
        assert!(
            last.contains("klarna = \"Bank\" # by hand\n") && last.contains("\ncash = "),
            "{last}"
        );
        assert_eq!(
            last.lines().filter(|line| !edited.contains(line)).count(),
            1,
            "{last}"
        );
        assert!(!todo(&bare.json(&["check"], 0)).contains(&"klarna".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tax_that_names_another_country_is_not_filled_in_with_the_one_of_home() {
    let mut options = ErpOptions::version(Version::V19);
    options.companies[0].country = "DE".to_owned();
    let bare = Bare::with(options).await;
    bare.place_taxed("paypal", "CY VAT");
    bare.place_taxed("paypal", "DE MwSt");
    bare.json(&["mappings", "suggest"], 0);
    let tables = bare.tables();
    assert!(tables.contains("\"19 included CY VAT\" = \"TODO\""), "{tables}");
    let home = tables
        .lines()
        .find(|line| line.starts_with("\"19 included DE MwSt\" = "));
    assert!(home.is_some_and(|line| line.ends_with("# 19% incl.")), "{tables}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_that_cannot_be_used_are_refused_with_their_place() {
    let bare = Bare::new(Version::V18).await;
    let write = |file: &str, text: &str| {
        std::fs::write(bare.path("mappings").join(file), text).expect("it can be written");
    };
    write("tables.main.toml", "[tables.journel]\npaypal = \"PayPal\"\n");
    let (code, _, err) = bare.run(&["check"]);
    assert_eq!(code, 2, "{err}");
    assert!(
        err.contains("tables.main.toml:1") && err.contains("did you mean `journal`?"),
        "{err}"
    );
    write("tables.main.toml", "[tables.journal\n");
    let (code, _, err) = bare.run(&["mappings", "suggest"]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("tables.main.toml"), "{err}");
    write("tables.main.toml", "");
    write("tables.paris.toml", "[tables.journal]\npaypal = \"PayPal\"\n");
    let (code, _, err) = bare.run(&["check"]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("no shop `paris`") && err.contains("main"), "{err}");
    let told = bare.json(&["check"], 2);
    assert_eq!(told["ok"], false);
    let (code, _, err) = bare.run(&["mappings", "suggest", "--shop", "paris"]);
    assert_eq!(code, 2, "{err}");
}
