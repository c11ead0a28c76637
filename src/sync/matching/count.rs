//! How much the way back would have to do with an object, before it is switched on.

use schemars::JsonSchema;
use serde::Serialize;

use super::read::is_guest;
use super::{MatchError, told};
use crate::domain::{Canonical, Direction, ErpId, Fact, Link, LinkKind, LinkState, Object, ShopName};
use crate::mapping::Mapping;
use crate::sync::flow::Flow;
use crate::sync::stop::{Stop, Subject};
use crate::sync::writes::Writes;
use crate::sync::{Engine, ShopContext, preview};

/// Records of the ERP that are not archived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct OutCounts {
    /// All of them; of stock the variants of which there is any.
    pub in_erp: u64,
    /// Those that are linked with a record of the shop.
    pub linked: u64,
    /// Those that are not, and that the mapping never makes on the shop.
    pub left_alone: u64,
    /// The others: they would be made new on the shop, unless one that is the same is found there.
    pub new: u64,
}

/// Records of the ERP that are read at once.
const PAGE: u32 = 200;

impl Engine {
    /// Counts the records of an object in the ERP by what the way back would do with them.
    ///
    /// # Errors
    /// When the ERP or the store cannot be asked.
    pub async fn count_out(&self, shop: &ShopName, object: Object) -> Result<OutCounts, MatchError> {
        let Some(context) = self.shop(shop) else {
            return Err(MatchError::UnknownShop(shop.clone()));
        };
        if matches!(object, Object::Order | Object::Shop) {
            return Err(MatchError::Unsupported);
        }
        let mappings = std::sync::Arc::clone(&context.mappings.borrow());
        let subject = Subject {
            record: None,
            owner: context.owner.clone(),
            mapping: None,
        };
        let job = preview::nobodys_job(context, object, Direction::Out, String::new());
        let writes = Writes::default();
        let mut flow = Flow::new(context, &job, mappings, subject, &writes);
        let failed = |stop: Stop| told(context, stop);
        flow.learn().await.map_err(failed)?;
        count(&flow, object).await.map_err(failed)
    }
}

async fn count(flow: &Flow<'_>, object: Object) -> Result<OutCounts, Stop> {
    let shop = flow.shop;
    let mapping = flow.mapping(object, Direction::Out)?;
    let settings = flow.settings_fact(None);
    let mut counts = OutCounts::default();
    // The first one is the record itself, or what counts of it.
    let Some(watched) = shop.erp.watched(object).into_iter().next() else {
        return Ok(counts);
    };
    let owner = watched.owner.filter(|_| object == Object::Inventory);
    let mut seen = std::collections::BTreeSet::new();
    let mut after = None;
    loop {
        let rows = shop.erp.all_ids(watched.model, owner, after, PAGE).await?;
        after = rows.last().map(|row| row.id);
        let mut open = Vec::new();
        for row in rows.iter().filter(|row| row.active) {
            let id = row.owner.unwrap_or(row.id);
            if owner.is_some() && !seen.insert(id) {
                continue;
            }
            counts.in_erp += 1;
            if is_linked(shop, object, id).await? {
                counts.linked += 1;
            } else {
                open.push(id);
            }
        }
        for record in facts(flow, &mapping, object, &open).await? {
            if matches!(mapping.skip(&record, &settings), Ok(Some(_))) {
                counts.left_alone += 1;
            } else {
                counts.new += 1;
            }
        }
        if object == Object::Inventory {
            // Stock of what the shop does not have is sent when its product is made there.
            counts.left_alone += open.len() as u64;
        }
        if rows.len() < PAGE as usize {
            return Ok(counts);
        }
    }
}

async fn is_linked(shop: &ShopContext, object: Object, id: ErpId) -> Result<bool, Stop> {
    let kind = match object {
        Object::Customer => LinkKind::Customer,
        Object::Inventory => LinkKind::Variant,
        _ => LinkKind::Product,
    };
    let link: Option<Link> = shop.store.link_of_erp(&shop.name, kind, id).await?;
    Ok(link.is_some_and(|link| link.state != LinkState::Retired && !is_guest(&link)))
}

/// The records that are not linked, as the mapping reads them.
async fn facts(flow: &Flow<'_>, mapping: &Mapping, object: Object, ids: &[ErpId]) -> Result<Vec<Fact>, Stop> {
    let erp = &flow.shop.erp;
    let rules = mapping.out.clone().unwrap_or_default();
    Ok(match object {
        Object::Customer => {
            let partners = erp.partners(ids, &rules.select).await?;
            partners.iter().map(Canonical::fact).collect()
        }
        Object::Product => {
            let products = erp
                .product_records(ids, &rules.select, &rules.variant_select)
                .await?;
            products.iter().map(Canonical::fact).collect()
        }
        _ => Vec::new(),
    })
}
