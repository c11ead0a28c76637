//! What an attempt did that others may be told of, in neutral words: who is told, and how, is decided elsewhere.

use std::fmt;
use std::sync::Arc;

use rust_decimal::Decimal;

use super::canonical::Fact;
use super::ids::text_enum;
use crate::domain::{Currency, ErpId, FieldValue, Object, ShopifyId};

text_enum! {
    /// What happened to a record, or to the shop. The names are those of the events that others are sent.
    Happening, "happening" {
        /// An order was carried over, or nothing had to be.
        OrderSynced = "order.synced",
        /// An order was cancelled in the shop, and the ERP has been told.
        OrderCancelled = "order.cancelled",
        /// All of an order was sent.
        OrderFulfilled = "order.fulfilled",
        /// A refund of an order was carried over.
        OrderRefunded = "order.refunded",
        /// A customer was carried over, or nothing had to be.
        CustomerSynced = "customer.synced",
        /// A customer was deleted, on the side that the job's direction begins at.
        CustomerDeleted = "customer.deleted",
        /// A product was carried over, or nothing had to be.
        ProductSynced = "product.synced",
        /// A product was deleted, on the side that the job's direction begins at.
        ProductDeleted = "product.deleted",
        /// A stock level was carried over, or nothing had to be.
        InventorySynced = "inventory.synced",
        /// Money came in; where payments are registered in the ERP, it has been.
        PaymentCompleted = "payment.completed",
        /// A payment failed, or its refund or void.
        PaymentFailed = "payment.failed",
        /// Money went back; where that is registered in the ERP, it has been.
        PaymentRefunded = "payment.refunded",
        /// A parcel was made.
        ShipmentCreated = "shipment.created",
        /// A parcel got another tracking number or carrier.
        ShipmentTrackingUpdated = "shipment.tracking_updated",
        /// A parcel arrived.
        ShipmentDelivered = "shipment.delivered",
        /// The app was uninstalled from the shop.
        ShopUninstalled = "shop.uninstalled",
    }
}

impl Happening {
    /// That a record of this kind was carried over; none for what is no record.
    pub const fn synced(object: Object) -> Option<Self> {
        Some(match object {
            Object::Order => Self::OrderSynced,
            Object::Customer => Self::CustomerSynced,
            Object::Product => Self::ProductSynced,
            Object::Inventory => Self::InventorySynced,
            Object::Shop => return None,
        })
    }
}

/// What came of carrying a record over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried {
    /// It was made on the other side.
    Created,
    /// Something was written on the other side.
    Updated,
    /// Nothing had to be written.
    Skipped,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Happened {
    /// What.
    pub what: Happening,
    /// The record, where it is not the one that the whole attempt is about.
    pub about: Option<Box<About>>,
    /// What came of it, where a record was carried over.
    pub status: Option<Carried>,
    /// The fields that were written, each once, as the destination calls them.
    pub changed: Vec<Changed>,
    /// What is special to it.
    pub detail: HappenedDetail,
}

impl Happened {
    /// Something of which no more is to be said.
    pub fn new(what: Happening) -> Self {
        Self {
            what,
            about: None,
            status: None,
            changed: Vec::new(),
            detail: HappenedDetail::None,
        }
    }

    /// The same with what is special to it.
    #[must_use]
    pub fn with(self, detail: HappenedDetail) -> Self {
        Self { detail, ..self }
    }
}

/// A field that was written. `Debug` shows its name only.
#[derive(Clone, PartialEq)]
pub struct Changed {
    /// The field, as the destination calls it.
    pub field: String,
    /// What it was, as far as it was read.
    pub old: Option<FieldValue>,
    /// What was written; none of a part that has no value of its own, e.g. an order's lines as a whole.
    pub new: Option<FieldValue>,
}

impl fmt::Debug for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changed")
            .field("field", &self.field)
            .finish_non_exhaustive()
    }
}

/// What is special to what happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HappenedDetail {
    /// Nothing.
    None,
    /// A movement of money.
    Payment {
        /// Its number.
        id: ShopifyId,
        /// What the till took or gave.
        amount: Decimal,
        /// In which currency.
        currency: Currency,
        /// Its gateway.
        gateway: Option<String>,
        /// The shop's word for what it is.
        kind: String,
    },
    /// A refund.
    Refund {
        /// Its number.
        id: ShopifyId,
        /// What it is worth with tax.
        amount: Decimal,
        /// In which currency.
        currency: Currency,
    },
    /// A parcel.
    Shipment {
        /// Its number.
        id: ShopifyId,
        /// Its carrier.
        carrier: Option<String>,
        /// Its numbers at the carrier.
        tracking_numbers: Vec<String>,
        /// The shop's word for how far it got.
        status: Option<String>,
    },
}

/// A record that an attempt is about, on both sides as far as they are known. `Debug` shows no names: they may be people's.
#[derive(Clone)]
pub struct About {
    /// What it is.
    pub kind: Object,
    /// Title of a product, also of the one whose stock this is; name of a customer.
    pub title: Option<String>,
    /// Stock keeping unit: of the product's only variant, or of the item whose stock this is.
    pub sku: Option<String>,
    /// An order's name for people.
    pub name: Option<String>,
    /// The shop's record: its number, and GraphQL's name of its type.
    pub shopify: Option<(ShopifyId, &'static str)>,
    /// The ERP's record.
    pub erp: Option<ErpAbout>,
    /// Records that belong to it.
    pub related: Vec<Related>,
    /// The shop's record as a whole, where it was read.
    pub record: Option<Arc<Fact>>,
}

impl About {
    /// A record of which nothing is known but what it is.
    pub fn new(kind: Object) -> Self {
        Self {
            kind,
            title: None,
            sku: None,
            name: None,
            shopify: None,
            erp: None,
            related: Vec::new(),
            record: None,
        }
    }
}

impl fmt::Debug for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("About")
            .field("kind", &self.kind)
            .field("shopify", &self.shopify)
            .field("erp", &self.erp.as_ref().map(|erp| (&erp.model, erp.id)))
            .finish_non_exhaustive()
    }
}

/// A record of the ERP.
#[derive(Clone, PartialEq, Eq)]
pub struct ErpAbout {
    /// Its model.
    pub model: String,
    /// Its id.
    pub id: ErpId,
    /// Its number for people.
    pub number: Option<String>,
}

impl ErpAbout {
    /// A record without a number for people.
    pub fn new(model: &str, id: ErpId) -> Self {
        Self {
            model: model.to_owned(),
            id,
            number: None,
        }
    }
}

/// A record that belongs to another one.
#[derive(Clone)]
pub struct Related {
    /// What it is to it, e.g. `customer`.
    pub kind: &'static str,
    /// The shop's record: its number, and GraphQL's name of its type.
    pub shopify: Option<(ShopifyId, &'static str)>,
    /// The ERP's record.
    pub erp: Option<ErpAbout>,
}
