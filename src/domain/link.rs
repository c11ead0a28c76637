//! Links: the pair of ids of one record on both sides.

use serde::{Deserialize, Serialize};

use super::ids::text_enum;
use crate::domain::{ErpId, ShopName, Timestamp};

text_enum! {
    /// What kind of record a link pairs.
    LinkKind, "link kind" {
        /// Order and sales order.
        Order = "order",
        /// Customer and partner.
        Customer = "customer",
        /// Product and product template.
        Product = "product",
        /// Variant and product variant.
        Variant = "variant",
        /// A postal address as it was on an order, by the hash of its content, and the partner that holds it.
        Address = "address",
        /// Refund and credit note.
        Refund = "refund",
        /// Movement of money and payment.
        Payment = "payment",
        /// Parcel and delivery.
        Fulfillment = "fulfillment",
        /// Inventory item and product variant, for the quantities that are sent.
        Inventory = "inventory",
    }
}

text_enum! {
    /// How far a link got.
    LinkState, "link state" {
        /// An existing ERP record was chosen; nothing was written to it yet.
        Adopted = "adopted",
        /// The record was written through this link.
        Linked = "linked",
        /// The source record was deleted or merged; kept as history.
        Retired = "retired",
    }
}

/// The pair of ids of one record on both sides. Unique by (shop, kind, source id) and by (shop, kind, ERP id);
/// several addresses may share one ERP record, so kind [`LinkKind::Address`] is unique by its source id only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// The shop.
    pub shop: ShopName,
    /// What is paired.
    pub kind: LinkKind,
    /// Shopify's number, or the content hash of an address.
    pub source_id: String,
    /// The ERP's model, e.g. `res.partner`.
    pub model: String,
    /// The ERP's id.
    pub erp_id: ErpId,
    /// The ERP's number for people, e.g. `S00042`.
    pub erp_name: Option<String>,
    /// How far it got.
    pub state: LinkState,
    /// Shopify's `updatedAt` of the last version that was carried into the ERP whole, or that our own write left of one;
    /// runs that look for missed changes leave it alone. Saving none keeps what is stored.
    pub source_updated_at: Option<Timestamp>,
    /// Per mapped field the hash of the value last agreed, as read from Shopify and as read from the ERP: an object
    /// `{field: {"source": hash, "target": hash}}`.
    #[serde(default)]
    pub agreed: serde_json::Value,
    /// The same for the way back: per field of the shop the hash of the value as it was made from the ERP, and as the shop
    /// held it. Null while nothing was agreed that way; saving null keeps what is stored of the same pair.
    #[serde(default)]
    pub agreed_out: serde_json::Value,
    /// The writes of the last minutes on either side, for whoever finds out that it goes in circles. Saving null keeps
    /// what is stored.
    #[serde(default)]
    pub writes: serde_json::Value,
}
