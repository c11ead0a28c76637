//! What a saved file does: noticed however it was saved, taken whole or not at all, and what a switched toggle asks for.

use std::os::unix::fs::symlink;
use std::time::Instant;

use super::*;

/// The jobs about orders, by state.
async fn states(daemon: &Daemon) -> Vec<JobState> {
    let mut states: Vec<_> = order_jobs(daemon)
        .await
        .into_iter()
        .map(|(_, state)| state)
        .collect();
    states.sort();
    states
}

fn text(orders: &str) -> String {
    Place::text(&format!("{{ in = \"{orders}\" }}"), "")
}

#[tokio::test]
async fn a_save_is_noticed_whatever_way_it_was_made() {
    type Save<'a> = &'a dyn Fn(&str);
    let place = Place::new();
    let daemon = place.start(system_clock()).await.unwrap();
    let path = place.path();
    let folder = place.folder.path();
    let mut revision = daemon.revision();
    let over: Save<'_> = &|text| std::fs::write(&path, text).unwrap();
    let renamed: Save<'_> = &|text| {
        let draft = folder.join(".lockstep.toml.swp");
        std::fs::write(&draft, text).unwrap();
        std::fs::rename(&draft, &path).unwrap();
    };
    let moved_away: Save<'_> = &|text| {
        std::fs::rename(&path, folder.join("lockstep.toml~")).unwrap();
        std::fs::write(&path, text).unwrap();
    };
    // As mounted volumes do it: the file leads through a link that is exchanged.
    let mount = |name: &str, text: &str| {
        let version = folder.join(name);
        std::fs::create_dir(&version).unwrap();
        std::fs::write(version.join("lockstep.toml"), text).unwrap();
        let link = folder.join("..data_tmp");
        symlink(name, &link).unwrap();
        std::fs::rename(&link, folder.join("..data")).unwrap();
    };
    let linked: Save<'_> = &|text| {
        mount("..1", text);
        std::fs::remove_file(&path).unwrap();
        symlink("..data/lockstep.toml", &path).unwrap();
    };
    let relinked: Save<'_> = &|text| mount("..2", text);
    for (name, save, orders) in [
        ("written over", over, "paused"),
        ("renamed over", renamed, "on"),
        ("moved away and made anew", moved_away, "paused"),
        ("a link", linked, "on"),
        ("a link that leads elsewhere", relinked, "paused"),
    ] {
        save(&text(orders));
        let saved = Instant::now();
        until(name, async || daemon.revision() != revision).await;
        // Ten times what is promised.
        assert!(
            saved.elapsed() < Duration::from_secs(30),
            "{name}: {:?}",
            saved.elapsed()
        );
        revision = daemon.revision();
    }
    daemon.stop().await;
}

#[tokio::test]
async fn half_a_file_changes_nothing() {
    let place = Place::new();
    let daemon = place.start(system_clock()).await.unwrap();
    let first = daemon.revision();
    let whole = text("off");
    // Every place where a writer may have got to, each seen by a look.
    let ends = (0..whole.len()).step_by(97).chain([0, 1, whole.len() - 3]);
    for end in ends {
        std::fs::write(place.path(), &whole.as_bytes()[..end]).unwrap();
        let refused = daemon.reload().await;
        assert!(refused.is_err(), "{end}: {refused:?}");
    }
    for garbage in [&b"\xff\xfe\x00"[..], b"\0\0\0\0"] {
        std::fs::write(place.path(), garbage).unwrap();
        daemon.reload().await.unwrap_err();
    }
    std::fs::remove_file(place.path()).unwrap();
    daemon.reload().await.unwrap_err();
    assert_eq!(daemon.revision(), first);
    assert_eq!(deliver(&daemon, 1).await, 200);
    assert_eq!(order_jobs(&daemon).await.len(), 1, "orders are still on");
    std::fs::write(place.path(), &whole).unwrap();
    until("the whole file is taken", async || daemon.revision() != first).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_file_that_is_being_written_is_left_alone_until_it_holds_still() {
    let place = Place::new();
    // Each half is a configuration: a second shop is written behind the first.
    let second = text("on")
        .split("[shops.main]")
        .nth(1)
        .unwrap()
        .replace("[shops.main", "[shops.second")
        .replace("main-store", "second-store");
    let whole = format!("{}[shops.second]{second}", text("paused"));
    let daemon = place.start(system_clock()).await.unwrap();
    let first = daemon.revision();
    let summary = async || {
        let newest = daemon.store.newest_revision().await.unwrap().unwrap();
        newest.summary
    };
    // Somebody writes for longer than it takes to notice.
    let half = text("paused");
    let writing = Instant::now();
    let mut n = 0;
    while writing.elapsed() < Duration::from_secs(4) {
        n += 1;
        std::fs::write(place.path(), format!("{half}# {n}\n")).unwrap();
        pause(Duration::from_millis(20)).await;
    }
    assert_eq!(daemon.revision(), first, "it never held still");
    std::fs::write(place.path(), &whole).unwrap();
    until("the whole is taken", async || daemon.revision() != first).await;
    assert!(
        summary().await.contains("shops main, second;"),
        "{}",
        summary().await
    );
    daemon.stop().await;
}

#[tokio::test]
async fn what_stood_before_comes_back_as_a_new_revision() {
    let place = Place::new();
    let daemon = place.start(system_clock()).await.unwrap();
    let mut seen = vec![daemon.revision()];
    for orders in ["paused", "on", "paused"] {
        place.write(orders, "");
        seen.push(daemon.reload().await.unwrap());
    }
    let mut rising = seen.clone();
    rising.sort();
    rising.dedup();
    assert_eq!(seen, rising, "each is newer than the one before");
    // Nothing new: a comment, a signal.
    let last = daemon.revision();
    std::fs::write(place.path(), text("paused") + "# a remark\n").unwrap();
    assert_eq!(daemon.reload().await.unwrap(), last);
    assert_eq!(daemon.reload().await.unwrap(), last);
    daemon.stop().await;
}

#[tokio::test]
async fn waiting_jobs_are_done_held_or_discarded_when_it_is_switched_off() {
    use JobState::{Available, Discarded};
    for (when_off, expected) in [
        // Nobody answers at either address: what is tried fails, so it waits for another time.
        ("drain", None),
        ("hold", Some(vec![Available, Available])),
        ("discard", Some(vec![Discarded, Discarded])),
    ] {
        let place = Place::new();
        let write = |toggle: &str| {
            let orders = format!("{{ in = \"{toggle}\", when_off = \"{when_off}\" }}");
            std::fs::write(place.path(), Place::text(&orders, "")).unwrap();
        };
        write("paused");
        let daemon = place.start(system_clock()).await.unwrap();
        for order in [1, 2] {
            assert_eq!(deliver(&daemon, order).await, 200);
        }
        assert_eq!(states(&daemon).await, [Available, Available]);
        write("off");
        daemon.reload().await.unwrap();
        match &expected {
            Some(expected) => until(when_off, async || states(&daemon).await == *expected).await,
            None => until(when_off, async || !states(&daemon).await.contains(&Available)).await,
        }
        if when_off == "discard" {
            let jobs = daemon.store.jobs(JobFilter::default()).await.unwrap();
            assert!(
                jobs.iter()
                    .all(|job| job.reason.as_deref() == Some("switched off")),
                "{jobs:?}"
            );
        }
        if when_off == "hold" {
            // The queue has looked since: a job of an open lane was tried.
            let shop: ShopName = "main".parse().unwrap();
            let id = crate::domain::ShopifyId(7);
            crate::app::enqueue::sync_now(&daemon.store, &system_clock(), &shop, Object::Customer, id)
                .await
                .unwrap();
            until("another lane is worked on", async || {
                let filter = JobFilter {
                    object: Some(Object::Customer),
                    ..JobFilter::default()
                };
                let jobs = daemon.store.jobs(filter).await.unwrap();
                jobs.iter().all(|job| job.state != Available)
            })
            .await;
            assert_eq!(states(&daemon).await, [Available, Available]);
        }
        // What comes late is recorded and answered.
        assert_eq!(deliver(&daemon, 3).await, 200);
        assert_eq!(order_jobs(&daemon).await.len(), 2, "{when_off}");
        if when_off == "hold" {
            write("on");
            daemon.reload().await.unwrap();
            until("held jobs go on", async || {
                !states(&daemon).await.contains(&Available)
            })
            .await;
        }
        daemon.stop().await;
    }
}

#[tokio::test]
async fn a_toggle_that_was_switched_while_nothing_ran_discards_at_the_next_start_and_only_once() {
    let place = Place::new();
    let write = |toggle: &str| {
        let orders = format!("{{ in = \"{toggle}\", when_off = \"discard\" }}");
        std::fs::write(place.path(), Place::text(&orders, "")).unwrap();
    };
    write("paused");
    let daemon = place.start(system_clock()).await.unwrap();
    assert_eq!(deliver(&daemon, 1).await, 200);
    daemon.stop().await;
    write("off");
    let daemon = place.start(system_clock()).await.unwrap();
    until("it is discarded", async || {
        states(&daemon).await == [JobState::Discarded]
    })
    .await;
    daemon.stop().await;
    // A person asks for one all the same: a further start leaves it alone.
    let config = Config::load(&place.path()).unwrap();
    let store = crate::app::open(&config, &system_clock(), OpenMode::Tool)
        .await
        .unwrap();
    let shop: ShopName = "main".parse().unwrap();
    crate::app::enqueue::sync_now(
        &store,
        &system_clock(),
        &shop,
        Object::Order,
        crate::domain::ShopifyId(9),
    )
    .await
    .unwrap();
    store.close().await;
    let daemon = place.start(system_clock()).await.unwrap();
    until("it is tried", async || {
        let jobs = order_jobs(&daemon).await;
        jobs.iter()
            .any(|(id, state)| id == "9" && *state != JobState::Available)
    })
    .await;
    let jobs = order_jobs(&daemon).await;
    assert!(
        jobs.iter()
            .any(|(id, state)| id == "9" && *state != JobState::Discarded),
        "{jobs:?}"
    );
    daemon.stop().await;
}

#[tokio::test]
async fn the_files_that_endpoints_name_are_followed_as_the_configuration_is() {
    let place = Place::new();
    let folder = place.folder.path();
    let certificates = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tls");
    let whole = std::fs::read_to_string(certificates.join("ca.pem")).unwrap();
    let other = std::fs::read_to_string(certificates.join("expired-ca.pem")).unwrap();
    std::fs::write(folder.join("body"), "{{ event.id }}").unwrap();
    std::fs::write(folder.join("ca.pem"), &whole).unwrap();
    let endpoint = "[notify.endpoints.chat]\nurl = \"https://hooks.example.com/1\"\nevents = [\"order.*\"]\n\
                    ca_file = \"ca.pem\"\nbody = { template_file = \"body\", mime = \"text/plain\" }\n";
    std::fs::write(place.path(), format!("{}{endpoint}", text("on"))).unwrap();
    let daemon = place.start(system_clock()).await.unwrap();
    let first = daemon.revision();

    std::fs::write(folder.join("body"), "{{ event.type }}").unwrap();
    until("the template is taken up", async || daemon.revision() != first).await;
    let second = daemon.revision();

    let not_taken = async || {
        let noted = daemon
            .store
            .cursor(&reach::installation(), reach::NOT_TAKEN)
            .await;
        noted.unwrap().unwrap_or_default()
    };
    // Half of it has been written so far.
    std::fs::write(folder.join("ca.pem"), &whole[..whole.len() / 2]).unwrap();
    until("half a certificate is refused", async || {
        not_taken().await.contains("ca_file")
    })
    .await;
    std::fs::write(folder.join("ca.pem"), other).unwrap();
    until("the whole one is taken up", async || not_taken().await.is_empty()).await;
    assert_eq!(daemon.revision(), second, "what a node trusts is its own affair");

    std::fs::write(folder.join("body"), "{{ event.nme }}").unwrap();
    until("a mistake is told with its place", async || {
        let told = not_taken().await;
        told.contains("body:1:") && told.contains("nme")
    })
    .await;
    assert_eq!(daemon.revision(), second);
    daemon.stop().await;
}
