//! What `docs/guides/verify` shows receivers, run against signatures of ours in every language whose interpreter is here.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::domain::{Clock as _, SystemClock};

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// The file, what runs it, and what shows that this is here with all that it needs.
const RECIPES: [(&str, &str, &[&str]); 6] = [
    ("verify.py", "python3", &["-c", "import hmac"]),
    ("verify.mjs", "node", &["--version"]),
    ("verify.php", "php", &["--version"]),
    (
        "verify.rb",
        "ruby",
        &["-ropenssl", "-e", "OpenSSL.secure_compare('a', 'a')"],
    ),
    (
        "verify.pl",
        "perl",
        &["-MDigest::SHA", "-MMIME::Base64", "-e", "1"],
    ),
    ("verify.sh", "bash", &["-c", "openssl version && od --version"]),
];

/// A request as a receiver sees it, and whether it is genuine.
struct Case {
    what: &'static str,
    /// What the recipe is started with: id, timestamp, signatures.
    arguments: Vec<String>,
    body: Vec<u8>,
    is_genuine: bool,
}

fn cases() -> Vec<Case> {
    let ours = SigningSecret::parse(SECRET).unwrap();
    let other = SigningSecret::parse(&format!("whsec_{}", STANDARD.encode([7; 32]))).unwrap();
    let body = "{\"name\":\"Käthe\"}\n".as_bytes().to_vec();
    let now = SystemClock.now();
    let signed = |secrets: &[SigningSecret], at: Timestamp| signatures(secrets, "evt_1", at, &body).unwrap();
    let case = |what, at: Timestamp, signatures: String, body: &[u8], is_genuine| Case {
        what,
        arguments: vec!["evt_1".to_owned(), (at.millis() / 1000).to_string(), signatures],
        body: body.to_vec(),
        is_genuine,
    };
    let old = now.minus(std::time::Duration::from_secs(600));
    let both = [other.clone(), ours.clone()];
    let one = std::slice::from_ref(&ours);
    // What the shell makes of variables that are not set, or not quoted.
    let mut missing = case("signature missing", now, String::new(), &body, false);
    missing.arguments.pop();
    let mut words = case("two words", now, signed(one, now), &body, false);
    words.arguments.push(signed(one, now));
    vec![
        missing,
        words,
        case("empty signature", now, String::new(), &body, false),
        case("while secrets rotate", now, signed(&both, now), &body, true),
        case(
            "another body",
            now,
            signed(one, now),
            &body[..body.len() - 1],
            false,
        ),
        case("another secret", now, signed(&[other], now), &body, false),
        case("an old request", old, signed(one, old), &body, false),
        case(
            "another version",
            now,
            signed(one, now).replace("v1,", "v2,"),
            &body,
            false,
        ),
    ]
}

fn quiet(command: &mut Command) -> &mut Command {
    command.stdout(Stdio::null()).stderr(Stdio::null())
}

fn start(file: &str, program: &str, case: &Case) -> Child {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guides/verify");
    let mut command = Command::new(program);
    command
        .arg(folder.join(file))
        .args(&case.arguments)
        .env("WEBHOOK_SECRET", SECRET)
        .stdin(Stdio::piped());
    let mut child = quiet(&mut command).spawn().unwrap();
    // One that refuses by the headers alone does not read the body.
    let _unread = child.stdin.take().unwrap().write_all(&case.body);
    child
}

#[test]
fn receivers_verify_our_signatures_with_what_the_docs_show() {
    let cases = cases();
    let (mut ran, mut missing) = (Vec::new(), Vec::new());
    for (file, program, probe) in RECIPES {
        // A name of a version manager may be there without a program behind it.
        if !quiet(Command::new(program).args(probe))
            .status()
            .is_ok_and(|status| status.success())
        {
            missing.push(program);
            continue;
        }
        let children: Vec<Child> = cases.iter().map(|case| start(file, program, case)).collect();
        for (case, mut child) in cases.iter().zip(children) {
            let code = child.wait().unwrap().code();
            let expected = i32::from(!case.is_genuine);
            assert_eq!(code, Some(expected), "{file}: {}", case.what);
        }
        ran.push(file);
    }
    eprintln!("run: {}; not here: {}", ran.join(", "), missing.join(", "));
    assert!(!ran.is_empty(), "none of the languages is on this machine");
}

#[test]
fn the_guide_names_every_recipe() {
    let guide = include_str!("../../../docs/guides/notifications.md");
    for (file, ..) in RECIPES {
        assert!(guide.contains(&format!("verify/{file}")), "{file}");
    }
}
