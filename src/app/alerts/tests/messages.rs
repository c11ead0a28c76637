//! The digest, the trial, and how a mail server is talked to.

use super::*;

#[tokio::test]
async fn the_digest_comes_once_a_day_at_its_time() {
    let chat = Chat::new().await;
    let settings = format!(
        "[alerts]\ndaily_at = \"13:30\"\nchat_url = \"{}\"",
        chat.url("/hook")
    );
    let mut rig = Rig::new(&settings).await;
    rig.order("1001", Verdict::Completed).await;
    rig.round_after(MINUTE * 89).await;
    assert!(chat.texts("/hook").is_empty());
    rig.round_after(MINUTE).await;
    rig.round_after(MINUTE).await;
    let texts = chat.texts("/hook");
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert!(texts[0].contains("1 jobs completed (100 % well)"), "{}", texts[0]);
    assert!(texts[0].contains("Nothing is open."), "{}", texts[0]);
    rig.watch = Rig::watch(&rig.store, &rig.clock, &rig.config, "b");
    rig.round_after(HOUR).await;
    assert_eq!(chat.texts("/hook").len(), 1);
    rig.round_after(HOUR * 24).await;
    assert_eq!(chat.texts("/hook").len(), 2);
}

#[tokio::test]
async fn a_digest_that_is_due_before_midnight_is_written_after_it() {
    let chat = Chat::new().await;
    let settings = format!(
        "[alerts]\ndaily_at = \"23:00\"\nchat_url = \"{}\"",
        chat.url("/hook")
    );
    let mut rig = Rig::new(&settings).await;
    rig.watch.round().await;
    // Nobody looked from noon to half past midnight.
    rig.round_after(MINUTE * 750).await;
    rig.round_after(MINUTE).await;
    assert_eq!(chat.texts("/hook").len(), 1);
    rig.round_after(HOUR * 5).await;
    assert_eq!(chat.texts("/hook").len(), 1);
}

#[tokio::test]
async fn a_trial_tells_what_happened_by_each_way() {
    let (mails, chat) = (Mails::new().await, Chat::new().await);
    chat.answer("/gone", 410);
    let settings = format!(
        "[alerts]\nemail = [\"ops@example.com\"]\nchat_url = \"{}\"\n[owners.ada]\nchat_url = \"{}\"\n{}",
        chat.url("/gone"),
        chat.url("/ada"),
        mails.section()
    );
    let config = config(&settings);
    let trials = trials(&config.alerts, Timestamp::from_millis(NOON)).await;
    let told: Vec<_> = trials
        .iter()
        .map(|trial| {
            (
                trial.owner.as_str(),
                trial.channel.as_str(),
                trial.error.is_none(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("general", "email", true),
            ("general", "chat", false),
            ("ada", "chat", true)
        ]
    );
    assert!(
        trials[1].error.as_ref().unwrap().contains("HTTP 410"),
        "{trials:?}"
    );
    assert!(mails.last().contains("Nothing is wrong."));
}

#[tokio::test]
async fn whoever_logs_in_shows_the_password_and_no_error_repeats_it() {
    let mails = Mails::new().await;
    mails.demand("ada", "pass word");
    for (password, is_taken) in [("pass word", true), ("wrong one", false)] {
        let settings = format!(
            "[alerts]\nemail = [\"ops@example.com\"]\n{}user = \"ada\"\npassword = \"{password}\"\n",
            mails.section()
        );
        let config = config(&settings);
        let trials = trials(&config.alerts, Timestamp::from_millis(NOON)).await;
        assert_eq!(trials[0].error.is_none(), is_taken, "{trials:?}");
        assert!(!format!("{trials:?} {config:?}").contains(password), "{trials:?}");
    }
}

#[tokio::test]
async fn a_mail_server_must_change_to_tls_with_a_certificate_that_is_trusted() {
    let (mails, open) = (Mails::with_tls().await, Mails::new().await);
    let tls = |mails: &Mails, ca: &str| {
        let section = mails.section().replace("tls = \"none\"", "tls = \"starttls\"");
        format!("[alerts]\nemail = [\"ops@example.com\"]\n{section}{ca}")
    };
    let ca = format!("ca_file = \"{}\"\n", receivers::fixture("ca.pem").display());
    for (name, settings, expected) in [
        ("trusted", tls(&mails, &ca), None),
        ("of nobody", tls(&mails, ""), Some("certificate")),
        ("without TLS", tls(&open, &ca), Some("STARTTLS")),
    ] {
        let trials = trials(&config(&settings).alerts, Timestamp::from_millis(NOON)).await;
        let error = trials[0].error.as_deref();
        match expected {
            None => assert_eq!(error, None, "{name}"),
            Some(words) => assert!(
                error.is_some_and(|error| error.to_lowercase().contains(&words.to_lowercase())),
                "{name}: {error:?}"
            ),
        }
    }
    assert!(mails.was_encrypted());
    assert_eq!(
        (mails.count(), open.count()),
        (1, 0),
        "nothing was said in the open"
    );
}
