//! Everything out of the file of a bulk operation.
//!
//! A product's variants are lines of their own, anywhere in the file. A product is handed out as soon as it has as many as
//! it says (as files are in practice, a few lines later), and at the end of the file at the latest. Until then it is held
//! in a compact form; nothing else is.

use std::collections::{HashMap, HashSet};

use super::record::{ListedRecord, id, record, variant};
use super::{List, ListedVariant, Reading};
use crate::domain::ShopifyId;
use crate::shopify::bulk::{BulkError, Line, Lines};
use crate::shopify::error::ShopifyError;
use crate::shopify::settings::CurrencyChoice;

pub(super) struct File {
    lines: Lines,
    list: &'static List,
    choice: CurrencyChoice,
    /// Every record that was met: none may come twice.
    met: HashSet<ShopifyId>,
    /// Products that lack variants.
    waiting: HashMap<ShopifyId, Waiting>,
    /// Variants whose product was not met yet.
    early: HashMap<ShopifyId, Vec<ListedVariant>>,
    is_read: bool,
}

struct Waiting {
    product: ListedRecord,
    variants: usize,
}

impl File {
    pub(super) fn new(lines: Lines, list: &'static List, choice: CurrencyChoice) -> Self {
        Self {
            lines,
            list,
            choice,
            met: HashSet::new(),
            waiting: HashMap::new(),
            early: HashMap::new(),
            is_read: false,
        }
    }

    /// The record that this line completes.
    fn take(&mut self, line: &Line) -> Result<Option<ListedRecord>, String> {
        match line.parent() {
            None => {
                let mut product = record(self.list.object, &line.value, self.choice)?;
                if !self.met.insert(product.id) {
                    return Err(format!("record {} comes a second time", product.id));
                }
                if !self.list.has_variants {
                    return Ok(Some(product));
                }
                let variants = line.value["variantsCount"]["count"].as_u64();
                let variants = variants.and_then(|count| usize::try_from(count).ok());
                let variants = variants.ok_or("it does not say how many variants there are")?;
                product.variants = self.early.remove(&product.id).unwrap_or_default();
                if product.variants.len() >= variants {
                    return Ok(Some(product));
                }
                self.waiting.insert(product.id, Waiting { product, variants });
                Ok(None)
            }
            Some(_) if !self.list.has_variants => Err("it is part of another record".to_owned()),
            Some(_) => {
                let parent = id(&line.value["__parentId"])?;
                let part = variant(&line.value)?;
                let Some(waiting) = self.waiting.get_mut(&parent) else {
                    if self.met.contains(&parent) {
                        return Err("its product has more variants than it says".to_owned());
                    }
                    self.early.entry(parent).or_default().push(part);
                    return Ok(None);
                };
                waiting.product.variants.push(part);
                if waiting.product.variants.len() < waiting.variants {
                    return Ok(None);
                }
                Ok(self.waiting.remove(&parent).map(|waiting| waiting.product))
            }
        }
    }

    /// What is left when the file is over: variants that were deleted meanwhile are missing, and nothing else.
    fn left(&mut self) -> Result<Option<ListedRecord>, ShopifyError> {
        let orphans: usize = self.early.values().map(Vec::len).sum();
        if orphans > 0 {
            return Err(BulkError::Orphans {
                id: self.lines.id(),
                count: orphans,
            }
            .into());
        }
        let next = self.waiting.keys().next().copied();
        Ok(next
            .and_then(|id| self.waiting.remove(&id))
            .map(|waiting| waiting.product))
    }
}

#[async_trait::async_trait]
impl Reading for File {
    async fn next(&mut self) -> Result<Option<ListedRecord>, ShopifyError> {
        while !self.is_read {
            let Some(line) = self.lines.next().await? else {
                self.is_read = true;
                break;
            };
            let taken = self.take(&line).map_err(|reason| BulkError::Line {
                id: self.lines.id(),
                line: line.number,
                reason,
            })?;
            if let Some(record) = taken {
                return Ok(Some(record));
            }
        }
        self.left()
    }
}
