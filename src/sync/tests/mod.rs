//! The flows between the stand-in shop and the stand-in ERP, through the real clients and a real store.

mod bench;
mod booking;
mod changes;
mod compares;
mod credits;
mod customers;
mod cut;
mod drift;
mod edits;
mod finance;
mod golden;
mod gone;
mod manual;
mod matching;
mod money;
mod orders;
mod out;
mod parcels;
mod previews;
mod previews_out;
mod products;
mod refunds;
mod resolve;
mod resync;
mod review;
mod rules;
mod sold;
mod stock;
mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rust_decimal::Decimal;

use super::*;
use crate::domain::{
    About, Direction, Happened, JobId, JobKey, JobState, Priority, SystemClock, SystemEntropy, Timestamp,
};
use crate::erp::odoo::{self, Odoo};
use crate::mapping::ShopFacts;
use crate::sandbox::odoo::{OdooSandbox, Options as OdooOptions, OrderView, Rounding, ServiceSeed, Version};
use crate::sandbox::shopify::draft::{
    Buyer, CustomerDraft, LineDraft, OrderDraft, Payment, ProductDraft, ShippingDraft, VariantDraft,
};
use crate::sandbox::shopify::facts::{Address, Tax};
use crate::sandbox::shopify::{Options as ShopOptions, ShopSandbox};
use crate::secret::Secret;
use crate::shopify::{Credentials, CurrencyChoice, Shopify};
use crate::store::testing::open_temp;
use crate::store::{Claim, Finish, Finished, Lane, NewJob, Verdict};
use crate::transport;
