//! The demonstration holds, and notices when the ERP cheats.

use std::process::Command;

fn demo(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_lockstep"))
        .args(["demo", "--once", "--orders", "12"])
        .args(arguments)
        .output()
        .expect("the binary can be run");
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), text)
}

/// The number behind this in what is told in the end.
fn figure(text: &str, what: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.trim().strip_prefix(what))?;
    line.trim().parse().ok()
}

#[test]
fn the_demonstration_holds_on_every_version_of_odoo() {
    for version in ["17", "18", "19"] {
        let (code, text) = demo(&["--odoo", version]);
        assert_eq!(code, Some(0), "Odoo {version}:\n{text}");
        for part in [
            "Both sides agree",
            "in the end",
            "webhooks delivered and accepted",
            "duplicates avoided",
            "jobs",
            "attempts",
            "that failed and were repeated",
            "sales orders in the ERP",
            "totals compared, to the cent",
            "Waiting for a person, with reasons:",
            "Where to look next:",
        ] {
            assert!(text.contains(part), "Odoo {version}, `{part}`:\n{text}");
        }
        let taken = figure(
            &text,
            "notifications that the receiver took, each signed and once",
        );
        assert!(taken > Some(0), "Odoo {version}: {taken:?}\n{text}");
    }
}

#[test]
fn the_demonstration_fails_when_the_erp_cheats_and_says_at_what() {
    for (sabotage, sentence) in [
        ("lose", "it is missing in the ERP"),
        ("double", "it stands in the ERP 2 times"),
        ("cent", "it costs"),
    ] {
        let (code, text) = demo(&["--sabotage", sabotage]);
        assert_eq!(code, Some(1), "{sabotage}:\n{text}");
        let (_, broken) = text.split_once("NOT as it should be:").unwrap_or_default();
        assert!(broken.contains(sentence), "{sabotage}, `{sentence}`:\n{text}");
        assert!(!text.contains("Both sides agree"), "{sabotage}:\n{text}");
    }
}
