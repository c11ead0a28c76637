//! The ERP side: a trait in business terms, and its Odoo implementation in [`odoo`].
//!
//! The trait speaks of records, orders and products in words that fit every ERP. Protocols, value conventions, version
//! differences and error shapes stay inside the adapter. Writes are idempotent by external id: repeating one, at once
//! or after a crash, never makes a second record.

mod after;
pub mod odoo;
mod setup;
mod types;
mod watch;

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::{
    CheckRow, ErpId, ErpProduct, ExternalId, LookUp, Needed, Object, Partner, Stock, Timestamp,
};

pub use after::*;
pub use setup::{Choice, ChoiceKind, OrderFieldKind, SetupState, SetupWish};
pub use types::*;
pub use watch::{ChangedRow, PresentRow, Watched};

/// An ERP that many workers share.
pub type SharedErp = Arc<dyn Erp>;

/// What lockstep asks of an ERP. Every call may fail with an [`ErpError`], whose `disposition()` says what that means.
#[async_trait]
pub trait Erp: Send + Sync + 'static {
    /// The server, its version and the protocol in use. Cached after the first success.
    async fn about(&self) -> Result<About, ErpError>;

    /// What works and what does not, for `check --live`: reachability, version, login, rights, fields, e-mail of the API
    /// user, languages, currencies. Never fails: failures are rows.
    async fn check(&self, needs: &Needs) -> Vec<CheckRow>;

    /// The currency of the company that is worked in, e.g. `EUR`, where the ERP says it. Cached.
    async fn company_currency(&self) -> Result<Option<String>, ErpError>;

    /// The two letters of the company's country; none where the ERP does not say.
    async fn company_country(&self) -> Result<Option<String>, ErpError> {
        Ok(None)
    }

    /// How many decimals of an order line's unit price it keeps when one is written; `None` where it keeps them all.
    async fn price_digits(&self) -> Result<Option<u32>, ErpError> {
        Ok(None)
    }

    /// The fields of a model. Cached.
    async fn fields(&self, model: &str) -> Result<Arc<FieldTable>, ErpError>;

    /// Answers a look-up. Cached, with single flight; `Missing` is cached only briefly, so that a fix takes effect.
    async fn look_up(&self, look_up: &LookUp) -> Result<Needed, ErpError>;

    /// Forgets cached answers, and doubts the server's version: the ERP refused something that was made with them.
    fn forget_look_ups(&self);

    /// Forgets cached answers if one of them said since this moment that the ERP lacks something, or has several of it.
    /// Says whether that was so: then it is worth asking again before a person is told.
    fn forget_absences(&self, since: Timestamp) -> bool;

    /// Forgets the fields of models, too: one that was needed is not there.
    fn forget_everything(&self);

    /// The record that carries this external id, archived ones included.
    async fn identify(&self, id: &ExternalId) -> Result<Option<Identified>, ErpError>;

    /// Which of our external ids these records carry. A record without any id, or with only foreign ones, is absent.
    async fn external_ids(&self, model: &str, ids: &[ErpId]) -> Result<Vec<(ErpId, ExternalId)>, ErpError>;

    /// Records whose fields have exactly these values (all of them), at most `limit`, archived ones excluded. Used to adopt
    /// records; limited to the declared company or to records without one.
    async fn find(&self, find: &Find) -> Result<Vec<Row>, ErpError>;

    /// Reads fields of records; records that are gone are absent from the answer.
    async fn read(&self, model: &str, ids: &[ErpId], fields: &[String]) -> Result<Vec<Row>, ErpError>;

    /// Makes the record of this external id, or updates it, with its lines, atomically. Lines that are not named stay.
    /// One call can carry several records of one model.
    async fn save(&self, saves: &[Save]) -> Result<Vec<ErpId>, ErpError>;

    /// Writes fields of an existing record (an adopted one, that cannot carry our external id).
    async fn update(&self, model: &str, id: ErpId, fields: &crate::domain::Fields) -> Result<(), ErpError>;

    /// Archives or restores a record. Nothing is ever deleted.
    async fn set_active(&self, model: &str, id: ErpId, active: bool) -> Result<(), ErpError>;

    /// What the shop's settings declare for every new record of this model (an order's warehouse, sales team,
    /// salesperson, price list). [`Erp::save`] adds it by itself to fields that are not given; previews show it.
    async fn declared(&self, model: &str) -> Result<crate::domain::Fields, ErpError> {
        let _ = model;
        Ok(crate::domain::Fields::new())
    }

    /// An order with its totals and lines, in one call; `None` when it is gone.
    async fn order(&self, id: ErpId) -> Result<Option<SalesOrder>, ErpError>;

    /// How these orders stand, in few calls; those that are gone are absent.
    async fn order_standings(&self, ids: &[ErpId]) -> Result<Vec<OrderStanding>, ErpError> {
        let mut standings = Vec::new();
        for id in ids {
            standings.extend(self.order(*id).await?.map(|order| OrderStanding {
                id: order.id,
                name: order.name,
                reference: order.reference,
                state: order.state,
                ordered_at: order.ordered_at,
                tax: order.tax,
                total: order.total,
            }));
        }
        Ok(standings)
    }

    /// The orders that carry one of these numbers of the shop, cancelled ones left out: each with the number.
    async fn orders_of_references(&self, references: &[String]) -> Result<Vec<(ErpId, String)>, ErpError> {
        let _ = references;
        Ok(Vec::new())
    }

    /// Whom an order is for, and where it goes; `None` when it is gone.
    async fn order_parties(&self, id: ErpId) -> Result<Option<OrderParties>, ErpError>;

    /// Removes lines from a draft order.
    async fn remove_order_lines(&self, order: ErpId, lines: &[ErpId]) -> Result<(), ErpError>;

    /// Confirms a draft order and restores its date. An order that is already confirmed stays as it is. Returns the order
    /// as it is then; a wizard's question counts as a failure.
    async fn confirm_order(&self, id: ErpId, ordered_at: Timestamp) -> Result<SalesOrder, ErpError>;

    /// Cancels an order and verifies that it is cancelled. One that is already cancelled stays as it is. One that is locked
    /// is refused, unless it may be unlocked for it.
    async fn cancel_order(&self, id: ErpId, unlock: bool) -> Result<SalesOrder, ErpError>;

    /// The invoices and credit notes that an order's lines are on.
    async fn documents(&self, order: ErpId) -> Result<Vec<Document>, ErpError>;

    /// An invoice or a credit note; `None` when it is gone.
    async fn document(&self, id: ErpId) -> Result<Option<Document>, ErpError>;

    /// Makes a draft invoice of everything of an order that is to be invoiced and is on no invoice yet. Refused where
    /// there is nothing, so that repeating it makes no second one.
    async fn invoice_order(&self, order: ErpId) -> Result<(), ErpError>;

    /// Puts a document into the books. One that is there already stays as it is.
    async fn post_document(&self, id: ErpId) -> Result<Document, ErpError>;

    /// Up to when the books are closed, for documents of sales or for payments.
    async fn closed(&self, of_sales: bool) -> Result<Option<Closed>, ErpError>;

    /// Registers a payment and puts it into the books; repeating it makes no second one.
    async fn save_payment(&self, save: &PaymentSave) -> Result<ErpId, ErpError>;

    /// Settles an invoice with a payment, as far as both go. `false` when nothing was done: nothing of the payment is left, or
    /// it names the invoice already.
    async fn settle(&self, invoice: ErpId, payment: ErpId) -> Result<bool, ErpError>;

    /// The deliveries of an order, and what came back.
    async fn deliveries(&self, order: ErpId) -> Result<Vec<Delivery>, ErpError>;

    /// Carries out a delivery with these quantities of its moves; what is left stays open in another one. A question of
    /// the ERP counts as a failure.
    async fn deliver(
        &self,
        delivery: ErpId,
        quantities: &[(ErpId, rust_decimal::Decimal)],
        tracking: Option<&str>,
    ) -> Result<(), ErpError>;

    /// Cancels a delivery that is not carried out yet.
    async fn cancel_delivery(&self, id: ErpId) -> Result<(), ErpError>;

    /// Makes or updates a product with its options and variants and says which ERP variant belongs to which of ours.
    /// Idempotent: attributes and values are found by external id or name before any is made, and the template is made under its
    /// external id.
    async fn save_product(&self, save: &ProductSave) -> Result<ProductSaved, ErpError>;

    /// A product's variants with the option values they stand for.
    async fn variants(&self, template: ErpId) -> Result<Vec<ErpVariant>, ErpError>;

    /// A person or company, whole, with these further fields in `raw`; `None` when it is gone. Archived ones count.
    async fn partner(&self, id: ErpId, extra: &[String]) -> Result<Option<Partner>, ErpError>;

    /// Several of them, in few calls; those that are gone are absent.
    async fn partners(&self, ids: &[ErpId], extra: &[String]) -> Result<Vec<Partner>, ErpError>;

    /// A product with all variants, with these further fields in `raw` of both; `None` when it is gone. Archived ones count.
    async fn product_record(
        &self,
        id: ErpId,
        extra: &[String],
        variant_extra: &[String],
    ) -> Result<Option<ErpProduct>, ErpError>;

    /// The ERP's own fields that a part of its record is made of (e.g. `name` for `partner.first_name`), with those from which it
    /// works them out by itself; `None` where that is not known.
    fn made_of(&self, path: &str) -> Option<&'static [&'static str]> {
        let _ = path;
        None
    }

    /// The ids of a product's variants, archived ones included; none where the product is gone.
    async fn variants_of(&self, product: ErpId) -> Result<Vec<ErpId>, ErpError>;

    /// Several of them, in few calls; those that are gone are absent.
    async fn product_records(
        &self,
        ids: &[ErpId],
        extra: &[String],
        variant_extra: &[String],
    ) -> Result<Vec<ErpProduct>, ErpError>;

    /// The stock of variants, in each of these warehouses; without any, the sum of all.
    async fn stock(&self, variants: &[ErpId], warehouses: &[ErpId]) -> Result<Vec<Stock>, ErpError>;

    /// What is still to be delivered of these variants, one entry for each move, and for each line of an order that is not
    /// confirmed yet.
    async fn open_deliveries(&self, variants: &[ErpId]) -> Result<Vec<OpenDelivery>, ErpError>;

    /// The models whose changes mean work for records of this object.
    fn watched(&self, object: Object) -> Vec<Watched>;

    /// When the row of a model that was written last was, by the ERP's clock, in whole seconds; `None` where there is none.
    async fn newest_change(&self, model: &str) -> Result<Option<Timestamp>, ErpError>;

    /// Rows written since `since` and before `until` (whole seconds), archived ones included: at most `limit`, in the order
    /// of their ids, from the first one after `after` on. A row's time is when the transaction that wrote it *began*, so that
    /// rows become visible late, with times that lie behind those of others.
    async fn changed(
        &self,
        model: &str,
        owner: Option<&str>,
        since: Timestamp,
        until: Timestamp,
        after: Option<ErpId>,
        limit: u32,
    ) -> Result<Vec<ChangedRow>, ErpError>;

    /// All rows of a model in the order of their ids, from the first one after `after` on, archived ones included.
    async fn all_ids(
        &self,
        model: &str,
        owner: Option<&str>,
        after: Option<ErpId>,
        limit: u32,
    ) -> Result<Vec<PresentRow>, ErpError>;

    /// Which of these rows were made at or after this time of the ERP's clock.
    async fn made_since(&self, model: &str, ids: &[ErpId], since: Timestamp) -> Result<Vec<ErpId>, ErpError> {
        let _ = (model, ids, since);
        Ok(Vec::new())
    }

    /// How it stands with something that a shop needs in the ERP. Changes nothing.
    async fn setup_state(&self, wish: &SetupWish) -> Result<SetupState, ErpError>;

    /// Makes it. Repeating it, at once or after a crash, makes nothing twice.
    async fn setup_make(&self, wish: &SetupWish) -> Result<(), ErpError>;

    /// What there is of a kind to choose from. An ERP without such things answers [`ErpError::Setup`].
    async fn setup_choices(&self, kind: ChoiceKind) -> Result<Vec<Choice>, ErpError>;

    /// Where a person sees this record, as an address in the ERP's own user interface.
    fn record_url(&self, model: &str, id: ErpId) -> Option<String>;

    /// How many calls were made so far, by method (`load`, `web_read`…): for previews, tests and the cost figures.
    fn calls(&self) -> Vec<(String, u64)>;
}
