//! The console in a real browser: from "why is my order not in the ERP" to the order in the ERP.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use lockstep::sandbox::shopify::draft::Buyer;

use crate::support::browser::Browser;
use crate::support::daemon::{Daemon, PATIENCE, Start, run};
use crate::support::world::{Database, World, until};

const PASSWORD: &str = "correct horse";

/// What makes a page hard to use, found in the page itself: fields without labels, texts that are too pale, headings out of
/// order, ids that stand twice, and whatever is wider than the window.
const FAULTS: &str = r#"
const faults = [];
const light = (c) => { const f = c.map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
  return 0.2126 * f[0] + 0.7152 * f[1] + 0.0722 * f[2]; };
const parts = (text) => (text.match(/[\d.]+/g) || []).map(Number);
const ground = (element) => { for (let at = element; at; at = at.parentElement) {
  const colour = parts(getComputedStyle(at).backgroundColor);
  if (colour.length === 3 || colour[3] > 0.99) return colour.slice(0, 3); } return [255, 255, 255]; };
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement, text = walker.currentNode.textContent.trim();
  if (!text || !element.checkVisibility() || element.matches(".skip, :disabled *")) continue;
  const style = getComputedStyle(element), size = parseFloat(style.fontSize);
  const [a, b] = [light(parts(style.color).slice(0, 3)), light(ground(element))];
  const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const needed = size >= 24 || (size >= 18.66 && parseInt(style.fontWeight) >= 700) ? 3 : 4.5;
  if (contrast < needed) faults.push(`contrast ${contrast.toFixed(2)}: ${text.slice(0, 40)}`);
}
for (const field of document.querySelectorAll("input:not([type=hidden]), select, textarea"))
  if (!field.labels || field.labels.length === 0) faults.push(`no label: ${field.name}`);
for (const one of document.querySelectorAll("a, button"))
  if (!one.textContent.trim() && !one.getAttribute("aria-label")) faults.push(`no text: ${one.outerHTML.slice(0, 60)}`);
const ids = [...document.querySelectorAll("[id]")].map((one) => one.id);
for (const id of new Set(ids)) if (ids.filter((other) => other === id).length > 1) faults.push(`id twice: ${id}`);
if (document.querySelectorAll("h1").length !== 1) faults.push("not one h1");
let level = 1;
for (const one of document.querySelectorAll("h1, h2, h3, h4")) {
  const next = Number(one.tagName[1]);
  if (next > level + 1) faults.push(`heading skips: ${one.textContent.slice(0, 40)}`);
  level = next;
}
if (!document.documentElement.lang) faults.push("no language");
if (!document.querySelector("main")) faults.push("no main");
for (const table of document.querySelectorAll("table:not(.code)"))
  if (!table.querySelector("th[scope=col]")) faults.push("table without headers");
if (document.documentElement.scrollWidth > window.innerWidth) faults.push(`wider than the window: ${document.documentElement.scrollWidth}`);
return faults;
"#;

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
            for (width, size) in [(1280, ""), (390, "-narrow")] {
                self.browser.width(width).await;
                let faults = self.browser.run(FAULTS).await;
                self.browser.picture(&format!("{name}-{scheme}{size}")).await;
                assert_eq!(faults, serde_json::json!([]), "{name}, {scheme}, {width}");
            }
        }
        self.browser.width(1280).await;
        self.browser.colours("light").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_finds_out_why_mends_it_and_sees_the_order_in_the_erp() {
    let world = World::new(Database::Sqlite).await;
    let shipped = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/mappings/order.in.toml"))
        .expect("the shipped mapping can be read");
    let broken = shipped.replace(
        "client_order_ref = \"order.name\"",
        "client_order_ref = { value = \"order.po_number\", missing = \"fail\" }",
    );
    assert_ne!(broken, shipped);
    let mapping = world.folder.path().join("mappings/order.in.toml");
    std::fs::write(&mapping, broken).expect("the mapping can be written");
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
    let reason = browser.find("//section//h2").await.text().await;
    let source = browser.source().await;
    for part in ["client_order_ref", "order.in.toml", "order desk", "What to do"] {
        assert!(source.contains(part), "{part}: {source}");
    }
    // One cause, three orders: it is mended once, and all are tried again.
    std::fs::write(&mapping, shipped).expect("the mapping can be written");
    until(
        "the daemon takes the corrected mapping",
        || daemon.log().contains("took changed mappings").then_some(()),
        || daemon.log(),
    )
    .await;
    browser.press("Problems").await;
    visit.look("problems").await;
    let reason = reason.split(['"', '\'']).next().unwrap_or_default().to_owned();
    browser.press(&reason).await;
    visit.look("cluster").await;
    browser.press("Try all 3 jobs again").await;
    browser.find("//p[contains(@class, 'notice good')]").await;
    for name in &orders {
        world.booked(name, "sale", &daemon).await;
    }
    world.idle(&daemon).await;
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
    assert!(
        source.contains("olga") && source.contains("start batch"),
        "{source}"
    );
    for name in ["webhooks", "mappings", "settings"] {
        visit.open(&format!("/{name}")).await;
        visit.look(&format!("{name}-of-an-operator")).await;
    }
    visit.open("/mappings/order.in.toml").await;
    visit.look("mapping").await;
    browser.press("Log out").await;
    browser.find("//h1[. = 'Log in']").await;
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
