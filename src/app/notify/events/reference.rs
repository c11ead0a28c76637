//! What a notification calls its record.

use crate::domain::{About, Direction, ErpAbout, ErpId, JobKey, Object, Related, ShopifyId, StockOf};
use crate::notify::{ErpReference, ObjectReference, RelatedRecord, ShopifyReference, Shown};
use crate::queue::Ending;

/// The record that an attempt was about; of one that never came to read it, what its job's key says.
pub(super) fn object(ending: &Ending<'_>, about: Option<&About>) -> Option<ObjectReference> {
    let key = &ending.job.key;
    if key.object == Object::Shop {
        return None;
    }
    let mut reference = match about {
        Some(about) => ObjectReference {
            kind: about.kind,
            title: about.title.clone().map(Shown),
            sku: about.sku.clone(),
            name: about.name.clone(),
            shopify: about
                .shopify
                .map(|(number, kind)| ShopifyReference::new(kind, number)),
            erp: about.erp.as_ref().map(erp),
        },
        None => from_key(key),
    };
    name(&mut reference, ending.record_name);
    if let Some(erp) = &mut reference.erp
        && erp.number.is_none()
    {
        erp.number = ending.erp_name.map(|name| Shown(name.to_owned()));
    }
    Some(reference)
}

/// What a job's key says of its record, and its name for people.
pub(super) fn object_of(key: &JobKey, record_name: Option<&str>) -> Option<ObjectReference> {
    if key.object == Object::Shop {
        return None;
    }
    let mut reference = from_key(key);
    name(&mut reference, record_name);
    Some(reference)
}

/// Gives it its name for people, where it has none.
fn name(reference: &mut ObjectReference, record_name: Option<&str>) {
    let record_name = record_name.map(str::to_owned);
    match reference.kind {
        Object::Order => reference.name = reference.name.take().or(record_name),
        Object::Customer | Object::Product => {
            reference.title = reference.title.take().or(record_name.map(Shown));
        }
        Object::Inventory | Object::Shop => {}
    }
}

fn from_key(key: &JobKey) -> ObjectReference {
    let mut reference = ObjectReference {
        kind: key.object,
        title: None,
        sku: None,
        name: None,
        shopify: None,
        erp: None,
    };
    match key.direction {
        Direction::In => {
            let number = key.source_id.parse::<ShopifyId>().ok();
            reference.shopify = number.map(|number| ShopifyReference::new(graphql(key.object), number));
        }
        Direction::Out => reference.erp = erp_of(key),
    }
    reference
}

fn erp_of(key: &JobKey) -> Option<ErpReference> {
    let id = || key.source_id.parse().ok().map(ErpId);
    let (model, id) = match (key.object, key.stock_of()) {
        (Object::Inventory, Some(StockOf::Product(id))) => ("product.template", id),
        (Object::Inventory, Some(StockOf::Variant(id))) => ("product.product", id),
        (Object::Inventory, None) | (Object::Shop, _) => return None,
        (Object::Customer, _) => ("res.partner", id()?),
        (Object::Product, _) => ("product.template", id()?),
        (Object::Order, _) => ("sale.order", id()?),
    };
    Some(ErpReference {
        model: model.to_owned(),
        id,
        number: None,
    })
}

const fn graphql(object: Object) -> &'static str {
    match object {
        Object::Order => "Order",
        Object::Customer => "Customer",
        Object::Product => "Product",
        Object::Inventory => "InventoryItem",
        Object::Shop => "Shop",
    }
}

fn erp(erp: &ErpAbout) -> ErpReference {
    ErpReference {
        model: erp.model.clone(),
        id: erp.id,
        number: erp.number.clone().map(Shown),
    }
}

pub(super) fn related(related: &Related) -> RelatedRecord {
    RelatedRecord {
        kind: related.kind.to_owned(),
        shopify: related
            .shopify
            .map(|(number, kind)| ShopifyReference::new(kind, number)),
        erp: related.erp.as_ref().map(erp),
    }
}
