//! Files as people write them, and what becomes of them.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use super::*;

const FILE: &str = r#"# Ours. Ask Ada before changing anything.
[http]
public_url = "https://sync.example.com"   # behind the proxy

[shops.main]
domain = "main-store.myshopify.com"
access_token = "${TOKEN}"
webhook_secrets = ["hunter2"]

[shops.main.odoo]
url = "https://erp.example.com"
database = "prod"
login = "connector@example.com"
api_key = "${KEY}"

# The toggles.
[shops.main.sync]
orders    = { in = "on" }                 # since March
customers = { in = "on", topics = ["customers/merge"] }   

[shops.zweite]     # the second one
domain = "zweite.myshopify.com"
access_token = "${TOKEN}"
webhook_secrets = ["hunter3"]
odoo = { url = "https://erp.example.com", database = "prod", login = "connector@example.com", api_key = "${KEY}" }
"#;

fn environment(name: &str) -> Option<String> {
    matches!(name, "TOKEN" | "KEY").then(|| format!("the-{name}"))
}

fn shop(name: &str) -> ShopName {
    name.parse().unwrap()
}

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new(text: &str) -> Self {
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        std::fs::write(place.path(), text).unwrap();
        place
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("lockstep.toml")
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.path()).unwrap()
    }

    fn set(
        &self,
        name: &str,
        object: Object,
        direction: Direction,
        toggle: Toggle,
    ) -> Result<Edited, ToggleError> {
        set_with(&self.path(), &shop(name), object, direction, toggle, &environment)
    }

    fn files(&self) -> usize {
        std::fs::read_dir(self.folder.path()).unwrap().count()
    }
}

#[test]
fn only_the_toggle_changes() {
    use Direction::{In, Out};
    use Object::{Customer, Inventory, Order, Product};
    for (name, object, direction, toggle, from, to) in [
        (
            "main",
            Order,
            In,
            Toggle::Off,
            "orders    = { in = \"on\" }  ",
            "orders    = { in = \"off\" }  ",
        ),
        (
            "main",
            Customer,
            In,
            Toggle::Paused,
            "customers = { in = \"on\", ",
            "customers = { in = \"paused\", ",
        ),
        (
            "main",
            Customer,
            Out,
            Toggle::On,
            "[\"customers/merge\"] }   \n",
            "[\"customers/merge\"], out = \"on\" }   \n",
        ),
        (
            "main",
            Product,
            In,
            Toggle::On,
            "[\"customers/merge\"] }   \n",
            "[\"customers/merge\"] }   \nproducts = { in = \"on\" }\n",
        ),
        (
            "main",
            Inventory,
            In,
            Toggle::On,
            "[\"customers/merge\"] }   \n",
            "[\"customers/merge\"] }   \ninventory = { in = \"on\", out = \"off\" }\n",
        ),
        (
            "zweite",
            Order,
            In,
            Toggle::On,
            "api_key = \"${KEY}\" }\n",
            "api_key = \"${KEY}\" }\n\n[shops.zweite.sync]\norders = { in = \"on\" }\n",
        ),
    ] {
        let place = Place::new(FILE);
        let edited = place.set(name, object, direction, toggle).unwrap();
        assert!(edited.written, "{edited:?}");
        assert!(FILE.contains(from), "{from}");
        assert_eq!(
            place.text(),
            FILE.replace(from, to),
            "{object} {direction} {toggle}"
        );
        assert_eq!(place.files(), 1, "no draft is left behind");
        let again = place.set(name, object, direction, toggle).unwrap();
        assert!(!again.written && again.diff.is_empty() && again.read_only.is_none());
    }
}

#[test]
fn every_way_to_write_it_is_understood() {
    let head = &FILE[..FILE.find("# The toggles.").unwrap()];
    for (name, sync, expected) in [
        (
            "a table of its own",
            "[shops.main.sync.orders]\n# why\nin = 'on' # yes\n",
            "[shops.main.sync.orders]\n# why\nin = 'off' # yes\n",
        ),
        (
            "dotted",
            "[shops.main.sync]\norders.in = \"on\"\n",
            "[shops.main.sync]\norders.in = \"off\"\n",
        ),
        (
            "dotted further",
            "[shops.main]\nx = 1\n",
            "", // Replaced below: a table may not be declared twice.
        ),
        (
            "on one line",
            "[shops.main.sync]\norders={in=\"on\",topics=[]}\n",
            "[shops.main.sync]\norders={in=\"off\",topics=[]}\n",
        ),
        (
            "over several lines",
            "[shops.main.sync]\norders = { in = \"on\", topics = [\n  \"orders/fulfilled\", # parcels\n] }\n",
            "[shops.main.sync]\norders = { in = \"off\", topics = [\n  \"orders/fulfilled\", # parcels\n] }\n",
        ),
        (
            "quoted keys",
            "[\"shops\".\"main\".'sync']\n\"orders\" = { \"in\" = \"on\" }\n",
            "[\"shops\".\"main\".'sync']\n\"orders\" = { \"in\" = \"off\" }\n",
        ),
        (
            "lines that end in two",
            "[shops.main.sync]\r\norders = { in = \"on\" }\r\n",
            "[shops.main.sync]\r\norders = { in = \"off\" }\r\n",
        ),
    ] {
        let (mut before, mut after) = (format!("{head}{sync}"), format!("{head}{expected}"));
        if name == "dotted further" {
            before = head.replace("[shops.main]\n", "[shops.main]\nsync.orders.in = \"on\"\n");
            after = before.replace("sync.orders.in = \"on\"", "sync.orders.in = \"off\"");
        }
        if name == "lines that end in two" {
            before = before.replace("\r\n", "\n").replace('\n', "\r\n");
            after = after.replace("\r\n", "\n").replace('\n', "\r\n");
        }
        for mark in ["", "\u{feff}"] {
            let place = Place::new(&format!("{mark}{before}"));
            place
                .set("main", Object::Order, Direction::In, Toggle::Off)
                .unwrap();
            assert_eq!(place.text(), format!("{mark}{after}"), "{name}");
        }
    }
}

#[test]
fn stock_that_followed_the_products_keeps_its_other_direction() {
    let place = Place::new(&FILE.replace(
        "orders    =",
        "products = { in = \"on\", out = \"paused\", when_off = \"hold\" }\norders    =",
    ));
    place
        .set("main", Object::Inventory, Direction::In, Toggle::Off)
        .unwrap();
    assert!(
        place
            .text()
            .contains("\ninventory = { in = \"off\", out = \"paused\", when_off = \"hold\" }\n"),
        "{}",
        place.text()
    );
}

#[test]
fn the_difference_can_be_applied_and_shows_no_secret() {
    let place = Place::new(FILE);
    let mut permissions = std::fs::metadata(place.path()).unwrap().permissions();
    permissions.set_mode(0o444);
    std::fs::set_permissions(place.path(), permissions).unwrap();
    let edited = place
        .set("main", Object::Order, Direction::In, Toggle::Off)
        .unwrap();
    assert!(!edited.written);
    assert!(edited.read_only.unwrap().contains("permissions"));
    assert_eq!(place.text(), FILE, "it is left as it is");
    let path = place.path().display().to_string();
    assert_eq!(
        edited.diff,
        format!(
            "--- {path}\n+++ {path}\n@@ -15,7 +15,7 @@\n \n # The toggles.\n [shops.main.sync]\n-orders    = {{ in = \"on\" }}                 # since March\n\
             +orders    = {{ in = \"off\" }}                 # since March\n customers = {{ in = \"on\", topics = [\"customers/merge\"] }}   \n \n \
             [shops.zweite]     # the second one\n"
        )
    );

    let inline = "shops = { main = { domain = \"a.myshopify.com\", access_token = \"hunter2\", webhook_secrets = [\"hunter2\"], \
                  odoo = { url = \"https://erp.example.com\", database = \"d\", login = \"l\", api_key = \"hunter2\" }, \
                  sync = { orders = { in = \"on\" } } } }\n";
    let place = Place::new(inline);
    let edited = place
        .set("main", Object::Order, Direction::In, Toggle::Off)
        .unwrap();
    assert!(
        edited.written && !edited.diff.contains("hunter2"),
        "{}",
        edited.diff
    );
    assert!(
        edited.diff.contains("orders = { in = \"off\" }"),
        "{}",
        edited.diff
    );
    assert_eq!(
        place.text(),
        inline.replace("orders = { in = \"on\" }", "orders = { in = \"off\" }")
    );
}

#[test]
fn nothing_is_written_when_the_whole_would_not_be_usable() {
    let broken = FILE.replace("main-store.myshopify.com", "shop.example.com");
    let private = FILE.replace("https://sync.example.com", "http://10.0.0.7");
    let private = private.replace("orders    = { in = \"on\" }", "orders    = { in = \"off\" }");
    let private = private.replace("customers = { in = \"on\"", "customers = { in = \"off\"");
    for (name, text, shop, object, direction, said) in [
        (
            "broken before",
            broken.as_str(),
            "main",
            Object::Order,
            Direction::In,
            "has an error",
        ),
        (
            "no such shop",
            FILE,
            "other",
            Object::Order,
            Direction::In,
            "it has: main, zweite",
        ),
        (
            "orders out",
            FILE,
            "main",
            Object::Order,
            Direction::Out,
            "an order is made in the shop",
        ),
        (
            "no toggle",
            FILE,
            "main",
            Object::Shop,
            Direction::In,
            "no toggle",
        ),
        (
            "a private address",
            private.as_str(),
            "main",
            Object::Order,
            Direction::In,
            "could not be used",
        ),
    ] {
        let place = Place::new(text);
        let error = place.set(shop, object, direction, Toggle::On).unwrap_err();
        assert!(error.to_string().contains(said), "{name}: {error}");
        assert_eq!(place.text(), text, "{name}");
        assert_eq!(place.files(), 1, "{name}");
    }
    let missing = Place::new(FILE);
    std::fs::remove_file(missing.path()).unwrap();
    let error = missing
        .set("main", Object::Order, Direction::In, Toggle::Off)
        .unwrap_err();
    assert!(error.to_string().contains("cannot read"), "{error}");
}

#[test]
fn links_and_permissions_stay() {
    let place = Place::new(FILE);
    // As a mounted volume has it: the file is a link to a link.
    let real = place.folder.path().join("..data");
    std::fs::create_dir(&real).unwrap();
    std::fs::rename(place.path(), real.join("lockstep.toml")).unwrap();
    symlink("..data/lockstep.toml", place.path()).unwrap();
    let mut permissions = std::fs::metadata(place.path()).unwrap().permissions();
    permissions.set_mode(0o640);
    std::fs::set_permissions(place.path(), permissions).unwrap();
    // Only the system's administrator may give a file away; for everybody else it stays theirs.
    let _refused = std::os::unix::fs::chown(place.path(), Some(12_345), Some(54_321));
    let before = std::fs::metadata(place.path()).unwrap();
    let edited = place
        .set("main", Object::Order, Direction::In, Toggle::Off)
        .unwrap();
    assert!(edited.written);
    assert!(
        std::fs::symlink_metadata(place.path()).unwrap().is_symlink(),
        "the link stays"
    );
    let after = std::fs::metadata(place.path()).unwrap();
    assert_eq!(
        (after.mode(), after.uid(), after.gid()),
        (before.mode(), before.uid(), before.gid())
    );
    assert_ne!(after.ino(), before.ino(), "it was replaced, not written over");
    assert!(place.text().contains("orders    = { in = \"off\" }"));
}

#[test]
fn what_cannot_be_written_leaves_the_file_as_it_was() {
    let place = Place::new(FILE);
    // In the place of the draft.
    let obstacle = format!(".lockstep.toml.{}", std::process::id());
    std::fs::create_dir(place.folder.path().join(obstacle)).unwrap();
    let error = place
        .set("main", Object::Order, Direction::In, Toggle::Off)
        .unwrap_err();
    assert!(
        matches!(error, ToggleError::Edit(EditError::Write { .. })),
        "{error:?}"
    );
    assert_eq!(place.text(), FILE);
}

#[test]
fn several_at_once_lose_nothing() {
    let place = Place::new(FILE);
    let wishes = [
        (Object::Order, Direction::In, Toggle::Paused),
        (Object::Customer, Direction::In, Toggle::Off),
        (Object::Product, Direction::In, Toggle::On),
        (Object::Product, Direction::Out, Toggle::On),
        (Object::Customer, Direction::Out, Toggle::Paused),
    ];
    std::thread::scope(|scope| {
        for (object, direction, toggle) in wishes {
            let place = &place;
            scope.spawn(move || place.set("main", object, direction, toggle).unwrap());
        }
    });
    let config = Config::parse(&place.text(), &place.path(), &environment).unwrap();
    let sync = &config.shops[&shop("main")].sync;
    for (object, direction, toggle) in wishes {
        assert_eq!(sync.toggle(object, direction), toggle, "{object} {direction}");
    }
}

/// Names the file for the process that edits it.
const EDITS: &str = "LOCKSTEP_TEST_TOGGLES";

/// The system's user without rights.
const NOBODY: u32 = 65_534;

/// What the process without rights does, which runs the same test again.
fn edit_as_another_user(path: &std::ffi::OsStr) {
    let (order, off) = (Object::Order, Toggle::Off);
    let edited = set_with(
        Path::new(path),
        &shop("main"),
        order,
        Direction::In,
        off,
        &environment,
    );
    println!("edited: {}", serde_json::to_string(&edited.unwrap()).unwrap());
}

/// Switches orders off, without the rights of the system's administrator: those of permissions do not count for them.
fn edited_without_rights(place: &Place, is_admin: bool) -> serde_json::Value {
    use std::os::unix::process::CommandExt as _;

    let mut command = std::process::Command::new("/proc/self/exe");
    command
        .args(["--exact", "app::toggle::tests::a_file_that_cannot_be_replaced_is_written_over_and_one_that_cannot_be_either_is_shown"])
        .arg("--nocapture")
        .env(EDITS, place.path());
    if is_admin {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find_map(|line| line.split_once("edited: "));
    let (_, edited) = line.unwrap_or_else(|| panic!("{text}"));
    serde_json::from_str(edited).unwrap()
}

#[test]
fn a_file_that_cannot_be_replaced_is_written_over_and_one_that_cannot_be_either_is_shown() {
    if let Some(path) = std::env::var_os(EDITS) {
        return edit_as_another_user(&path);
    }
    let set_mode = |path: &Path, mode: u32| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let place = Place::new(FILE);
    let is_admin = std::fs::metadata(place.path()).unwrap().uid() == 0;
    if is_admin {
        std::os::unix::fs::chown(place.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    set_mode(&place.path(), 0o644);
    // No draft can be made in the folder, and nothing moved over what is there.
    set_mode(place.folder.path(), 0o555);
    let before = std::fs::metadata(place.path()).unwrap();
    let edited = edited_without_rights(&place, is_admin);
    assert_eq!(edited["written"], true, "{edited}");
    assert!(edited["read_only"].is_null(), "{edited}");
    let new = FILE.replace("orders    = { in = \"on\" }  ", "orders    = { in = \"off\" }  ");
    assert_eq!(place.text(), new);
    let after = std::fs::metadata(place.path()).unwrap();
    assert_eq!(after.ino(), before.ino(), "the same file");
    assert_eq!(place.files(), 1, "nothing is left beside it");

    // Now the file may not be written either.
    set_mode(place.folder.path(), 0o755);
    std::fs::write(place.path(), FILE).unwrap();
    if is_admin {
        std::os::unix::fs::chown(place.path(), Some(0), Some(0)).unwrap();
    } else {
        set_mode(&place.path(), 0o444);
    }
    set_mode(place.folder.path(), 0o555);
    let edited = edited_without_rights(&place, is_admin);
    assert_eq!(edited["written"], false, "{edited}");
    assert!(edited["read_only"].is_string(), "{edited}");
    let diff = edited["diff"].as_str().unwrap();
    assert!(
        diff.contains("\n-orders    = { in = \"on\" }") && diff.contains("\n+orders    = { in = \"off\" }"),
        "{diff}"
    );
    assert_eq!(place.text(), FILE);
    assert_eq!(place.files(), 1);
    set_mode(place.folder.path(), 0o755);
}
