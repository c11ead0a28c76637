//! Settings as people write them.

use super::*;
use crate::notify::render::tests::Paths;

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

fn check(text: &str) -> (Vec<Endpoint>, Vec<Flaw>) {
    let settings: Settings = toml::from_str(text).unwrap_or_else(|error| panic!("{error}"));
    let shops = BTreeSet::from(["main".parse().unwrap(), "outlet".parse().unwrap()]);
    settings.check(&Known {
        shops: &shops,
        expressions: &Paths,
    })
}

/// The flaws of an endpoint `slack` with these lines, besides an address and events.
fn flaws(lines: &str) -> Vec<Flaw> {
    let url = if lines.contains("url") {
        ""
    } else {
        "url = 'https://hooks.example.com/x'\n"
    };
    let events = if lines.contains("events") {
        ""
    } else {
        "events = ['order.*']\n"
    };
    check(&format!("[endpoints.slack]\n{url}{events}{lines}")).1
}

#[test]
fn a_whole_endpoint_is_taken_as_it_is_written() {
    let (endpoints, flaws) = check(&format!(
        "allow_networks = ['10.1.2.0/24']
        [endpoints.sheet]
        url = 'https://10.1.2.3/hooks'
        events = ['order.synced', '*.failed']
        shops = ['main']
        secrets = ['{SECRET}', '{SECRET}']
        priority = 'high'
        unique = true
        rate = '50/s'
        batch = 20
        timeout = '10s'
        include = ['record', 'values']
        personal_data = true
        when_paused = 'discard'
        owner = 'ops'
        [endpoints.sheet.headers]
        X-Team = 'night'
        [endpoints.sheet.auth]
        user = 'ada'
        password = 'open sesame'
        [endpoints.sheet.hmac]
        header = 'X-Hub-Signature-256'
        prefix = 'sha256='
        secret = 'it is one'
        [endpoints.chat]
        url = 'https://chat.example.com/services/T0/B0/abcdef'
        events = ['sync.failed']
        body.template = 'failed: {{{{ event.problem.code }}}}'
        body.mime = 'text/plain'"
    ));
    assert_eq!(flaws, []);
    let [chat, sheet] = &endpoints[..] else {
        panic!("{endpoints:?}")
    };
    assert_eq!((&*chat.name, &*sheet.name), ("chat", "sheet"));
    assert_eq!(sheet.target.secrets.len(), 2);
    assert_eq!(sheet.target.timeout, Duration::from_secs(10));
    assert!(sheet.includes.record && sheet.includes.values && !sheet.includes.related);
    assert_eq!(sheet.limits.rate, "50/s".parse().ok());
    assert!(chat.template.is_some() && chat.target.secrets.is_empty());
    let shown = format!("{endpoints:?}");
    for secret in [
        "C2FV",
        "open sesame",
        "it is one",
        "night",
        "T0/B0",
        "10.1.2.3/hooks",
    ] {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
}

#[test]
fn what_cannot_be_sent_is_refused_before_it_is_needed() {
    for (name, lines, key, message) in [
        ("no event", "events = []", "events", "no event is named"),
        (
            "a slip",
            "events = ['oder.*']",
            "events",
            "`oder.*` fits no event",
        ),
        ("no address", "url = 'hooks'", "url", "no address"),
        (
            "another scheme",
            "url = 'ftp://example.com'",
            "url",
            "no address that can be sent to",
        ),
        ("in the open", "url = 'http://example.com'", "url", "not https"),
        (
            "private",
            "url = 'https://192.168.0.1/'",
            "url",
            "not public (private)",
        ),
        (
            "in disguise",
            "url = 'https://2130706433/'",
            "url",
            "not public (loopback)",
        ),
        (
            "with a password",
            "url = 'https://ada:secret@example.com/'",
            "url",
            "user and password stand in",
        ),
        (
            "two addresses",
            "url = 'https://example.com'\nurl_file = '/nowhere'",
            "url_file",
            "both `url` and `url_file`",
        ),
        (
            "file that is not there",
            "url_file = '/nowhere'",
            "url_file",
            "cannot read",
        ),
        ("empty", "url = ''", "url", "this is empty"),
        (
            "unknown shop",
            "shops = ['mian']",
            "shops",
            "no shop is named `mian`",
        ),
        (
            "condition",
            "condition = 'order.nam'",
            "condition",
            "unknown name `nam`",
        ),
        ("secret", "secrets = ['hunter2']", "secrets", "begins with whsec_"),
        (
            "short secret",
            "secrets = ['whsec_c2hvcnQ=']",
            "secrets",
            "24 to 64 bytes",
        ),
        (
            "header of ours",
            "headers = { 'webhook-id' = 'x' }",
            "headers/webhook-id",
            "set by lockstep itself",
        ),
        (
            "too much at once",
            "concurrency = 1000",
            "concurrency",
            "not within 1 and 100",
        ),
        ("no batch", "batch = 0", "batch", "not within 1 and 100"),
        ("too patient", "timeout = '5m'", "timeout", "from 1 to 60 seconds"),
        ("redirects", "redirects = 9", "redirects", "at most 5"),
        (
            "no try",
            "retry = { max_attempts = 0 }",
            "retry/max_attempts",
            "nothing would ever be sent",
        ),
        (
            "too patient between tries",
            "retry = { longest_wait_s = 864000 }",
            "retry/longest_wait_s",
            "wait for up to 10 days",
        ),
        (
            "no password",
            "auth = { user = 'ada' }",
            "auth/user",
            "a user and no password",
        ),
        (
            "no user",
            "auth = { password = 'long enough' }",
            "auth",
            "a password and no user",
        ),
        (
            "both",
            "auth = { user = 'ada', password = 'long enough', bearer = 'long enough' }",
            "auth",
            "there is a token",
        ),
        ("neither", "auth = {}", "auth", "it says nothing"),
        (
            "colon",
            "auth = { user = 'a:b', password = 'long enough' }",
            "auth/user",
            "no colon",
        ),
        (
            "hmac without a key",
            "hmac = { header = 'X-Sig' }",
            "hmac",
            "no key",
        ),
        (
            "hmac of ours",
            "hmac = { header = 'webhook-signature', secret = 'long enough' }",
            "hmac/header",
            "set by lockstep itself",
        ),
        (
            "hmac twice",
            "headers = { 'X-Sig' = '1' }\nhmac = { header = 'x-sig', secret = 'long enough' }",
            "hmac/header",
            "headers sets this header",
        ),
        (
            "short password",
            "auth = { user = 'ada', password = 'sesame1' }",
            "auth/password",
            "at least 8 bytes, this one has 7",
        ),
        (
            "short token",
            "auth = { bearer = '1234567' }",
            "auth/bearer",
            "at least 8 bytes",
        ),
        (
            "short key",
            "hmac = { header = 'X-Sig', secret = '1234567' }",
            "hmac/secret",
            "at least 8 bytes",
        ),
        (
            "charset",
            "body = { template = 'x', mime = 'text/plain; charset=latin1' }",
            "body/mime",
            "another charset than utf-8",
        ),
        (
            "two lines of mime",
            "body = { template = 'x', mime = \"text/plain\\r\\nX-More: 1\" }",
            "body/mime",
            "a character that headers cannot hold",
        ),
        (
            "no mime",
            "body = { template = 'x', mime = 'text/html' }",
            "body/mime",
            "cannot be escaped",
        ),
        ("ca", "ca_file = '/nowhere.pem'", "ca_file", "cannot read"),
        (
            "no template",
            "body = { mime = 'text/plain' }",
            "body",
            "no template",
        ),
        (
            "template",
            "body = { template = '{{ order.nam }}', mime = 'text/plain' }",
            "body/template",
            "unknown name `nam`",
        ),
        (
            "template file",
            "body = { template_file = '/nowhere' }",
            "body/template_file",
            "cannot be read",
        ),
        (
            "a batch of templates",
            "batch = 2\nbody = { template = 'x', mime = 'text/plain' }",
            "batch",
            "holds one event",
        ),
    ] {
        let found = flaws(lines);
        let [flaw] = &found[..] else {
            panic!("{name}: {found:?}")
        };
        assert_eq!(flaw.path.join("/"), format!("endpoints/slack/{key}"), "{name}");
        assert!(flaw.message.contains(message), "{name}: {}", flaw.message);
        assert!(!flaw.help.is_empty(), "{name}");
        assert!(!flaw.is_warning, "{name}");
        assert!(!format!("{flaw:?}").contains("hunter2"), "{name}");
    }
}

#[test]
fn help_names_what_was_meant() {
    assert_eq!(flaws("events = ['oder.*']")[0].help, "did you mean `order.*`?");
    assert_eq!(flaws("shops = ['mian']")[0].help, "did you mean `main`?");
    let template = &flaws("body = { template = 'x {{ order.nam }}', mime = 'text/plain' }")[0];
    assert_eq!(template.help, "did you mean `name`?");
    assert_eq!(template.place, Some(5..14), "where it stands in the template");
}

#[test]
fn a_mistake_in_a_templates_file_is_told_by_its_place_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("slack.json");
    let text = "{\n  \"text\": \"{{ order.nam }}\"\n}";
    std::fs::write(&path, text).unwrap();
    let found = flaws(&format!("body = {{ template_file = '{}' }}", path.display()));
    assert_eq!(found[0].help, "did you mean `name`?");
    let file = found[0].file.as_ref().unwrap();
    assert_eq!((&file.path, &*file.text), (&path, text));
    assert_eq!(&text[found[0].place.clone().unwrap()], "order.nam");
    assert!(found[0].is_outside);
}

#[test]
fn an_endpoint_without_anything_is_told_all_that_is_missing() {
    let (endpoints, flaws) = check("[endpoints.Slack]");
    assert!(endpoints.is_empty());
    let messages: Vec<&str> = flaws.iter().map(|flaw| flaw.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "this is no name of an endpoint",
            "no event is named, so nothing would ever be sent",
            "it says nowhere where to send"
        ]
    );
}

#[test]
fn a_body_of_ones_own_makes_includes_pointless() {
    let found = flaws("include = ['record']\nbody = { template = 'x', mime = 'text/plain' }");
    assert!(found[0].is_warning, "{found:?}");
    assert_eq!(found.len(), 1);
}

#[test]
fn endpoints_get_what_they_want_and_nothing_else() {
    use super::super::endpoint::Wants;
    use super::super::notification::tests::full;
    let (endpoints, flaws) = check(
        "[endpoints.a]
        url = 'https://example.com'
        events = ['order.*', 'endpoint.failing']
        shops = ['main']
        [endpoints.b]
        url = 'https://example.com'
        events = ['order.*']
        condition = 'order.totals.total > 1000'
        [endpoints.c]
        url = 'https://example.com'
        events = ['order.*']
        condition = 'fails'
        [endpoints.d]
        url = 'https://example.com'
        events = ['*']",
    );
    assert_eq!(flaws, []);
    let wants = |notification: &crate::notify::Notification| -> String {
        endpoints
            .iter()
            .map(|endpoint| match endpoint.wants(notification) {
                Wants::Yes => 'y',
                Wants::No => 'n',
                Wants::Unclear(_) => '?',
            })
            .collect()
    };
    let mut order = full();
    order.record = Some(serde_json::json!({ "totals": { "total": "1000.01" } }));
    assert_eq!(wants(&order), "yy?y");
    order.record = Some(serde_json::json!({ "totals": { "total": "1000" } }));
    assert_eq!(wants(&order), "yn?y");
    order.shop = Some("outlet".parse().unwrap());
    assert_eq!(wants(&order), "nn?y");
    let mut failing = full();
    failing.event = EventType::EndpointFailing;
    failing.detail = serde_json::json!({ "endpoint": "d" });
    assert_eq!(wants(&failing), "ynnn", "nobody is told of itself");
    failing.shop = None;
    failing.detail = serde_json::json!({ "endpoint": "a" });
    assert_eq!(
        wants(&failing),
        "nnny",
        "what belongs to no shop goes to whoever wants all"
    );
}

#[test]
fn a_short_secret_in_a_file_is_refused_at_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "1234567\n").unwrap();
    let found = flaws(&format!("auth = {{ bearer_file = '{}' }}", path.display()));
    assert_eq!(found[0].path[2..], ["auth", "bearer_file"], "{found:?}");
    assert!(found[0].is_outside && found.len() == 1, "{found:?}");
    std::fs::write(&path, "12345678\n").unwrap();
    assert_eq!(
        flaws(&format!("auth = {{ bearer_file = '{}' }}", path.display())),
        []
    );
}

#[test]
fn a_condition_sees_what_its_endpoint_may_see() {
    use super::super::endpoint::Wants;
    use super::super::notification::tests::full;
    let (endpoints, flaws) = check(
        "[endpoints.some]
        url = 'https://example.com'
        events = ['order.*', 'test.ping']
        condition = 'event.problem.reason'",
    );
    assert_eq!(flaws, []);
    let mut some = endpoints.into_iter().next().unwrap();
    let order = full();
    assert_eq!(some.wants(&order), Wants::No, "a reason may quote a name");
    some.includes.personal_data = true;
    assert_eq!(some.wants(&order), Wants::Yes);

    let mut ping = full();
    ping.event = EventType::TestPing;
    ping.problem = None;
    assert_eq!(some.wants(&ping), Wants::Yes, "its condition is not asked");
    ping.event = EventType::OrderSynced;
    assert_eq!(some.wants(&ping), Wants::No);
}

#[test]
fn new_settings_forget_no_secret_that_was_just_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let write = |text: &str, modified_s: u64| {
        std::fs::write(&path, text).unwrap();
        let file = std::fs::File::options().append(true).open(&path).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(modified_s))
            .unwrap();
    };
    let read = |more: &str| {
        let (endpoints, flaws) = check(&format!(
            "[endpoints.a]
            url = 'https://example.com'
            events = ['order.*']
            secrets_files = ['{}']
            {more}",
            path.display()
        ));
        assert_eq!(flaws, []);
        endpoints.into_iter().next().unwrap()
    };
    let known = |endpoint: &Endpoint| {
        let secret = endpoint.target.secrets.last().unwrap();
        secret.recent(1_000, endpoint.target.rotation).unwrap().len()
    };
    write(SECRET, 1);
    let old = read("");
    assert_eq!(known(&old), 1);
    write("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 2);
    let new = read(&format!("batch = 5\nsecrets = ['{SECRET}']"));
    assert_eq!(known(&new), 1, "a restart");
    let new = new.carry_over(&old);
    assert_eq!(known(&new), 2, "new settings");
    assert_eq!((new.batch, new.target.secrets.len()), (5, 2), "all else is new");
}

#[test]
fn an_address_in_a_file_is_the_one_that_was_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("address");
    std::fs::write(&file, "https://hooks.example.com/first\n").unwrap();
    let text = format!(
        "[endpoints.slack]\nurl_file = '{}'\nevents = ['order.*']\n",
        file.display()
    );
    let (endpoints, flaws) = check(&text);
    assert!(flaws.is_empty(), "{flaws:?}");
    // Nobody has looked at this one yet: it leads into the own network.
    std::fs::write(&file, "http://169.254.169.254/second").unwrap();
    let changed = std::fs::File::options().append(true).open(&file).unwrap();
    changed
        .set_modified(std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(5))
        .unwrap();
    let url = endpoints[0].target.url.current().unwrap();
    assert_eq!(url.expose_secret(), "https://hooks.example.com/first");
    let (endpoints, flaws) = check(&text);
    assert!(endpoints.is_empty() && !flaws.is_empty(), "{flaws:?}");
}
