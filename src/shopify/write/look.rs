//! Looking for variants by their keys, for many products at once.
//!
//! A first push asks for every product whether the shop has its variants already. One search takes many keys, so attempts
//! that run at the same time share one: whoever asks while others are about to, or while a look is on its way, is looked
//! for together with them. A look begins after everything was asked that it answers, so nobody gets an answer that is
//! older than his question.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};

use super::lock;
use super::refusal::incomplete;
use crate::domain::VariantFound;
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
/// How long a look waits for those who are about to ask.
const GATHERS: Duration = Duration::from_secs(4);

/// Questions about variants that wait for a look.
#[derive(Debug, Default)]
pub(super) struct Looks {
    waiting: Mutex<Vec<Asked>>,
    /// Held by whoever looks, for all who wait.
    turn: tokio::sync::Mutex<()>,
    /// How many are about to ask.
    expected: Arc<watch::Sender<usize>>,
}

/// One question.
#[derive(Debug)]
struct Asked {
    keys: Keys,
    tell: oneshot::Sender<Result<Vec<VariantFound>, Arc<ShopifyError>>>,
}

/// What variants are looked for by.
#[derive(Clone, Debug, Default)]
struct Keys {
    skus: BTreeSet<String>,
    barcodes: BTreeSet<String>,
}

impl Keys {
    fn new(skus: &[String], barcodes: &[String]) -> Self {
        let different = |keys: &[String]| {
            let keys = keys.iter().map(|key| key.trim()).filter(|key| !key.is_empty());
            keys.map(str::to_owned).collect()
        };
        Self {
            skus: different(skus),
            barcodes: different(barcodes),
        }
    }

    fn len(&self) -> usize {
        self.skus.len() + self.barcodes.len()
    }

    fn add(&mut self, other: &Self) {
        self.skus.extend(other.skus.iter().cloned());
        self.barcodes.extend(other.barcodes.iter().cloned());
    }

    /// As terms of a search.
    fn terms(&self) -> Vec<String> {
        let term =
            |name: &str, key: &str| format!("{name}:\"{}\"", key.replace('\\', "\\\\").replace('"', "\\\""));
        let skus = self.skus.iter().map(|key| term("sku", key));
        skus.chain(self.barcodes.iter().map(|key| term("barcode", key)))
            .collect()
    }

    /// Those that have one of these very keys: a search may be looser than meant.
    fn of(&self, found: &[VariantFound]) -> Vec<VariantFound> {
        let has = |key: Option<&String>, keys: &BTreeSet<String>| key.is_some_and(|key| keys.contains(key));
        let is_meant = |one: &&VariantFound| {
            has(one.sku.as_ref(), &self.skus) || has(one.barcode.as_ref(), &self.barcodes)
        };
        found.iter().filter(is_meant).cloned().collect()
    }
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

    fn ask(&self, keys: Keys) -> oneshot::Receiver<Result<Vec<VariantFound>, Arc<ShopifyError>>> {
        let (tell, told) = oneshot::channel();
        lock(&self.waiting).push(Asked { keys, tell });
        told
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
    /// Questions that are asked at the same time share a call.
    ///
    /// # Errors
    /// A [`ShopifyError`], whose disposition says what it means.
    pub async fn find_variants(
        &self,
        skus: &[String],
        barcodes: &[String],
    ) -> Result<Vec<VariantFound>, ShopifyError> {
        let keys = Keys::new(skus, barcodes);
        if keys.len() == 0 {
            return Ok(Vec::new());
        }
        let looks = &self.known.looks;
        let mut told = looks.ask(keys.clone());
        loop {
            let turn = tokio::select! {
                biased;
                answer = &mut told => match answer {
                    Ok(answer) => return answer.map_err(ShopifyError::Shared),
                    // Whoever looked for us ended before there was an answer.
                    Err(_) => {
                        told = looks.ask(keys.clone());
                        continue;
                    }
                },
                turn = looks.turn.lock() => turn,
            };
            match told.try_recv() {
                Ok(answer) => return answer.map_err(ShopifyError::Shared),
                Err(oneshot::error::TryRecvError::Closed) => told = looks.ask(keys.clone()),
                Err(oneshot::error::TryRecvError::Empty) => {}
            }
            self.gather().await;
            let taken = looks.take();
            let mut all = Keys::default();
            for asked in &taken {
                all.add(&asked.keys);
            }
            let found = self.look(&all).await.map_err(Arc::new);
            for asked in taken {
                let answer = found.as_ref().map(|found| asked.keys.of(found));
                // One who gave up meanwhile needs none.
                asked.tell.send(answer.map_err(Arc::clone)).ok();
            }
            drop(turn);
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

    async fn look(&self, keys: &Keys) -> Result<Vec<VariantFound>, ShopifyError> {
        let searches: Vec<String> = keys
            .terms()
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
