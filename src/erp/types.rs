//! What goes into the ERP's operations and what comes out.

use std::collections::BTreeMap;
use std::time::Duration;

use rust_decimal::Decimal;
use serde::Serialize;

use crate::domain::{
    Disposition, ErpId, ExternalId, FieldNeed, FieldValue, Fields, ShopifyId, System, Timestamp,
};
use crate::transport;

/// Why a call to the ERP failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ErpError {
    /// The connection failed: name, refusal, certificate, time, a page instead of data.
    #[error("the ERP cannot be reached: {0}")]
    Unreachable(#[source] transport::Failure),
    /// A write was sent and no answer came: it may or may not have happened.
    #[error("the ERP gave no answer to {method} on {model}; whether it was carried out is unknown")]
    Unknown {
        /// Model.
        model: String,
        /// Method.
        method: String,
        /// What was seen.
        #[source]
        source: transport::Failure,
    },
    /// Login or key refused, or expired.
    #[error("the ERP refused the login: {message}")]
    Refused {
        /// The ERP's words.
        message: String,
    },
    /// The connection's own settings are wrong: database, version, company, language. Like a refused login, it is every
    /// job's failure.
    #[error("the ERP cannot be used as it is configured: {message}")]
    Misconfigured {
        /// What is wrong.
        message: String,
    },
    /// The API user lacks a right.
    #[error("the ERP user may not {method} {model}: {message}")]
    Forbidden {
        /// Model.
        model: String,
        /// Method.
        method: String,
        /// The ERP's words.
        message: String,
    },
    /// A module, model, method or field that we need is not there.
    #[error("the ERP is not set up for this: {message}")]
    Setup {
        /// What is missing.
        message: String,
    },
    /// The record is gone.
    #[error("{model} {id:?} does not exist any more in the ERP")]
    Missing {
        /// Model.
        model: String,
        /// Its id, where it is known.
        id: Option<ErpId>,
    },
    /// A business rule or a bad value: the same call will be refused again.
    #[error("the ERP refused {method} on {model}: {message}")]
    Rejected {
        /// Model.
        model: String,
        /// Method.
        method: String,
        /// The ERP's words.
        message: String,
    },
    /// The ERP asked a question (a wizard) instead of doing it: nothing was done.
    #[error("the ERP asked a question instead of carrying out {method} on {model}")]
    Asked {
        /// Model.
        model: String,
        /// Method.
        method: String,
    },
    /// A lost race, a lock, a database that went away: rolled back there, may be repeated.
    #[error("the ERP was busy: {message}")]
    Busy {
        /// The ERP's words.
        message: String,
        /// How long it asked to wait.
        retry_after: Option<Duration>,
    },
    /// The ERP's database is down while the ERP itself answers.
    #[error("the ERP's database is unavailable")]
    Down {
        /// How long it asked to wait.
        retry_after: Option<Duration>,
    },
    /// An answer that is not what the protocol promises.
    #[error("the ERP's answer to {method} on {model} makes no sense: {message}")]
    Nonsense {
        /// Model.
        model: String,
        /// Method.
        method: String,
        /// What is wrong with it.
        message: String,
    },
}

/// Between two calls of one operation a debug build can be told to fail: as if the ERP had been busy.
impl From<crate::failpoint::Injected> for ErpError {
    fn from(injected: crate::failpoint::Injected) -> Self {
        Self::Busy {
            message: injected.to_string(),
            retry_after: None,
        }
    }
}

impl ErpError {
    /// What it means for the job.
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Unreachable(failure) => Disposition::SystemDown {
                system: System::Erp,
                retry_after: failure.retry_after(),
            },
            Self::Down { retry_after } => Disposition::SystemDown {
                system: System::Erp,
                retry_after: *retry_after,
            },
            // A refused login is every job's failure, and nobody's fault but the key's: the breaker holds the jobs back.
            Self::Refused { .. } | Self::Misconfigured { .. } => Disposition::SystemDown {
                system: System::Erp,
                retry_after: None,
            },
            Self::Unknown { source, .. } => Disposition::Transient {
                retry_after: source.retry_after(),
            },
            Self::Busy { retry_after, .. } => Disposition::Transient {
                retry_after: *retry_after,
            },
            Self::Nonsense { .. } => Disposition::Transient { retry_after: None },
            Self::Forbidden { .. }
            | Self::Setup { .. }
            | Self::Missing { .. }
            | Self::Rejected { .. }
            | Self::Asked { .. } => Disposition::Permanent,
        }
    }

    /// A stable code for problems and metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "erp_unreachable",
            Self::Unknown { .. } => "erp_no_answer",
            Self::Refused { .. } => "erp_login_refused",
            Self::Misconfigured { .. } => "erp_misconfigured",
            Self::Forbidden { .. } => "erp_forbidden",
            Self::Setup { .. } => "erp_not_set_up",
            Self::Missing { .. } => "erp_record_missing",
            Self::Rejected { .. } => "erp_rejected",
            Self::Asked { .. } => "erp_asked_a_question",
            Self::Busy { .. } => "erp_busy",
            Self::Down { .. } => "erp_down",
            Self::Nonsense { .. } => "erp_nonsense",
        }
    }
}

/// The server at the other end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct About {
    /// `odoo`.
    pub product: String,
    /// The version as the server says it, e.g. `18.0-20250421`.
    pub version: String,
    /// The major version, e.g. 18.
    pub major: u32,
    /// `json-rpc` or `json-2`.
    pub protocol: String,
}

/// What mappings and settings need of the ERP, for `check --live`.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// Per model the fields that mappings write or search by, with line models among them.
    pub fields: BTreeMap<String, Vec<FieldNeed>>,
    /// What service products may be needed for, e.g. `shipping`.
    pub services: Vec<String>,
    /// Currency codes.
    pub currencies: Vec<String>,
    /// Language codes.
    pub languages: Vec<String>,
}

/// The fields of a model by name.
#[derive(Clone, Debug, Default)]
pub struct FieldTable(pub BTreeMap<String, FieldInfo>);

/// One field of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldInfo {
    /// The ERP's type, e.g. `char`, `many2one`.
    pub kind: String,
    /// Whether it must have a value.
    pub required: bool,
    /// Whether it can only be read.
    pub readonly: bool,
    /// The model it refers to.
    pub relation: Option<String>,
    /// Decimals that it keeps, where the ERP says so of a number.
    pub digits: Option<u32>,
}

/// A record found by its external id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identified {
    /// Its model.
    pub model: String,
    /// Its id.
    pub id: ErpId,
}

/// A search by exact values.
#[derive(Clone, Debug)]
pub struct Find {
    /// Model.
    pub model: String,
    /// Field and value; `email_normalized` and the like are compared as they stand.
    pub equal: Vec<(String, FieldValue)>,
    /// A field that has one of these values; the record still has to have all of `equal`.
    pub one_of: Option<(String, Vec<FieldValue>)>,
    /// Fields to read.
    pub fields: Vec<String>,
    /// At most this many.
    pub limit: u32,
}

/// A record as read: its id and the asked fields, decoded by the fields' types.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its id.
    pub id: ErpId,
    /// Field and value; an empty field is [`FieldValue::Clear`].
    pub fields: BTreeMap<String, FieldValue>,
}

/// A record to make or update by its external id.
#[derive(Clone, Debug, PartialEq)]
pub struct Save {
    /// Model, e.g. `sale.order`.
    pub model: String,
    /// The key.
    pub external_id: ExternalId,
    /// Fields.
    pub fields: Fields,
    /// Lines, e.g. of `order_line`.
    pub lines: Option<Lines>,
}

/// The lines of a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Lines {
    /// The field of the parent, e.g. `order_line`.
    pub field: String,
    /// The lines' model, e.g. `sale.order.line`.
    pub model: String,
    /// Each with its key.
    pub rows: Vec<(ExternalId, Fields)>,
}

/// An order as the ERP has it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SalesOrder {
    /// Id.
    pub id: ErpId,
    /// Number for people, e.g. `S00042`.
    pub name: String,
    /// State.
    pub state: OrderState,
    /// Whether it is locked against changes.
    pub locked: bool,
    /// The shop's number as it is kept there (`client_order_ref`).
    pub reference: Option<String>,
    /// Customer.
    pub partner: Option<ErpId>,
    /// Order date.
    pub ordered_at: Option<Timestamp>,
    /// Currency code.
    pub currency: Option<String>,
    /// Total without tax.
    pub untaxed: Decimal,
    /// All taxes.
    pub tax: Decimal,
    /// Total with tax.
    pub total: Decimal,
    /// Whether anything was invoiced.
    pub invoiced: bool,
    /// Its lines in order.
    pub lines: Vec<SalesOrderLine>,
}

/// How an order of the ERP stands, without its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderStanding {
    /// Id.
    pub id: ErpId,
    /// Number for people, e.g. `S00042`.
    pub name: String,
    /// The shop's number as it is kept there.
    pub reference: Option<String>,
    /// State.
    pub state: OrderState,
    /// When it was ordered.
    pub ordered_at: Option<Timestamp>,
    /// All taxes.
    pub tax: Decimal,
    /// Total with tax.
    pub total: Decimal,
}

/// Whom an order of the ERP is for, and where it goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OrderParties {
    /// Whoever bought.
    pub buyer: Option<ErpId>,
    /// Whoever gets the invoice.
    pub billing: Option<ErpId>,
    /// Where the goods go.
    pub shipping: Option<ErpId>,
}

/// One line of an order as the ERP has it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SalesOrderLine {
    /// Id.
    pub id: ErpId,
    /// Product variant.
    pub product: Option<ErpId>,
    /// Text.
    pub name: String,
    /// Units.
    pub quantity: Decimal,
    /// Price of one unit as stored.
    pub unit_price: Decimal,
    /// Taxes.
    pub taxes: Vec<ErpId>,
    /// Without tax.
    pub subtotal: Decimal,
    /// With tax.
    pub total: Decimal,
    /// Units that were delivered, less those that came back.
    pub delivered: Decimal,
    /// Units that were invoiced (on drafts, too), less those that were credited.
    pub invoiced: Decimal,
    /// Units that the ERP would invoice now; negative where it invoiced too many.
    pub to_invoice: Decimal,
}

/// The state of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderState {
    /// A quotation, sent or not.
    Draft,
    /// Confirmed.
    Confirmed,
    /// Cancelled.
    Cancelled,
    /// Something that this version does not know.
    Other,
}

/// A product to make or update.
#[derive(Clone, Debug, PartialEq)]
pub struct ProductSave {
    /// The template's key.
    pub external_id: ExternalId,
    /// The template: linked already (then it may lack our external id), or found just now by that id. None where a look at the
    /// ERP has just found nothing.
    pub existing: Option<ErpId>,
    /// Fields of the template.
    pub fields: Fields,
    /// Options with their values, in order; empty for a product without options.
    pub options: Vec<(String, Vec<String>)>,
    /// Variants.
    pub variants: Vec<VariantSave>,
}

/// A variant to write.
#[derive(Clone, Debug, PartialEq)]
pub struct VariantSave {
    /// Shopify's number.
    pub id: ShopifyId,
    /// The ERP's variant, where it is linked already.
    pub existing: Option<ErpId>,
    /// Option name and value; empty for the only variant of a product without options.
    pub options: Vec<(String, String)>,
    /// Fields of the variant.
    pub fields: Fields,
}

/// A product that was written.
#[derive(Clone, Debug, PartialEq)]
pub struct ProductSaved {
    /// The template.
    pub template: ErpId,
    /// Which ERP variant belongs to which of ours.
    pub variants: Vec<(ShopifyId, ErpId)>,
}

/// A variant as the ERP has it.
#[derive(Clone, Debug, PartialEq)]
pub struct ErpVariant {
    /// Id.
    pub id: ErpId,
    /// SKU.
    pub sku: Option<String>,
    /// Bar code.
    pub barcode: Option<String>,
    /// Option name and value.
    pub options: Vec<(String, String)>,
}

/// Units of a variant that an order is still to get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenDelivery {
    /// The variant.
    pub variant: ErpId,
    /// The order.
    pub order: ErpId,
    /// How many are to leave the warehouse.
    pub demanded: Decimal,
    /// How many of them are reserved.
    pub reserved: Decimal,
}
