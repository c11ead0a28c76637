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

#[test]
fn the_demonstration_holds_on_every_version_of_odoo() {
    for version in ["17", "18", "19"] {
        let (code, text) = demo(&["--odoo", version]);
        assert_eq!(code, Some(0), "Odoo {version}:\n{text}");
        assert!(text.contains("Both sides agree"), "{text}");
    }
}

#[test]
fn the_demonstration_fails_when_the_erp_cheats() {
    for sabotage in ["lose", "double", "cent"] {
        let (code, text) = demo(&["--sabotage", sabotage]);
        assert_eq!(code, Some(1), "{sabotage}:\n{text}");
        assert!(text.contains("NOT as it should be"), "{sabotage}:\n{text}");
    }
}
