//! The console in a real browser: from "why is my order not in the ERP" to the order in the ERP.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use lockstep::failpoint::FailPoint;
use lockstep::sandbox::shopify::draft::Buyer;

use crate::crashes::{Action, struck};
use crate::notify::receiver;
use crate::support::browser::Browser;
use crate::support::daemon::{Daemon, PATIENCE, Start, run};
use crate::support::world::{Database, World, rows, until};

const PASSWORD: &str = "correct horse";

/// A browser that is logged in on a daemon.
struct Visit {
    browser: Browser,
    console: String,
}

fn add_user(world: &World, name: &str, role: &str) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockstep"))
        .args(["user", "add", name, "--role", role])
        .env("LOCKSTEP_CONFIG", &world.config)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the command can be run");
    let mut input = command.stdin.take().expect("stdin is piped");
    writeln!(input, "{PASSWORD}").expect("the password is taken");
    drop(input);
    let output = command.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{output:?}");
}

/// The daemon looks after its subscriptions: nothing is left to be wished for.
fn with_public_url(world: &World) {
    let text = std::fs::read_to_string(&world.config).expect("it can be read");
    let public_url = format!("[http]\npublic_url = \"http://127.0.0.1:{}\"\n", world.http_port);
    std::fs::write(&world.config, text.replacen("[http]\n", &public_url, 1)).expect("it can be written");
}

async fn subscribed(world: &World, daemon: &Daemon) {
    until(
        "the subscriptions are as they are wanted",
        || (run(&world.config, &["webhooks", "plan"]).0 == 0).then_some(()),
        || daemon.log(),
    )
    .await;
}

impl Visit {
    async fn begin(world: &World, daemon: &Daemon) -> Self {
        let shots = std::env::var_os("LOCKSTEP_SCREENSHOTS")
            .map_or_else(|| world.folder.path().join("pictures"), PathBuf::from);
        let visit = Self {
            browser: Browser::start(&shots).await,
            console: format!("http://{}", daemon.admin),
        };
        visit.browser.open(&visit.console).await;
        visit
    }

    async fn open(&self, path: &str) {
        self.browser.open(&format!("{}{path}", self.console)).await;
    }

    async fn log_in(&self, name: &str) {
        self.browser.fill("Name", name).await;
        self.browser.fill("Password", PASSWORD).await;
        self.browser.find("//main//button").await.click().await;
        self.browser.find("//nav").await;
    }

    /// The overview has nothing to say, soon, but that this world's shop sends everything twice (`World::new` registers
    /// subscriptions that no API lists, and the daemon its own).
    async fn calms_down(&self, daemon: &Daemon) {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            self.open("/").await;
            let verdict = self.browser.find("//section[contains(@class, 'verdict')]").await;
            let shown = self.browser.find("//main").await.text().await;
            if verdict.text().await.ends_with("1 problem needs a person") && shown.contains("arrive twice") {
                return;
            }
            assert!(
                std::time::Instant::now() < deadline,
                "it is not all right:\n{shown}\n{}",
                daemon.log()
            );
        }
    }

    /// The page shown: light and dark, wide and narrow, a picture of each, and nothing that makes it hard to use.
    async fn look(&self, name: &str) {
        for scheme in ["light", "dark"] {
            self.browser.colours(scheme).await;
            for (width, size) in [(1280, ""), (360, "-narrow")] {
                self.browser.width(width).await;
                let faults = self.browser.faults().await;
                self.browser.picture(&format!("{name}-{scheme}{size}")).await;
                assert_eq!(faults, Vec::<String>::new(), "{name}, {scheme}, {width}");
            }
        }
        self.browser.width(1280).await;
        self.browser.colours("light").await;
        assert_eq!(self.browser.unseen_focus().await, Vec::<String>::new(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_finds_out_why_fills_the_table_in_and_sees_the_orders_in_the_erp() {
    let world = World::new(Database::Sqlite).await;
    // As `mappings suggest` leaves it where the ERP has no tax that cannot be mistaken.
    let broken = "# Which tax is it?\n[tables.tax]\n\"19 included\" = \"TODO\"\n";
    let tables = world.folder.path().join("mappings/tables.main.toml");
    std::fs::write(&tables, broken).expect("the tables can be written");
    with_public_url(&world);
    let clock = world.folder.path().join("clock");
    std::fs::write(&clock, "0").expect("the clock can be set");
    let daemon = world.start(&Start {
        clock: Some(clock.clone()),
        ..Start::default()
    });
    subscribed(&world, &daemon).await;
    let visit = Visit::begin(&world, &daemon).await;
    let browser = &visit.browser;
    // Before there is an account, the console says how to make one, and nothing else.
    browser.find("//pre[contains(., 'user add')]").await;
    visit.look("no-account").await;
    add_user(&world, "olga", "operator");
    let variants = world.product();
    let orders: Vec<String> = (0..3)
        .map(|_| world.order(Buyer::Nobody, variants[0]).1)
        .collect();
    until(
        "the orders need a person",
        || (world.problems().len() == 3).then_some(()),
        || daemon.log(),
    )
    .await;
    until(
        "the account is taken up",
        || {
            daemon
                .log()
                .contains("took the changed configuration")
                .then_some(())
        },
        || daemon.log(),
    )
    .await;

    visit.open("/").await;
    visit.look("login").await;
    visit.log_in("olga").await;
    visit.look("overview").await;
    let verdict = browser.find("//h1").await.text().await;
    assert!(verdict.contains("need"), "it is not all right: {verdict}");
    // The order that somebody asks about.
    browser.press("Jobs").await;
    browser.fill("Search", &orders[1]).await;
    browser.press("Show").await;
    visit.look("jobs").await;
    browser.press(&orders[1]).await;
    visit.look("job-with-problem").await;
    let source = browser.source().await;
    for part in ["19 included", "order.in.toml", "accounting", "What to do"] {
        assert!(source.contains(part), "{part}: {source}");
    }
    // One cause, three orders: the table is filled in once, here, and all are tried again.
    browser.press("Problems").await;
    visit.look("problems").await;
    browser.find("//section//h2/a").await.click().await;
    visit.look("cluster").await;
    browser.press("Fill in").await;
    visit.look("table").await;
    // What the ERP has of that rate is proposed.
    browser.choose("Choose", "19% incl.").await;
    browser.press("Look at the change").await;
    browser.find("//h1[contains(., 'Look before')]").await;
    visit.look("table-plan").await;
    let source = browser.source().await;
    assert!(source.contains("+\"19 included\" = "), "the difference: {source}");
    let unchanged = std::fs::read_to_string(&tables).expect("it can be read");
    assert_eq!(unchanged, broken, "a look writes nothing");
    browser.fill("Why?", "accounting says so").await;
    browser.press("Save, and try all 3 jobs again").await;
    browser.find("//p[contains(@class, 'notice good')]").await;
    visit.look("problems-being-tried-again").await;
    for name in &orders {
        world.booked(name, "sale", &daemon).await;
    }
    let written = std::fs::read_to_string(&tables).expect("it can be read");
    assert!(
        written.starts_with("# Which tax is it?\n[tables.tax]\n\"19 included\" = "),
        "{written}"
    );
    assert!(!written.contains("TODO"), "{written}");
    world.idle(&daemon).await;
    assert_eq!(world.problems(), Vec::<serde_json::Value>::new());
    visit.open("/jobs").await;
    browser.press(&orders[1]).await;
    visit.look("job-done").await;
    let source = browser.source().await;
    assert!(source.contains("/web#id="), "a link into the ERP: {source}");
    browser.press("what it said").await;
    visit.look("event").await;
    // What the shop did before lockstep came is looked for once more when its searches have caught up.
    std::fs::write(&clock, "180000").expect("the clock can be set");
    visit.calms_down(&daemon).await;
    visit.look("overview-after").await;
    browser.fill("Where is my order?", &orders[0]).await;
    browser.press("Find out").await;
    visit.look("why").await;
    let sentence = browser.find("//section//h2").await.text().await;
    assert!(sentence.contains(&orders[0]), "{sentence}");
    browser.press("Audit").await;
    visit.look("audit").await;
    let source = browser.source().await;
    for part in ["olga", "start batch", "edit table", "accounting says so"] {
        assert!(source.contains(part), "{part}: {source}");
    }
    for name in ["webhooks", "mappings", "tables", "settings"] {
        visit.open(&format!("/{name}")).await;
        visit.look(&format!("{name}-of-an-operator")).await;
    }
    visit.open("/tables").await;
    browser.press("Take back").await;
    visit.look("table-back").await;
    let source = browser.source().await;
    assert!(source.contains("+\"19 included\" = \"TODO\""), "{source}");
    visit.open("/webhooks").await;
    browser.press("Send a test delivery").await;
    visit.look("test-delivery").await;
    let source = browser.source().await;
    assert!(source.contains("through the public address"), "{source}");
    visit.open("/mappings/order.in.toml").await;
    visit.look("mapping").await;
    browser.press("Log out").await;
    browser.find("//h1[. = 'Log in']").await;
}

/// A page with everything that a page should not have.
const HARD_TO_USE: &str = r#"<!doctype html><html><head><title></title><style>
input.thin { border: 1px solid #eee } button:focus { outline: none }</style></head><body>
<div>outside</div><main><h1>One</h1><h1>Two</h1><h3>skips</h3>
<p style="color: #999; background: #fff">pale</p><p style="background: rgba(0,0,0,.6); color: #333">through a layer</p>
<input name="unnamed"><input class="thin" aria-label="thin"><label for="nowhere">of nothing</label>
<a href="/x"></a><button></button><p id="twice"></p><p id="twice"></p><img src="x"><input type="password" aria-label="p">
<input type="radio" aria-label="alone"><span aria-labelledby="gone" tabindex="0">x</span>
<table><tr><th>no scope</th></tr></table><ul><p>no item</p></ul>
<button style="width: 10px; height: 10px; padding: 0" aria-label="small"></button>
<div style="width: 5000px">wide</div></main></body></html>"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_makes_a_page_hard_to_use_is_found() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let page = folder.path().join("page.html");
    std::fs::write(&page, HARD_TO_USE).expect("the page can be written");
    let browser = Browser::start(folder.path()).await;
    browser.open(&format!("file://{}", page.display())).await;
    let faults = browser.faults().await.join("\n");
    for expected in [
        "of \"pale\"",
        "of \"through a layer\"",
        "border contrast",
        "no name: <a",
        "no name: <button",
        "no label: <input name=\"unnamed\"",
        "a label of nothing",
        "an image without a text",
        "no autocomplete",
        "radio buttons without a legend",
        "id twice: twice",
        "aria-labelledby leads nowhere",
        "for leads nowhere",
        "no language",
        "no title",
        "not one h1",
        "outside of all landmarks",
        "a heading skips from 1 to 3",
        "a table without headers",
        "a table without a name",
        "a header of nothing",
        "no item of a list",
        "wider than the window",
        "only 10 by 10",
    ] {
        assert!(faults.contains(expected), "{expected} is not found:\n{faults}");
    }
    let unseen = browser.unseen_focus().await;
    assert!(unseen.iter().any(|fault| fault.contains("<button")), "{unseen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_switches_a_toggle_after_a_look_at_what_it_changes() {
    let world = World::new(Database::Sqlite).await;
    with_public_url(&world);
    let text = std::fs::read_to_string(&world.config).expect("it can be read");
    let text = text.replace(
        "products = { in = \"on\" }",
        "products = { in = \"on\" } # ask Ada",
    );
    std::fs::write(&world.config, text).expect("it can be written");
    add_user(&world, "ada", "admin");
    let daemon = world.start(&Start::default());
    subscribed(&world, &daemon).await;
    let visit = Visit::begin(&world, &daemon).await;
    let browser = &visit.browser;
    visit.log_in("ada").await;
    browser.press("Settings").await;
    visit.look("settings").await;
    browser
        .find("//label[@for='toggle.main.product.in.off']")
        .await
        .click()
        .await;
    let before = std::fs::read_to_string(&world.config).expect("it can be read");
    browser.press("Save").await;
    browser.find("//h1[contains(., 'Look before')]").await;
    visit.look("settings-plan").await;
    let source = browser.source().await;
    assert!(
        source.contains("PRODUCTS_CREATE"),
        "what it means on Shopify: {source}"
    );
    let unchanged = std::fs::read_to_string(&world.config).expect("it can be read");
    assert_eq!(before, unchanged, "a look writes nothing");
    browser.press("Save and apply").await;
    browser.find("//p[contains(@class, 'notice good')]").await;
    visit.look("settings-saved").await;
    let after = std::fs::read_to_string(&world.config).expect("it can be read");
    assert_eq!(
        after,
        before.replace("products = { in = \"on\" }", "products = { in = \"off\" }")
    );
    // Shopify follows by itself; what is left to be done is shown and can be done by hand, too.
    subscribed(&world, &daemon).await;
    browser.press("Webhooks").await;
    visit.look("webhooks").await;
    browser.press("Plan changes").await;
    visit.look("webhooks-plan").await;
    let source = browser.source().await;
    assert!(source.contains("Everything is as it is wanted"), "{source}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_is_approved_and_carried_out_once_although_the_daemon_is_killed_before_it_begins() {
    let world = World::new(Database::Sqlite).await;
    let text = std::fs::read_to_string(&world.config).expect("it can be read");
    let text = text.replace(
        "orders = { in = \"on\" }",
        "orders = { in = \"on\", review = { owner = \"anna\", until = 2099-12-31 } }",
    );
    std::fs::write(&world.config, text).expect("it can be written");
    add_user(&world, "olga", "operator");
    let mut daemon = world.start(&Start::default());
    let variants = world.product();
    let (id, name) = world.order(Buyer::Nobody, variants[0]);
    let waiting = || rows(&world.json(&["jobs", "list", "--code", "waiting_for_approval"]));
    until(
        "the order waits with its plan",
        || (waiting().len() == 1).then_some(()),
        || daemon.log(),
    )
    .await;
    world.idle(&daemon).await;
    assert!(daemon.terminate().success(), "{}", daemon.log());

    // The next thing that is worked on is what was approved of, and that is where the daemon dies.
    let mut armed = world.start(&Start {
        fail: Some(format!("{}=abort", FailPoint::JobClaimed)),
        ..Start::default()
    });
    let mut visit = Visit::begin(&world, &armed).await;
    visit.log_in("olga").await;
    visit.open("/jobs?state=waiting-for-approval").await;
    visit.look("plans").await;
    visit.browser.press(&name).await;
    visit.look("job-with-plan").await;
    let source = visit.browser.source().await;
    assert!(source.contains("create sale.order"), "{source}");
    visit.browser.press("Approve").await;
    struck(
        &mut armed,
        FailPoint::JobClaimed,
        Action::Abort,
        "an approved plan",
    )
    .await;
    assert!(world.erp.ledger().orders().is_empty(), "it has not begun");
    // The problem stands until the attempt has ended well; nothing waits for a yes any more.
    let held = rows(&world.json(&["jobs", "list", "--state", "held"]));
    assert!(held.is_empty(), "the yes is kept: {held:?}");

    let daemon = world.start(&Start::default());
    world.booked(&name, "sale", &daemon).await;
    world.idle(&daemon).await;
    assert_eq!(world.erp.ledger().orders().len(), 1, "once");
    assert_eq!(world.problems(), Vec::<serde_json::Value>::new());
    let answers = rows(&world.json(&["audit", "--action", "approve"]));
    assert_eq!(answers.len(), 1, "one yes: {answers:?}");

    visit.console = format!("http://{}", daemon.admin);
    visit.open("/login").await;
    if visit.browser.url().await.ends_with("/login") {
        visit.log_in("olga").await;
    }
    visit.open(&format!("/records/main/order/{id}")).await;
    visit.look("record").await;
    visit.open("/runs").await;
    visit.look("runs").await;
    visit
        .open(&format!("/mappings/preview?shop=main&what=order.in&number={id}"))
        .await;
    visit.look("preview").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_sees_what_other_systems_were_told_tests_an_endpoint_and_finds_its_fields() {
    let world = World::new(Database::Sqlite).await;
    let (port, ids) = receiver().await;
    let before = std::fs::read_to_string(&world.config).expect("it can be read");
    let text = format!(
        "{before}[notify]\nallow_networks = ['127.0.0.1']\n\
         [notify.endpoints.crm]\nurl = 'http://127.0.0.1:{port}/hook'\nallow_http = true\nevents = ['order.*']\n\
         owner = 'sales'\ndescription = 'the CRM keeps a copy of each order'\n\
         [notify.endpoints.sheet]\nurl = 'http://127.0.0.1:9/'\nallow_http = true\nevents = ['order.synced']\n\
         retry = {{ max_attempts = 1 }}\n"
    );
    std::fs::write(&world.config, text).expect("it can be written");
    add_user(&world, "olga", "operator");
    add_user(&world, "ada", "admin");
    let daemon = world.start(&Start::default());
    let variants = world.product();
    let (_, name) = world.order(Buyer::Nobody, variants[0]);
    world.booked(&name, "sale", &daemon).await;
    world.idle(&daemon).await;
    let failed = ["notify", "deliveries", "--endpoint", "sheet", "--state", "failed"];
    until(
        "one was told and the other one could not be",
        || {
            let is_told = !ids.lock().expect("not poisoned").is_empty();
            (is_told && !rows(&world.json(&failed)).is_empty()).then_some(())
        },
        || daemon.log(),
    )
    .await;

    let visit = Visit::begin(&world, &daemon).await;
    let browser = &visit.browser;
    visit.log_in("olga").await;
    browser.press("Notify").await;
    visit.look("endpoints").await;
    let source = browser.source().await;
    for part in [
        "the CRM keeps a copy",
        "sales",
        "127.0.0.1",
        "Send all that failed again",
    ] {
        assert!(source.contains(part), "{part}: {source}");
    }
    assert!(!source.contains("/hook"), "an address may be a secret: {source}");
    let before = ids.lock().expect("not poisoned").len();
    let button = "//section[@aria-labelledby='endpoint-crm']//button[. = 'Send a test']";
    browser.find(button).await.click().await;
    browser.find("//h1[contains(., 'est')]").await;
    visit.look("endpoint-test").await;
    assert_eq!(ids.lock().expect("not poisoned").len(), before + 1, "it was sent");
    visit.open("/notify/deliveries").await;
    visit.look("deliveries").await;
    browser.fill("Record or event", &name).await;
    browser.press("Show").await;
    browser.find("//tr[contains(., 'sheet')]//a").await.click().await;
    browser.find("//section[contains(., 'Try 1')]").await;
    visit.look("delivery").await;
    assert!(browser.source().await.contains("Send it again"));
    visit.open("/notify/fields").await;
    visit.look("fields").await;
    browser.fill("Number or name", &name).await;
    browser.choose("As it would be sent to", "crm").await;
    browser.press("Show its values").await;
    browser.find("//h2[contains(., 'What crm would be sent')]").await;
    visit.look("fields-of-an-order").await;
    let source = browser.source().await;
    assert!(source.contains("order.synced would be sent"), "{source}");
    assert!(source.contains("order.totals.total"), "{source}");
    assert!(
        !browser.source().await.contains("New endpoint"),
        "that is for administrators"
    );
    drop(visit);

    let visit = Visit::begin(&world, &daemon).await;
    let browser = &visit.browser;
    visit.log_in("ada").await;
    browser.press("Notify").await;
    browser.press("New endpoint").await;
    visit.look("endpoint-new").await;
    browser.fill("Name", "warehouse").await;
    browser
        .fill("Address", "https://hooks.example.com/T0/secret")
        .await;
    browser.fill("Events", "order.fulfilled").await;
    browser.fill("Looked after by", "stock").await;
    browser.press("Save…").await;
    browser.find("//h1[. = 'Look before you save']").await;
    visit.look("endpoint-plan").await;
    browser.press("Save and apply").await;
    browser.find("//h1[. = 'New secret']").await;
    visit.look("endpoint-secret").await;
    let secret = world.config.with_file_name("notify-warehouse.secret");
    let secret = std::fs::read_to_string(secret).expect("it is kept");
    assert!(
        browser.source().await.contains(secret.trim()),
        "it is shown this once"
    );
    browser.press("Done").await;
    let change = "//section[@aria-labelledby='endpoint-warehouse']//a[. = 'Change…']";
    browser.find(change).await.click().await;
    browser.find("//h1[. = 'Endpoint warehouse']").await;
    visit.look("endpoint-change").await;
    browser.press("Take it out…").await;
    browser.press("Take it out").await;
    browser
        .find("//*[@role = 'status'][contains(., 'taken out of the configuration')]")
        .await;
    let text = std::fs::read_to_string(&world.config).expect("it can be read");
    assert!(
        !text.contains("warehouse") && text.contains("[notify.endpoints.crm]"),
        "{text}"
    );
}
