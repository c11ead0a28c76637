//! Logging in: once for everybody, again after a rotation, and not over and over with a wrong key.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use super::scripted::Scripted;
use super::{clock, connect, settings};
use crate::domain::ErpId;
use crate::erp::odoo::call::Call;
use crate::erp::odoo::{Protocol, Reference, Settings};
use crate::erp::{Erp as _, ErpError};
use crate::secret::Secret;

fn call() -> Call {
    Call::read("res.partner", "read").on([ErpId(1)])
}

#[tokio::test]
async fn many_workers_log_in_once() {
    for json2 in [false, true] {
        let server = Scripted::start(json2, []).await;
        for _ in 0..20 {
            server.then(server.result(&json!([])));
        }
        let odoo = super::scripted(&server);
        let call = call();
        let results = join_all((0..20).map(|_| odoo.session.call(&call))).await;
        assert!(results.iter().all(Result::is_ok));
        assert_eq!(server.logins(), 1, "JSON-2 {json2}");
    }
}

#[tokio::test]
async fn a_refused_key_is_read_again_once_before_anybody_is_told() {
    for json2 in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "old").unwrap();
        let server = Scripted::start(json2, []).await;
        let refusal = || {
            let name = if json2 {
                "werkzeug.exceptions.Unauthorized"
            } else {
                "odoo.exceptions.AccessDenied"
            };
            server.fault(401, name, "Access Denied")
        };
        let clock = clock();
        let odoo = connect(settings(&server.url()), Secret::file(&path), &clock);
        odoo.about().await.unwrap();
        // A file whose time does not tell that it changed.
        let written = std::fs::metadata(&path).unwrap().modified().unwrap();
        std::fs::write(&path, "new").unwrap();
        let file = std::fs::File::options().append(true).open(&path).unwrap();
        file.set_modified(written).unwrap();
        server.then(refusal());
        server.then(server.result(&json!([])));
        assert!(odoo.session.call(&call()).await.is_ok(), "the new key was taken");
        assert_eq!(server.logins(), 2);
        if json2 {
            continue;
        }
        let seen = server.seen();
        assert_eq!(seen[0]["params"]["args"][2], "old");
        assert_eq!(seen[1]["params"]["args"][2], "new");
    }
}

#[tokio::test]
async fn a_replaced_key_is_taken_up_before_the_old_one_is_refused() {
    for json2 in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "old").unwrap();
        let server = Scripted::start(json2, []).await;
        let odoo = connect(settings(&server.url()), Secret::file(&path), &clock());
        server.then(server.result(&json!([])));
        assert!(odoo.session.call(&call()).await.is_ok());
        assert_eq!(server.logins(), 1);
        std::fs::write(&path, "new").unwrap();
        let file = std::fs::File::options().append(true).open(&path).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(5))
            .unwrap();
        for _ in 0..5 {
            server.then(server.result(&json!([])));
        }
        let call = call();
        let results = join_all((0..5).map(|_| odoo.session.call(&call))).await;
        assert!(results.iter().all(Result::is_ok), "{results:?}");
        assert_eq!(server.logins(), 2, "once for everybody");
        let login = odoo.session.known_login().unwrap();
        assert_eq!(secrecy::ExposeSecret::expose_secret(&login.key), "new");
    }
}

#[tokio::test]
async fn a_wrong_key_is_tried_seldom_until_it_changes() {
    for json2 in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "wrong").unwrap();
        let server = Scripted::start(json2, []).await;
        server.refuse_logins(true);
        let clock = clock();
        let odoo = connect(settings(&server.url()), Secret::file(&path), &clock);
        for _ in 0..3 {
            let error = odoo.session.call(&call()).await.unwrap_err();
            assert!(matches!(error, ErpError::Refused { .. }), "{error}");
        }
        assert_eq!(server.logins(), 1, "each try costs Odoo a second");
        clock.advance(Duration::from_secs(16));
        assert!(odoo.session.call(&call()).await.is_err());
        assert_eq!(server.logins(), 2);
        std::fs::write(&path, "right").unwrap();
        server.refuse_logins(false);
        server.then(server.result(&json!([])));
        // A file whose time did not change is read again after a refusal, or when its time changes.
        let file = std::fs::File::options().append(true).open(&path).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(5))
            .unwrap();
        assert!(odoo.session.call(&call()).await.is_ok());
        assert_eq!(server.logins(), 3);
    }
}

#[tokio::test]
async fn the_protocol_follows_the_version_or_the_settings() {
    for (json2, protocol, expected) in [
        (false, Protocol::Auto, Some("json-rpc")),
        (true, Protocol::Auto, Some("json-2")),
        (true, Protocol::JsonRpc, Some("json-rpc")),
        (false, Protocol::JsonRpc, Some("json-rpc")),
    ] {
        let server = Scripted::start(json2, []).await;
        let settings = Settings {
            protocol,
            ..settings(&server.url())
        };
        let about = connect(settings, Secret::text("key"), &clock()).about().await;
        assert_eq!(
            about.ok().map(|about| about.protocol).as_deref(),
            expected,
            "{json2} {protocol:?}"
        );
    }
}

#[tokio::test]
async fn a_company_that_is_not_there_is_a_fault_of_the_settings() {
    let server = Scripted::start(false, []).await;
    server.then(server.result(&json!([])));
    let settings = Settings {
        company: Some(Reference::Name("Nowhere".to_owned())),
        ..settings(&server.url())
    };
    let error = connect(settings, Secret::text("key"), &clock())
        .about()
        .await
        .unwrap_err();
    assert!(
        matches!(&error, ErpError::Misconfigured { message } if message.contains("Nowhere")),
        "{error}"
    );
}

#[tokio::test]
async fn a_file_that_cannot_be_read_says_so_without_a_call() {
    let server = Scripted::start(false, []).await;
    let odoo = connect(settings(&server.url()), Secret::file("/nowhere/key"), &clock());
    let error = Arc::new(odoo).about().await.unwrap_err();
    assert!(error.to_string().contains("/nowhere/key"), "{error}");
    assert_eq!(server.logins(), 0);
}

#[tokio::test]
async fn a_server_without_json_rpc_is_recognised_by_its_newer_address() {
    let server = Scripted::start(true, []).await;
    server.take_json_rpc_away();
    let odoo = connect(settings(&server.url()), Secret::text("key"), &clock());
    let about = odoo.about().await.unwrap();
    assert_eq!((about.major, about.protocol.as_str()), (22, "json-2"));
}

#[tokio::test]
async fn no_more_calls_run_at_once_than_the_settings_allow() {
    for (allowed, at_least) in [(1, 1), (3, 2)] {
        let server = Scripted::start(false, []).await;
        for _ in 0..30 {
            server.then(server.result(&json!([])));
        }
        let settings = Settings {
            max_concurrent_calls: allowed,
            ..settings(&server.url())
        };
        let odoo = connect(settings, Secret::text("key"), &clock());
        let call = call();
        let results = join_all((0..30).map(|_| odoo.session.call(&call))).await;
        assert!(results.iter().all(Result::is_ok));
        let most = server.most_running();
        assert!(
            (at_least..=allowed as usize).contains(&most),
            "{most} of {allowed}"
        );
    }
}
