//! Looking for variants by their keys, for many products at once.
//!
//! A first push asks for every product whether the shop has its variants already. One search takes many keys, so attempts
//! that run at the same time share one: whoever asks while others are about to, or while a look is on its way, is looked
//! for together with them. A look begins after everything was asked that it answers, so nobody gets an answer that is
//! older than his question, unless he says what will be asked next: then there is room in the same call for that, and the
//! answers are kept for a moment ([`foreseen`]).

mod foreseen;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};

use self::foreseen::{Foreseen, Forgets};
use super::lock;
use super::refusal::incomplete;
use crate::domain::{Fields, Product, Timestamp, VariantFound, VariantKeys};
use crate::shopify::Shopify;
use crate::shopify::documents::{self, Document};
use crate::shopify::error::ShopifyError;

/// Keys of one search.
const KEYS_PER_SEARCH: usize = 40;
/// The searches of one call, by their names in the document.
const SEARCHES: [&str; 5] = ["first", "second", "third", "fourth", "fifth"];
/// Searches that are there in any case where there are several.
const ALWAYS: usize = 2;
/// Keys of one call.
const KEYS_PER_CALL: usize = KEYS_PER_SEARCH * SEARCHES.len();
/// More pages of 100 than one search of so few keys has.
const MOST_PAGES: usize = 100;
/// How long a look waits for those who are about to ask, and for what comes next.
const GATHERS: Duration = Duration::from_secs(4);

/// Questions about variants that wait for a look.
#[derive(Debug, Default)]
pub(in crate::shopify) struct Looks {
    waiting: Mutex<Vec<Asked>>,
    /// Held by whoever looks, for all who wait.
    turn: tokio::sync::Mutex<()>,
    /// How many are about to ask.
    expected: Arc<watch::Sender<usize>>,
    foreseen: Foreseen,
}

/// One question.
#[derive(Debug)]
struct Asked {
    keys: VariantKeys,
    /// Whether an answer that was fetched before the question will do.
    foreseen: bool,
    tell: oneshot::Sender<Result<Vec<VariantFound>, Arc<ShopifyError>>>,
}

/// As terms of a search.
fn terms(keys: &VariantKeys) -> Vec<String> {
    let term =
        |name: &str, key: &str| format!("{name}:\"{}\"", key.replace('\\', "\\\\").replace('"', "\\\""));
    let skus = keys.skus.iter().map(|key| term("sku", key));
    skus.chain(keys.barcodes.iter().map(|key| term("barcode", key)))
        .collect()
}

/// Those that have one of these very keys: a search may be looser than meant.
fn of(keys: &VariantKeys, found: &[VariantFound]) -> Vec<VariantFound> {
    let has = |key: Option<&String>, keys: &BTreeSet<String>| key.is_some_and(|key| keys.contains(key));
    let is_meant =
        |one: &&VariantFound| has(one.sku.as_ref(), &keys.skus) || has(one.barcode.as_ref(), &keys.barcodes);
    found.iter().filter(is_meant).cloned().collect()
}

fn add(all: &mut VariantKeys, keys: &VariantKeys) {
    all.skus.extend(keys.skus.iter().cloned());
    all.barcodes.extend(keys.barcodes.iter().cloned());
}

/// Who knows what will be looked for next.
#[async_trait]
pub trait Upcoming: Send + Sync {
    /// What the next products will be looked for by, at most so many, each apart. Asked by whoever looks, so not for every
    /// question. A guess is enough: what was foreseen wrongly is never used.
    async fn keys(&self, most: usize) -> Vec<VariantKeys>;
}

/// Somebody who is about to look for variants: looks of others wait a moment for that. Dropped with the question, or when
/// there is none after all.
#[derive(Debug)]
pub struct ExpectedLook(Arc<watch::Sender<usize>>);

impl Drop for ExpectedLook {
    fn drop(&mut self) {
        self.0
            .send_modify(|expected| *expected = expected.saturating_sub(1));
    }
}

impl Looks {
    fn expect(&self) -> ExpectedLook {
        self.expected.send_modify(|expected| *expected += 1);
        ExpectedLook(Arc::clone(&self.expected))
    }

    fn ask(
        &self,
        keys: &VariantKeys,
        foreseen: bool,
    ) -> oneshot::Receiver<Result<Vec<VariantFound>, Arc<ShopifyError>>> {
        let (tell, told) = oneshot::channel();
        lock(&self.waiting).push(Asked {
            keys: keys.clone(),
            foreseen,
            tell,
        });
        told
    }

    /// Gives those who wait what was foreseen of their questions. Returns the number of the others' keys.
    fn give_foreseen(&self, now: Timestamp) -> usize {
        let mut waiting = lock(&self.waiting);
        // Whoever asked and gave up needs no answer.
        waiting.retain(|asked| !asked.tell.is_closed());
        let all = std::mem::take(&mut *waiting);
        for asked in all {
            let answer = asked
                .foreseen
                .then(|| self.foreseen.take(&asked.keys, now))
                .flatten();
            match answer {
                Some(found) => drop(asked.tell.send(Ok(found))),
                None => waiting.push(asked),
            }
        }
        waiting.iter().map(|asked| asked.keys.len()).sum()
    }

    /// The shop showed this product: what was found of its variants before counts for nothing.
    pub(in crate::shopify) fn seen(&self, product: &Product) {
        self.foreseen.seen(product);
    }

    /// Variants are about to be written with these fields: what was found before counts for nothing when that has ended.
    pub(super) fn writing<'a>(&self, variants: impl IntoIterator<Item = &'a Fields>) -> Forgets<'_> {
        self.foreseen.forgets_written(variants)
    }

    /// As many questions as one call takes, the oldest first, and at least one.
    fn take(&self) -> Vec<Asked> {
        let mut waiting = lock(&self.waiting);
        // Whoever asked and gave up needs no answer.
        waiting.retain(|asked| !asked.tell.is_closed());
        let mut keys = 0;
        let fits = |asked: &&Asked| {
            keys += asked.keys.len();
            keys <= KEYS_PER_CALL
        };
        let count = waiting.iter().take_while(fits).count().max(1).min(waiting.len());
        waiting.drain(..count).collect()
    }
}

impl Shopify {
    /// Says that variants are about to be looked for.
    pub fn expect_look(&self) -> ExpectedLook {
        self.known.looks.expect()
    }

    /// The variants that have one of these keys, compared exactly. Found by Shopify's search index, which lags by seconds.
    /// Questions that are asked at the same time share a call. Who says what is `upcoming` may get an answer that was
    /// fetched with an earlier question, and looks for what comes next along with it; without it the answer is never
    /// older than the question.
    ///
    /// # Errors
    /// A [`ShopifyError`], whose disposition says what it means.
    pub async fn find_variants(
        &self,
        keys: &VariantKeys,
        upcoming: Option<&dyn Upcoming>,
    ) -> Result<Vec<VariantFound>, ShopifyError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let looks = &self.known.looks;
        if upcoming.is_some()
            && let Some(found) = looks.foreseen.take(keys, self.clock.now())
        {
            return Ok(found);
        }
        let ask = || looks.ask(keys, upcoming.is_some());
        let mut told = ask();
        loop {
            let turn = tokio::select! {
                biased;
                answer = &mut told => match answer {
                    Ok(answer) => return answer.map_err(ShopifyError::Shared),
                    // Whoever looked for us ended before there was an answer.
                    Err(_) => {
                        told = ask();
                        continue;
                    }
                },
                turn = looks.turn.lock() => turn,
            };
            let now = self.clock.now();
            let asked = looks.give_foreseen(now);
            match told.try_recv() {
                Ok(answer) => return answer.map_err(ShopifyError::Shared),
                Err(oneshot::error::TryRecvError::Closed) => told = ask(),
                Err(oneshot::error::TryRecvError::Empty) => {}
            }
            let reach = if asked < KEYS_PER_CALL {
                looks.foreseen.reach(now)
            } else {
                0
            };
            let next = async {
                match upcoming {
                    // Others wait for this look: one that is silent (an ERP that is down) must not hold them up.
                    Some(upcoming) if reach > 0 => tokio::select! {
                        biased;
                        keys = upcoming.keys(reach) => keys,
                        () = self.client.rest(GATHERS) => Vec::new(),
                    },
                    _ => Vec::new(),
                }
            };
            let (next, ()) = tokio::join!(next, self.gather());
            self.look_for_all(next).await;
            drop(turn);
        }
    }

    /// Looks for what was asked, and for as much of what comes next as the same call takes.
    async fn look_for_all(&self, mut next: Vec<VariantKeys>) {
        let looks = &self.known.looks;
        let taken = looks.take();
        let mut all = VariantKeys::default();
        for asked in &taken {
            add(&mut all, &asked.keys);
        }
        let mut room = KEYS_PER_CALL.saturating_sub(all.len());
        next.retain(|keys| {
            let is_asked = taken.iter().any(|asked| asked.keys == *keys);
            let fits = !is_asked && !keys.is_empty() && keys.len() <= room;
            room -= if fits { keys.len() } else { 0 };
            fits
        });
        for keys in &next {
            add(&mut all, keys);
        }
        let ahead = looks.foreseen.begin(self.clock.now());
        let found = self.look(&all).await.map_err(Arc::new);
        for asked in taken {
            let answer = found.as_ref().map(|found| of(&asked.keys, found));
            // One who gave up meanwhile needs none.
            asked.tell.send(answer.map_err(Arc::clone)).ok();
        }
        if let Ok(found) = &found {
            ahead.keep(next.into_iter().map(|keys| {
                let found = of(&keys, found);
                (keys, found)
            }));
        }
    }

    /// Waits until all who are about to ask have asked, a moment at most.
    async fn gather(&self) {
        let mut expected = self.known.looks.expected.subscribe();
        tokio::select! {
            biased;
            // The sender lives as long as `self`.
            _ = expected.wait_for(|expected| *expected == 0) => {}
            () = self.client.rest(GATHERS) => {}
        }
    }

    async fn look(&self, keys: &VariantKeys) -> Result<Vec<VariantFound>, ShopifyError> {
        let searches: Vec<String> = terms(keys)
            .chunks(KEYS_PER_SEARCH)
            .map(|terms| terms.join(" OR "))
            .collect();
        let mut found = Vec::new();
        for searches in searches.chunks(SEARCHES.len()) {
            let [search] = searches else {
                self.look_for_many(searches, &mut found).await?;
                continue;
            };
            self.look_on(search, Value::Null, &mut found).await?;
        }
        Ok(found)
    }

    /// Several searches in one call; only one that has more than a page needs calls of its own.
    async fn look_for_many(
        &self,
        searches: &[String],
        found: &mut Vec<VariantFound>,
    ) -> Result<(), ShopifyError> {
        let document = &documents::FIND_MANY_VARIANTS;
        let mut variables = json!({
            "hasThird": searches.len() > 2, "hasFourth": searches.len() > 3, "hasFifth": searches.len() > 4,
        });
        for (at, name) in SEARCHES.iter().enumerate() {
            let search = searches.get(at).or_else(|| searches.get(ALWAYS - 1));
            variables[*name] = json!(search);
        }
        let data = self.client.call(document, &variables).await?;
        for (name, search) in SEARCHES.iter().zip(searches) {
            let next = read_page(document, &data[*name], found)?;
            if let Some(cursor) = next {
                self.look_on(search, cursor, found).await?;
            }
        }
        Ok(())
    }

    async fn look_on(
        &self,
        search: &str,
        mut cursor: Value,
        found: &mut Vec<VariantFound>,
    ) -> Result<(), ShopifyError> {
        let document = &documents::FIND_VARIANTS;
        for _ in 0..MOST_PAGES {
            let variables = json!({ "search": search, "cursor": cursor });
            let data = self.client.call(document, &variables).await?;
            match read_page(document, &data["productVariants"], found)? {
                Some(next) => cursor = next,
                None => return Ok(()),
            }
        }
        Err(incomplete(document, "its pages do not end"))
    }
}

/// Adds a page's variants; returns where the next one begins.
fn read_page(
    document: &Document,
    list: &Value,
    found: &mut Vec<VariantFound>,
) -> Result<Option<Value>, ShopifyError> {
    let nodes = list["nodes"]
        .as_array()
        .ok_or_else(|| incomplete(document, "it has no list of variants"))?;
    for node in nodes {
        let one = variant_found(node).ok_or_else(|| incomplete(document, "a variant has no number"))?;
        if !found.contains(&one) {
            found.push(one);
        }
    }
    let has_more = list.pointer("/pageInfo/hasNextPage").and_then(Value::as_bool) == Some(true);
    Ok(has_more.then(|| list.pointer("/pageInfo/endCursor").cloned().unwrap_or_default()))
}

fn variant_found(node: &Value) -> Option<VariantFound> {
    let text = |path: &str| {
        let text = node.pointer(path).and_then(Value::as_str);
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    Some(VariantFound {
        product: text("/product/id")?.parse().ok()?,
        variant: text("/id")?.parse().ok()?,
        sku: text("/sku"),
        barcode: text("/barcode"),
    })
}
