//! What the shop knows: customers, products, orders, places.
//!
//! These are plain records. What follows from them (totals, states) is computed in [`totals`], by the shop's own
//! arithmetic; nothing of the connector's code is used for it.

mod aftersale;
mod custom;
mod customer;
mod discount;
mod order;
mod product;
pub mod totals;

pub use aftersale::{
    Adjustment, Cancellation, FinancialStatus, Fulfillment, FulfillmentStatus, Refund, RefundDuty,
    RefundLine, RefundShipping, Restock, Transaction, TransactionKind, TransactionStatus,
};
pub use custom::{MetafieldDefinition, QuantityChange, StockAdjustment};
pub use customer::{Address, Company, Customer, EmailConsent, Metafield, country_name};
pub use discount::{Allocation, AllocationMethod, Discount, DiscountKind, DiscountTarget, DiscountValue};
pub use order::{Duty, Line, LineGroup, Order, Purchasing, ShippingLine, Tax, TaxLine};
pub use product::{
    Image, InventoryItem, Level, Location, OptionValue, Product, ProductOption, ProductStatus, Variant,
};
