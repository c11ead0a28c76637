//! Carries imports out: lists the shop page by page, and makes jobs of what is listed, few at a time, behind everything else.
//!
//! Where it stands is in the store, and moves in the transaction that makes the jobs; so whatever dies is taken up where it
//! stood. Few jobs are open at a time, not many more than imports have places. These are places of their own: what is live
//! finds one at once. An import that cannot go on says why, and goes on by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::select;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::pause;
use super::shops::Current;
use crate::app::notify::events::Events;
use crate::config::Config;
use crate::domain::{Direction, Disposition, SharedClock, ShopName, Timestamp};
use crate::failpoint::{FailPoint, reach};
use crate::queue;
use crate::shopify::{Listing, ShopifyError};
use crate::store::{ImportPage, ImportRow, ImportState, Lane, SERVING, SharedStore, StoreError};
use crate::subscriptions::Toggle;
use crate::sync::Source;

/// How often it is looked for imports while none gets on. Machine time: tests cannot move it.
const IDLE: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 1_000 });

/// How soon it is looked again after one got on: places must not stay empty for long.
const BUSY: Duration = Duration::from_millis(20);

/// The longest wait between two looks whether jobs that are at work have made room. It grows from [`BUSY`] on: jobs that take
/// long make no room soon.
const FULL: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 160 });

/// What the note of a shop that does not answer begins with. Any other note says that the import must not go on.
const NOT_LISTED: &str = "the shop cannot be listed";

/// How long the right to carry a shop's imports out holds, and when it is renewed.
const LEASE: Duration = Duration::from_secs(30);

/// The wait after a failure that does not say how long.
const AGAIN: Duration = Duration::from_secs(15);

/// What carries imports out.
pub(super) struct Importer {
    pub(super) current: Current,
    pub(super) store: SharedStore,
    pub(super) clock: SharedClock,
    pub(super) node: String,
    pub(super) stop: CancellationToken,
    pub(super) events: Events,
}

/// What is known of a shop's imports between two looks.
#[derive(Debug, Default)]
struct Known {
    /// Until when this node has the right to carry them out, less a reserve.
    held_until: Option<Timestamp>,
    /// When the shop is asked again after a failure.
    again_at: Option<Timestamp>,
    /// The next page, for which a shop may let us wait long: nobody else's import waits for it.
    next_page: Option<NextPage>,
}

/// A page that is being listed.
#[derive(Debug)]
struct NextPage {
    import: i64,
    page: AbortOnDropHandle<Result<ImportPage, ShopifyError>>,
}

impl Importer {
    /// Carries imports out until the stop.
    pub(super) async fn run(self) {
        let mut known: BTreeMap<ShopName, Known> = BTreeMap::new();
        let mut rest = IDLE;
        loop {
            select! {
                () = self.stop.cancelled() => return,
                () = pause(rest) => {}
            }
            let looked = select! {
                () = self.stop.cancelled() => return,
                looked = self.look(&mut known) => looked,
            };
            rest = match looked {
                Ok(longest) => (rest * 2).min(longest),
                Err(error) => {
                    tracing::warn!(error = %error, "cannot look for imports");
                    IDLE
                }
            };
        }
    }

    /// Takes the imports that run a step further. Says how long to rest then at most.
    async fn look(&self, known: &mut BTreeMap<ShopName, Known>) -> Result<Duration, StoreError> {
        // Of each shop the oldest: orders want customers and products that are there.
        let mut first: BTreeMap<ShopName, ImportRow> = BTreeMap::new();
        for import in self.store.open_imports().await? {
            if import.state == ImportState::Running {
                first.entry(import.shop.clone()).or_insert(import);
            }
        }
        // A newer configuration may say something else of the shops.
        let is_newest = self.current.standing.borrow().is_newest;
        if first.is_empty() || !is_newest {
            return Ok(IDLE);
        }
        // Before the pauses: who pauses a shop and then switches something on there must not see it begin.
        let config = Arc::clone(&self.current.config.borrow());
        let pauses = self.store.pauses().await?;
        let paused: BTreeSet<ShopName> = pauses.into_iter().map(|pause| pause.shop).collect();
        let mut imports: Vec<(ImportRow, Result<u32, String>)> = first
            .into_values()
            .map(|import| {
                let turn = match self.hindrance(&import, &config, &paused) {
                    Some(why) => Err(why),
                    None => Ok(0),
                };
                (import, turn)
            })
            .collect();
        // The oldest first: where there are more imports than places, the younger ones wait.
        imports.sort_by_key(|(import, _)| import.id);
        let mut windows = windows(
            &config.queue,
            imports.iter().filter(|(_, turn)| turn.is_ok()).count(),
        );
        for (_, turn) in imports.iter_mut().filter(|(_, turn)| turn.is_ok()) {
            *turn = windows.next().filter(|window| *window > 0).ok_or_else(|| {
                "imports of other shops that began before hold all places that there are for imports"
                    .to_owned()
            });
        }
        let steps = imports.into_iter().map(|(import, turn)| {
            let mut of_shop = known.remove(&import.shop).unwrap_or_default();
            async move {
                let shop = import.shop.clone();
                let longest = match self.step(import, turn, &mut of_shop).await {
                    Ok(longest) => longest,
                    Err(error) => {
                        tracing::warn!(%shop, error = %error, "cannot go on with an import");
                        of_shop.again_at = Some(self.clock.now().plus(AGAIN));
                        IDLE
                    }
                };
                (shop, of_shop, longest)
            }
        });
        let done = join_all(steps).await;
        let mut rest = IDLE;
        for (shop, of_shop, longest) in done {
            known.insert(shop, of_shop);
            rest = rest.min(longest);
        }
        Ok(rest)
    }

    /// Why an import must not go on at the moment, for people.
    fn hindrance(&self, import: &ImportRow, config: &Config, paused: &BTreeSet<ShopName>) -> Option<String> {
        let (name, object) = (&import.shop, import.object);
        let Some(shop) = config.shops.get(name) else {
            return Some(format!(
                "the configuration has no shop `{name}` any more; add it again, or stop the import"
            ));
        };
        if self.current.disabled.contains(name) {
            return Some(format!(
                "{name} is disabled because the app was uninstalled; install it again"
            ));
        }
        if paused.contains(name) {
            return Some(format!(
                "{name} is paused; `lockstep resume --shop {name}` lets it go on"
            ));
        }
        let word = match shop.sync.toggle(object, Direction::In) {
            Toggle::On => return None,
            Toggle::Off => "switched off",
            Toggle::Paused => "paused",
        };
        Some(format!(
            "{object}s are {word}; `lockstep toggle {object}s in on --shop {name}` switches them on"
        ))
    }

    /// One step of an import: another page where none is left, and as many jobs as there is room for. `turn` is how many may
    /// run or be due, or why it must not go on. Says how long to rest then at most.
    async fn step(
        &self,
        import: ImportRow,
        turn: Result<u32, String>,
        known: &mut Known,
    ) -> Result<Duration, StoreError> {
        let now = self.clock.now();
        if known.again_at.is_some_and(|at| now < at) || !self.may(&import.shop, known, now).await? {
            return Ok(IDLE);
        }
        let noted = import.error.as_deref();
        match &turn {
            Err(why) if noted != Some(why.as_str()) => {
                tracing::info!(shop = %import.shop, object = %import.object, import = import.id, "the import waits: {why}");
                self.store
                    .note_import_error(import.id, Some(why.as_str()))
                    .await?;
            }
            Ok(_) if noted.is_some_and(|noted| !noted.starts_with(NOT_LISTED)) => {
                self.store.note_import_error(import.id, None).await?;
            }
            _ => {}
        }
        let (mut has_pending, mut is_listed, mut got_on) = (import.pending > 0, import.is_listed, false);
        if turn.is_ok() && !has_pending && !is_listed {
            let engine = Arc::clone(&self.current.engine.borrow());
            let Some(context) = engine.shop(&import.shop) else {
                return Ok(IDLE);
            };
            let Some(page) = known.page(&context.source, &import).await else {
                return Ok(FULL);
            };
            match page {
                Ok(page) => {
                    known.again_at = None;
                    (has_pending, is_listed, got_on) = (!page.records.is_empty(), page.is_last, true);
                    reach(FailPoint::ImportListed).await.ok();
                    if !self.store.save_import_page(page).await? {
                        // It was stopped, or another node was faster: what stands there counts at the next look.
                        return Ok(IDLE);
                    }
                    reach(FailPoint::ImportPageSaved).await.ok();
                }
                Err(error) => {
                    self.failed(&import, known, &error).await?;
                    return Ok(IDLE);
                }
            }
        }
        let lane = Lane {
            shop: import.shop.clone(),
            object: import.object,
            direction: Direction::In,
        };
        let is_hindered = turn.is_err();
        // What cannot go on makes no jobs, and ends all the same where nothing is left to be made.
        let fed = self
            .store
            .feed_import(import.id, lane, turn.unwrap_or(0), now)
            .await?;
        if fed.made > 0 {
            reach(FailPoint::ImportFed).await.ok();
        }
        if fed.open == 0 && !has_pending && is_listed {
            let told = self.events.import_ended(&import, now);
            if self.store.end_import(import.id, told, now).await? {
                reach(FailPoint::ImportEnded).await.ok();
                tracing::info!(shop = %import.shop, object = %import.object, import = import.id, "the import is done");
                return Ok(BUSY);
            }
        }
        Ok(if got_on || fed.made > 0 {
            BUSY
        } else if fed.open > 0 && !is_hindered {
            FULL
        } else {
            IDLE
        })
    }

    /// One node at a time carries out the imports of a shop.
    async fn may(&self, shop: &ShopName, known: &mut Known, now: Timestamp) -> Result<bool, StoreError> {
        if known.held_until.is_some_and(|until| now < until) {
            return Ok(true);
        }
        let (name, holder) = (format!("import:{shop}"), format!("{SERVING}{}", self.node));
        let has = self
            .store
            .take_lease(&name, &holder, now, now.plus(LEASE))
            .await?;
        known.held_until = has.then(|| now.plus(LEASE / 3));
        known.again_at = (!has).then(|| now.plus(LEASE / 3));
        Ok(has)
    }

    /// Notes why the shop could not be listed. Nothing is skipped: it is asked again.
    async fn failed(
        &self,
        import: &ImportRow,
        known: &mut Known,
        error: &ShopifyError,
    ) -> Result<(), StoreError> {
        let wait = match error.disposition() {
            Disposition::Transient { retry_after } | Disposition::SystemDown { retry_after, .. } => {
                retry_after.unwrap_or(AGAIN)
            }
            Disposition::NotYet { after } => after,
            Disposition::Permanent | Disposition::Obsolete => AGAIN * 4,
        };
        known.again_at = Some(self.clock.now().plus(wait));
        let text = format!("{NOT_LISTED}: {error}. {}", error.fix());
        if import.error.as_ref() != Some(&text) {
            tracing::warn!(shop = %import.shop, object = %import.object, import = import.id, "{text}");
            self.store
                .note_import_error(import.id, Some(text.as_str()))
                .await?;
        }
        Ok(())
    }
}

/// How many jobs of each of so many imports may run or be due at a time: all together half as many again as run at once, so that a place
/// that becomes free is taken before this is looked at again. With very many imports the last ones have none until others end.
fn windows(queue: &queue::Settings, imports: usize) -> impl Iterator<Item = u32> {
    let places = queue.import_workers.get();
    let all = places.saturating_add(places / 2);
    let imports = u32::try_from(imports).unwrap_or(u32::MAX);
    (0..imports).map(move |place| all / imports + u32::from(place < all % imports))
}

impl Known {
    /// The next page of an import, once it is there; it is asked for where it is not.
    async fn page(
        &mut self,
        source: &Arc<dyn Source>,
        import: &ImportRow,
    ) -> Option<Result<ImportPage, ShopifyError>> {
        if self
            .next_page
            .as_ref()
            .is_none_or(|next| next.import != import.id)
        {
            let (source, wanted) = (Arc::clone(source), import.clone());
            let page = tokio::spawn(async move { page(&*source, &wanted).await });
            self.next_page = Some(NextPage {
                import: import.id,
                page: AbortOnDropHandle::new(page),
            });
        }
        let mut next = self.next_page.take()?;
        let soon = tokio::time::timeout(BUSY, &mut next.page).await;
        match soon {
            Ok(Ok(page)) => Some(page),
            // It panicked, which was logged: it is asked for again.
            Ok(Err(_)) => None,
            Err(_) => {
                self.next_page = Some(next);
                None
            }
        }
    }
}

/// The next records of an import.
async fn page(source: &dyn Source, import: &ImportRow) -> Result<ImportPage, ShopifyError> {
    let listing = Listing {
        object: import.object,
        since: import.since,
        until: import.until,
    };
    let found = source.listed(&listing, import.cursor).await?;
    Ok(ImportPage {
        import: import.id,
        after: import.cursor,
        cursor: found.last,
        records: found.ids,
        is_last: !found.has_more,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::domain::{Customer, Object, Order, Product, ShopifyId};
    use crate::shopify::{IdPage, Page};
    use crate::store::ImportCounts;

    #[test]
    fn imports_share_what_may_be_open() {
        for (places, imports, expected) in [
            (24, 0, vec![]),
            (24, 1, vec![36]),
            (24, 2, vec![18, 18]),
            (24, 5, vec![8, 7, 7, 7, 7]),
            (1, 1, vec![1]),
            (1, 2, vec![1, 0]),
            (3, 5, vec![1, 1, 1, 1, 0]),
        ] {
            let queue: queue::Settings = toml::from_str(&format!("import_workers = {places}")).unwrap();
            let found: Vec<u32> = windows(&queue, imports).collect();
            assert_eq!(found, expected, "{places} places, {imports} imports");
        }
    }

    /// A shop that answers when it is let.
    struct Slow {
        asked: AtomicUsize,
        answers: Semaphore,
    }

    #[async_trait]
    impl Source for Slow {
        async fn order(&self, _: ShopifyId, _: &str) -> Result<Option<Order>, ShopifyError> {
            Ok(None)
        }
        async fn customer(&self, _: ShopifyId, _: &str) -> Result<Option<Customer>, ShopifyError> {
            Ok(None)
        }
        async fn product(&self, _: ShopifyId, _: &str) -> Result<Option<Product>, ShopifyError> {
            Ok(None)
        }
        async fn probe(&self) -> Result<(), ShopifyError> {
            Ok(())
        }
        async fn changed_since(
            &self,
            _: Object,
            _: Timestamp,
            _: Option<String>,
        ) -> Result<Page, ShopifyError> {
            unreachable!("an import lists")
        }
        async fn listed(&self, _: &Listing, _: Option<ShopifyId>) -> Result<IdPage, ShopifyError> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let _answered = self.answers.acquire().await;
            Ok(IdPage {
                ids: vec![ShopifyId(7)],
                last: Some(ShopifyId(7)),
                has_more: false,
            })
        }
    }

    #[tokio::test]
    async fn nobody_waits_for_a_shop_that_is_slow_to_list() {
        let slow = Arc::new(Slow {
            asked: AtomicUsize::new(0),
            answers: Semaphore::new(0),
        });
        let source: Arc<dyn Source> = slow.clone();
        let import = ImportRow {
            id: 1,
            shop: "main".parse().unwrap(),
            object: Object::Order,
            since: None,
            until: None,
            actor: "ada".to_owned(),
            state: ImportState::Running,
            cursor: None,
            listed: 0,
            pending: 0,
            is_listed: false,
            error: None,
            warning: None,
            started_at: Timestamp::default(),
            ended_at: None,
            counts: ImportCounts::default(),
        };
        let mut known = Known::default();
        for _ in 0..3 {
            let page = known.page(&source, &import).await;
            assert!(page.is_none(), "it has not answered");
        }
        assert_eq!(slow.asked.load(Ordering::SeqCst), 1, "it is asked once");
        slow.answers.add_permits(1);
        let page = loop {
            if let Some(page) = known.page(&source, &import).await {
                break page.unwrap();
            }
        };
        assert_eq!((page.import, page.records), (1, vec![ShopifyId(7)]));
        assert!(
            known.next_page.is_none(),
            "the next look asks for what comes then"
        );
    }
}
