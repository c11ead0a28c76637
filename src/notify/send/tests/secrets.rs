//! Secrets that change, and secrets that a receiver repeats.

use super::*;

#[tokio::test]
async fn while_a_secrets_file_changes_both_sign() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    let write = |text: &str, modified_s: u64| {
        std::fs::write(&file, text).unwrap();
        let file = std::fs::File::options().append(true).open(&file).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(modified_s))
            .unwrap();
    };
    let (address, requests) = answering(OK).await;
    let sender = Sender::new(
        Target {
            secrets: vec![Secret::file(&file)],
            rotation: Duration::from_secs(3600),
            ..target(&format!("http://{address}/"))
        },
        &loopback(),
    )
    .unwrap();
    write(SECRET, 1);
    assert!(sender.send(&message(), SystemClock.now()).await.is_taken());
    write("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 2);
    assert!(sender.send(&message(), SystemClock.now()).await.is_taken());
    write("not a secret", 3);
    let attempt = sender.send(&message(), SystemClock.now()).await;
    assert_eq!(code(&attempt), Some(FailureCode::Secret), "{attempt:?}");
    let told = attempt.failure.unwrap().to_string();
    for part in [
        file.to_str().unwrap(),
        "`secrets_files`",
        "begins with whsec_",
        "write the one",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    write("whsec_BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB", 4);
    let attempt = sender.send(&message(), SystemClock.now()).await;
    assert!(attempt.is_taken(), "the mistake is corrected: {attempt:?}");
    write(SECRET, 5);
    assert!(sender.send(&message(), SystemClock.now()).await.is_taken());
    let signatures: Vec<usize> = requests
        .lock()
        .unwrap()
        .iter()
        .map(|(head, _)| header_of(head, "webhook-signature").unwrap().split(' ').count())
        .collect();
    assert_eq!(signatures, [1, 2, 1, 2], "and nothing was sent without one");
}

#[tokio::test]
async fn our_secrets_are_not_kept_when_a_receiver_repeats_them() {
    let address = serving(|mut stream| async move {
        let (head, _) = read_request(&mut stream).await;
        let repeated = header_of(&head, "authorization").unwrap();
        let answer = format!(
            "HTTP/1.1 200 OK\r\nset-cookie: session=1\r\nx-auth: {repeated}\r\ncontent-length: {}\r\n\r\n{head}",
            head.len()
        );
        drop(stream.write_all(answer.as_bytes()).await);
    })
    .await;
    let target = Target {
        auth: Some(Auth::Bearer(Secret::text("token-0123456789"))),
        headers: vec![header("x-api-key", "key-0123456789").unwrap()],
        ..target(&format!("http://{address}/services/T0B0?key=query-0123"))
    };
    let shown = format!("{target:?}");
    let attempt = send(target).await;
    let answer = attempt.answer.unwrap();
    let kept = format!("{:?} {}", answer.headers, answer.body);
    for secret in [
        "token-0123456789",
        "key-0123456789",
        "session=1",
        "C2FV",
        "T0B0",
        "query-0123",
    ] {
        assert!(!kept.contains(secret), "{kept}");
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(kept.contains("x-api-key: (hidden)"), "{kept}");
    assert!(kept.contains("webhook-id: evt_1"), "{kept}");
}

#[tokio::test]
async fn our_secrets_are_not_kept_when_a_receiver_that_knows_them_writes_them_otherwise() {
    let (password, plain, code) = ("open sesame", "Jefe and friends", "YWRhOm9wZW4gc2VzYW1l");
    let told = format!("password={password}; code={code}; signing={SECRET}; hmac={plain}.");
    let answer = format!("HTTP/1.1 401 No\r\ncontent-length: {}\r\n\r\n{told}", told.len());
    let (address, _) = answering(answer).await;
    let attempt = send(Target {
        hmac: Some(HmacHeader {
            header: "x-hub-signature".parse().unwrap(),
            encoding: HmacEncoding::Hex,
            prefix: String::new(),
            secret: Secret::text(plain),
        }),
        auth: Some(Auth::Basic {
            user: "ada".to_owned(),
            password: Secret::text(password),
        }),
        ..target(&format!("http://{address}/"))
    })
    .await;
    assert_eq!(
        attempt.answer.unwrap().body,
        "password=(hidden); code=(hidden); signing=(hidden); hmac=(hidden)."
    );
}

#[tokio::test]
async fn a_secret_is_not_kept_where_the_kept_part_ends() {
    // Several that are repeated make the text shorter, and what was beyond its end moves into it.
    for (before, repeated) in [
        (0, 1),
        (4_090, 1),
        (4_093, 1),
        (4_096, 1),
        (4_060, 1),
        (3_900, 12),
        (100, 200),
    ] {
        let body = "x".repeat(before) + &"token-0123456789 ".repeat(repeated) + &"y".repeat(9_000);
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let (address, _) = answering(answer).await;
        let attempt = send(Target {
            auth: Some(Auth::Bearer(Secret::text("token-0123456789"))),
            ..target(&format!("http://{address}/"))
        })
        .await;
        let answer = attempt.answer.unwrap();
        assert!(
            answer.is_cut && answer.body.len() <= 4096,
            "{before}: {}",
            answer.body.len()
        );
        for part in ["tok", "0123", "789"] {
            assert!(!answer.body.contains(part), "{before}: {}", answer.body);
        }
    }
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_says_which_file_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let (none, empty) = (folder.path().join("none"), folder.path().join("empty"));
    std::fs::write(&empty, " \n").unwrap();
    for (auth, file, key, fix) in [
        (
            Auth::Bearer(Secret::file(&none)),
            &none,
            "`auth.bearer_file`",
            "put it there",
        ),
        (
            Auth::Basic {
                user: "ada".to_owned(),
                password: Secret::file(&empty),
            },
            &empty,
            "`auth.password_file`",
            "write the secret into it",
        ),
    ] {
        let target = Target {
            auth: Some(auth),
            ..target("http://127.0.0.1:9/")
        };
        let sender = Sender::new(target, &loopback()).unwrap();
        let attempt = sender.send(&message(), SystemClock.now()).await;
        assert_eq!(code(&attempt), Some(FailureCode::Secret), "{attempt:?}");
        let told = attempt.failure.unwrap().to_string();
        for part in [file.to_str().unwrap(), key, fix] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
}
