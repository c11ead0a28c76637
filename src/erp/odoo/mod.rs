//! Odoo as the ERP: versions 17 and 18 over JSON-RPC, 19 and later over JSON-2.
//!
//! What stays in here: both protocols, how a refusal is recognised, Odoo's value conventions, names that differ between
//! versions, and the traps that its documentation does not mention (a price that does not stick, a confirmation that
//! overwrites the date, a wizard's question instead of a cancellation). Everybody else speaks Odoo 19's field names.
//!
//! Promises: writes of records go through `load` with an external id and may be repeated at any time; nothing is deleted
//! but lines of a draft order; a method that answers with a wizard has done nothing and counts as failed; numbers never
//! pass through float arithmetic. Absent: retries (the queue's), decisions about fields (the mapping's).

mod accounting;
mod call;
mod check;
mod choose;
mod country;
mod deliveries;
mod fault;
mod load;
mod login;
mod look_up;
mod names;
mod orders;
mod outgoing;
mod places;
mod products;
mod reads;
mod records;
mod session;
mod settings;
mod setup;
mod standing;
#[cfg(test)]
mod tests;
mod together;
mod turns;
mod value;
mod watch;
mod wire;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_trait::async_trait;
use moka::future::Cache;
use serde_json::Value;

use self::call::Call;
use self::look_up::LookUps;
use self::session::Session;
use crate::domain::{
    CheckRow, ErpId, ErpProduct, ExternalId, Fields, LookUp, Needed, Object, Partner, SharedClock, ShopName,
    Stock, Timestamp,
};
use crate::erp::{
    About, ChangedRow, Choice, ChoiceKind, Closed, Delivery, Document, Erp, ErpError, ErpVariant, FieldTable,
    Find, Identified, Needs, OpenDelivery, OrderParties, OrderStanding, PaymentSave, PresentRow, ProductSave,
    ProductSaved, Row, SalesOrder, Save, SetupState, SetupWish, Watched,
};
use crate::secret::Secret;
use crate::transport::{self, BuildError};

pub use settings::{Protocol, Reference, Settings};

/// Decimals of a unit price that Odoo keeps before version 19, unless its settings say otherwise.
const USUAL_PRICE_DIGITS: u32 = 2;

/// How long the fields of a model are remembered.
const FIELDS_KEPT: Duration = Duration::from_hours(1);

/// An Odoo server, as one shop uses it.
pub struct Odoo {
    /// Shared with the tasks that send what several attempts save.
    session: Arc<Session>,
    tables: Cache<String, Arc<FieldTable>>,
    look_ups: Arc<LookUps>,
    together: together::Together,
    reads: reads::Reads,
    options: products::Options,
    confirming: orders::Confirming,
    /// Codes of states and provinces.
    state_codes: Cache<ErpId, Option<String>>,
    /// Whether `web_read` and `web_save` are there; they belong to Odoo's own client and are not documented.
    has_web_methods: AtomicBool,
}

impl std::fmt::Debug for Odoo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Odoo")
            .field("shop", self.session.shop())
            .field("url", &self.session.base())
            .finish_non_exhaustive()
    }
}

impl Odoo {
    /// The server that `settings` describe. Nothing is sent yet: the first call logs in.
    ///
    /// # Errors
    /// When the settings are not usable; [`Settings::faults`] tells all of it.
    pub fn connect(
        settings: Settings,
        secret: Secret,
        connection: &transport::Settings,
        shop: ShopName,
        clock: SharedClock,
    ) -> Result<Self, BuildError> {
        Ok(Self {
            session: Arc::new(Session::new(settings, secret, connection, shop, clock)?),
            tables: Cache::builder()
                .max_capacity(200)
                .time_to_live(FIELDS_KEPT)
                .build(),
            look_ups: Arc::new(LookUps::new()),
            together: together::Together::default(),
            reads: reads::Reads::default(),
            options: products::Options::new(),
            confirming: orders::Confirming::default(),
            state_codes: Cache::builder()
                .max_capacity(5_000)
                .time_to_live(FIELDS_KEPT)
                .build(),
            has_web_methods: AtomicBool::new(true),
        })
    }

    /// A call of an action.
    async fn act(&self, call: &Call) -> Result<Value, ErpError> {
        acted(call, self.session.call(call).await?)
    }

    /// The server's major version; logs in when that is not known yet.
    async fn major(&self) -> Result<u32, ErpError> {
        Ok(self.session.login().await?.about.major)
    }
}

/// The answer of an action; one that is a wizard or a window has asked a person instead of doing anything.
fn acted(call: &Call, answer: Value) -> Result<Value, ErpError> {
    let asks = answer["type"]
        .as_str()
        .is_some_and(|kind| kind.starts_with("ir.actions"));
    if asks {
        return Err(ErpError::Asked {
            model: call.model.clone(),
            method: call.method.to_owned(),
        });
    }
    Ok(answer)
}

/// An answer that is not what the protocol promises.
fn nonsense(model: &str, method: &str, message: impl Into<String>) -> ErpError {
    ErpError::Nonsense {
        model: model.to_owned(),
        method: method.to_owned(),
        message: message.into(),
    }
}

/// The models whose changes mean work for records of this object. Known without asking a server.
pub fn watched(object: Object) -> Vec<Watched> {
    watch::watched(object)
}

#[async_trait]
impl Erp for Odoo {
    async fn about(&self) -> Result<About, ErpError> {
        Ok(self.session.login().await?.about.clone())
    }

    async fn check(&self, needs: &Needs) -> Vec<CheckRow> {
        self.check_live(needs).await
    }

    async fn company_currency(&self) -> Result<Option<String>, ErpError> {
        self.own_currency().await
    }

    async fn company_country(&self) -> Result<Option<String>, ErpError> {
        self.own_country().await
    }

    async fn price_digits(&self) -> Result<Option<u32>, ErpError> {
        let told = self
            .table("sale.order.line")
            .await?
            .0
            .get("price_unit")
            .and_then(|field| field.digits);
        // 19 keeps every digit. Before that the precision of product prices counts; where the server does not tell it,
        // it is the usual one.
        Ok(match self.major().await? {
            0..19 => told.or(Some(USUAL_PRICE_DIGITS)),
            _ => None,
        })
    }

    async fn fields(&self, model: &str) -> Result<Arc<FieldTable>, ErpError> {
        self.table(model).await
    }

    async fn look_up(&self, look_up: &LookUp) -> Result<Needed, ErpError> {
        self.answer(look_up).await
    }

    fn forget_look_ups(&self) {
        self.look_ups.forget();
        self.options.forget();
        self.session.doubt_version();
    }

    fn forget_absences(&self, since: Timestamp) -> bool {
        self.look_ups.forget_absences(since)
    }

    fn forget_everything(&self) {
        self.forget_look_ups();
        self.tables.invalidate_all();
        self.state_codes.invalidate_all();
    }

    async fn identify(&self, id: &ExternalId) -> Result<Option<Identified>, ErpError> {
        self.resolve(id).await
    }

    async fn external_ids(&self, model: &str, ids: &[ErpId]) -> Result<Vec<(ErpId, ExternalId)>, ErpError> {
        self.names_of(model, ids).await
    }

    async fn find(&self, find: &Find) -> Result<Vec<Row>, ErpError> {
        self.search(find).await
    }

    async fn read(&self, model: &str, ids: &[ErpId], fields: &[String]) -> Result<Vec<Row>, ErpError> {
        self.read_rows(model, ids, fields).await
    }

    async fn save(&self, saves: &[Save]) -> Result<Vec<ErpId>, ErpError> {
        self.load_all(saves).await
    }

    async fn update(&self, model: &str, id: ErpId, fields: &Fields) -> Result<(), ErpError> {
        self.write_fields(model, id, fields).await
    }

    async fn set_active(&self, model: &str, id: ErpId, active: bool) -> Result<(), ErpError> {
        let fields = vec![("active".to_owned(), crate::domain::FieldValue::Bool(active))];
        self.write_fields(model, id, &fields).await
    }

    async fn declared(&self, model: &str) -> Result<Fields, ErpError> {
        self.declared_fields(model).await
    }

    async fn order(&self, id: ErpId) -> Result<Option<SalesOrder>, ErpError> {
        self.read_order(id).await
    }

    async fn order_parties(&self, id: ErpId) -> Result<Option<OrderParties>, ErpError> {
        self.read_order_parties(id).await
    }

    async fn remove_order_lines(&self, order: ErpId, lines: &[ErpId]) -> Result<(), ErpError> {
        self.delete_lines(order, lines).await
    }

    async fn confirm_order(&self, id: ErpId, ordered_at: Timestamp) -> Result<SalesOrder, ErpError> {
        self.confirm(id, ordered_at).await
    }

    async fn cancel_order(&self, id: ErpId, unlock: bool) -> Result<SalesOrder, ErpError> {
        self.cancel(id, unlock).await
    }

    async fn documents(&self, order: ErpId) -> Result<Vec<Document>, ErpError> {
        self.documents_of(order).await
    }

    async fn document(&self, id: ErpId) -> Result<Option<Document>, ErpError> {
        Ok(self.read_documents(&[id]).await?.pop())
    }

    async fn invoice_order(&self, order: ErpId) -> Result<(), ErpError> {
        self.make_invoice(order).await
    }

    async fn post_document(&self, id: ErpId) -> Result<Document, ErpError> {
        self.post(id).await
    }

    async fn closed(&self, of_sales: bool) -> Result<Option<Closed>, ErpError> {
        self.lock_date(of_sales).await
    }

    async fn save_payment(&self, save: &PaymentSave) -> Result<ErpId, ErpError> {
        self.register_payment(save).await
    }

    async fn settle(&self, invoice: ErpId, payment: ErpId) -> Result<bool, ErpError> {
        self.match_payment(invoice, payment).await
    }

    async fn deliveries(&self, order: ErpId) -> Result<Vec<Delivery>, ErpError> {
        self.read_deliveries(order).await
    }

    async fn deliver(
        &self,
        delivery: ErpId,
        quantities: &[(ErpId, rust_decimal::Decimal)],
        tracking: Option<&str>,
    ) -> Result<(), ErpError> {
        self.validate(delivery, quantities, tracking).await
    }

    async fn cancel_delivery(&self, id: ErpId) -> Result<(), ErpError> {
        self.cancel_transfer(id).await
    }

    async fn save_product(&self, save: &ProductSave) -> Result<ProductSaved, ErpError> {
        self.write_product(save).await
    }

    async fn variants(&self, template: ErpId) -> Result<Vec<ErpVariant>, ErpError> {
        self.read_variants(template).await
    }

    async fn partner(&self, id: ErpId, extra: &[String]) -> Result<Option<Partner>, ErpError> {
        self.read_partner(id, extra).await
    }

    async fn partners(&self, ids: &[ErpId], extra: &[String]) -> Result<Vec<Partner>, ErpError> {
        self.read_partners(ids, extra).await
    }

    async fn product_record(
        &self,
        id: ErpId,
        extra: &[String],
        variant_extra: &[String],
    ) -> Result<Option<ErpProduct>, ErpError> {
        self.read_product(id, extra, variant_extra).await
    }

    fn made_of(&self, path: &str) -> Option<&'static [&'static str]> {
        outgoing::made_of(path)
    }

    async fn variants_of(&self, product: ErpId) -> Result<Vec<ErpId>, ErpError> {
        self.variant_ids(product).await
    }

    async fn product_records(
        &self,
        ids: &[ErpId],
        extra: &[String],
        variant_extra: &[String],
    ) -> Result<Vec<ErpProduct>, ErpError> {
        self.read_products(ids, extra, variant_extra).await
    }

    async fn stock(&self, variants: &[ErpId], warehouses: &[ErpId]) -> Result<Vec<Stock>, ErpError> {
        self.read_stock(variants, warehouses).await
    }

    async fn open_deliveries(&self, variants: &[ErpId]) -> Result<Vec<OpenDelivery>, ErpError> {
        self.read_open_moves(variants).await
    }

    fn watched(&self, object: Object) -> Vec<Watched> {
        watch::watched(object)
    }

    async fn newest_change(&self, model: &str) -> Result<Option<Timestamp>, ErpError> {
        self.last_write(model).await
    }

    async fn changed(
        &self,
        model: &str,
        owner: Option<&str>,
        since: Timestamp,
        until: Timestamp,
        after: Option<ErpId>,
        limit: u32,
    ) -> Result<Vec<ChangedRow>, ErpError> {
        self.written_in(model, owner, since, until, after, limit).await
    }

    async fn all_ids(
        &self,
        model: &str,
        owner: Option<&str>,
        after: Option<ErpId>,
        limit: u32,
    ) -> Result<Vec<PresentRow>, ErpError> {
        self.present(model, owner, after, limit).await
    }

    async fn made_since(&self, model: &str, ids: &[ErpId], since: Timestamp) -> Result<Vec<ErpId>, ErpError> {
        self.created_since(model, ids, since).await
    }

    async fn order_standings(&self, ids: &[ErpId]) -> Result<Vec<OrderStanding>, ErpError> {
        self.standings(ids).await
    }

    async fn orders_of_references(&self, references: &[String]) -> Result<Vec<(ErpId, String)>, ErpError> {
        self.referring_orders(references).await
    }

    async fn setup_state(&self, wish: &SetupWish) -> Result<SetupState, ErpError> {
        self.state_of(wish).await
    }

    async fn setup_make(&self, wish: &SetupWish) -> Result<(), ErpError> {
        self.make(wish).await
    }

    async fn setup_choices(&self, kind: ChoiceKind) -> Result<Vec<Choice>, ErpError> {
        self.choices(kind).await
    }

    fn record_url(&self, model: &str, id: ErpId) -> Option<String> {
        let base = self.session.base();
        let major = self.session.known_login().map_or(0, |login| login.about.major);
        // The older form still leads to the record in later versions, so it is also the one for an unknown version.
        Some(if major >= 18 {
            format!("{base}/odoo/{model}/{id}")
        } else {
            format!("{base}/web#id={id}&model={model}&view_type=form")
        })
    }

    fn calls(&self) -> Vec<(String, u64)> {
        self.session.calls()
    }
}
