//! Everything page by page, in the order of the ids.
//!
//! The order proves that no record comes twice, and the last page says that it is the last. A list ends after 25,000
//! records, whatever there is; so another one begins behind the last id well before.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::{Value, json};

use super::record::{ListedRecord, record, variant};
use super::{List, Reading};
use crate::domain::ShopifyId;
use crate::shopify::client::Client;
use crate::shopify::error::{RequestId, ShopifyError};
use crate::shopify::fetch;
use crate::shopify::recent::page_of;
use crate::shopify::settings::CurrencyChoice;

/// Pages of one list; 250 records stand on each.
const PAGES_OF_A_LIST: u32 = 80;

pub(super) struct Pages {
    pub(super) client: Arc<Client>,
    pub(super) list: &'static List,
    pub(super) choice: CurrencyChoice,
    held: VecDeque<ListedRecord>,
    /// Where the next page begins.
    next: Next,
    /// Pages of this list that were read.
    pages: u32,
    last: Option<ShopifyId>,
}

enum Next {
    First,
    After(String),
    Nowhere,
}

impl Pages {
    pub(super) fn new(client: Arc<Client>, list: &'static List, choice: CurrencyChoice) -> Self {
        Self {
            client,
            list,
            choice,
            held: VecDeque::new(),
            next: Next::First,
            pages: 0,
            last: None,
        }
    }

    async fn page(
        &mut self,
        cursor: Option<&str>,
        begins_behind: Option<ShopifyId>,
    ) -> Result<(), ShopifyError> {
        let document = self.list.pages;
        let search = begins_behind.map(|id| format!("id:>{id}"));
        let variables = json!({ "cursor": cursor, "search": search });
        let data = self.client.call(document, &variables).await?;
        let (nodes, next) = page_of(document, &data, self.list.at)?;
        let next = next.and_then(|next| next.as_str().map(str::to_owned));
        if next.is_some() && next.as_deref() == cursor {
            return Err(self.incomplete("its next page is the same page again"));
        }
        for node in nodes {
            let mut record =
                record(self.list.object, node, self.choice).map_err(|reason| self.incomplete(&reason))?;
            if self.last >= Some(record.id) {
                return Err(self.incomplete("its records are not in the order of their ids"));
            }
            self.last = Some(record.id);
            if self.list.has_variants {
                match self.variants(record.id, node).await? {
                    Some(variants) => record.variants = variants,
                    // Deleted between two questions.
                    None => continue,
                }
            }
            self.held.push_back(record);
        }
        self.pages += 1;
        self.next = match next {
            None => Next::Nowhere,
            Some(_) if self.pages >= PAGES_OF_A_LIST => {
                self.pages = 0;
                Next::First
            }
            Some(next) => Next::After(next),
        };
        Ok(())
    }

    /// All variants of a product, however many there are.
    async fn variants(
        &self,
        id: ShopifyId,
        node: &Value,
    ) -> Result<Option<Vec<super::ListedVariant>>, ShopifyError> {
        let whole;
        let mut list = &node["variants"];
        if list["pageInfo"]["hasNextPage"] != false {
            whole = fetch::whole(&self.client, &fetch::PRODUCT, id, "").await?;
            match &whole {
                None => return Ok(None),
                Some(product) => list = &product["variants"],
            }
        }
        let nodes = list["nodes"].as_array();
        let nodes = nodes.ok_or_else(|| self.incomplete("a product has no list of variants"))?;
        let variants: Result<Vec<_>, String> = nodes.iter().map(variant).collect();
        variants.map(Some).map_err(|reason| self.incomplete(&reason))
    }

    fn incomplete(&self, reason: &str) -> ShopifyError {
        ShopifyError::Incomplete {
            operation: self.list.pages.name,
            reason: reason.to_owned(),
            request: RequestId::default(),
        }
    }
}

#[async_trait::async_trait]
impl Reading for Pages {
    async fn next(&mut self) -> Result<Option<ListedRecord>, ShopifyError> {
        loop {
            if let Some(record) = self.held.pop_front() {
                return Ok(Some(record));
            }
            match std::mem::replace(&mut self.next, Next::Nowhere) {
                Next::Nowhere => return Ok(None),
                Next::First => self.page(None, self.last).await?,
                Next::After(cursor) => self.page(Some(&cursor), None).await?,
            }
        }
    }
}
