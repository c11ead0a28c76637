//! What a stand-in ERP starts with: version, company, logins, money, faults of the set-up.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

/// The major version whose behaviour is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// Odoo 17.0: played as 18 with the older product type fields; nothing about it was observed.
    V17,
    /// Odoo 18.0 Community.
    V18,
    /// Odoo 19.0 Community: also speaks JSON-2.
    V19,
}

impl Version {
    /// The major number.
    pub fn major(self) -> u32 {
        match self {
            Self::V17 => 17,
            Self::V18 => 18,
            Self::V19 => 19,
        }
    }

    /// Up to 18, where 19 renamed or dropped something.
    pub(super) fn before_19(self) -> bool {
        self < Self::V19
    }
}

/// `res.company.tax_calculation_rounding_method`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rounding {
    /// `round_per_line`: each line's taxes are rounded.
    PerLine,
    /// `round_globally`: taxes are summed over the order and rounded once per tax.
    Globally,
}

/// Tells the server's time.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// One company of the database. The first one is the API user's default.
#[derive(Debug, Clone)]
pub struct CompanySeed {
    /// Its name.
    pub name: String,
    /// ISO 4217 code of its currency.
    pub currency: String,
    /// ISO 3166 code of its country.
    pub country: String,
    /// Whether the API user may work in it.
    pub allowed: bool,
}

/// One sale tax.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaxSeed {
    /// Percent.
    pub amount: Decimal,
    /// Whether prices contain it.
    pub price_include: bool,
    /// Its name; made of the percentage when there is none.
    pub name: Option<String>,
    /// ISO code of its country; the company's when there is none.
    pub country: Option<String>,
    /// Name of its tax group; all taxes without one share a group.
    pub group: Option<String>,
}

impl TaxSeed {
    /// A tax known by its percentage alone.
    pub fn new(amount: Decimal, price_include: bool) -> Self {
        Self {
            amount,
            price_include,
            ..Self::default()
        }
    }
}

/// What a journal is for (`account.journal.type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JournalKind {
    /// Money at a bank, or at a payment provider.
    Bank,
    /// A till.
    Cash,
    /// Customer invoices and credit notes.
    Sale,
    /// Anything else.
    General,
}

impl JournalKind {
    /// Odoo's word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Bank => "bank",
            Self::Cash => "cash",
            Self::Sale => "sale",
            Self::General => "general",
        }
    }
}

/// One accounting journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalSeed {
    /// Its name.
    pub name: String,
    /// Its short code.
    pub code: String,
    /// What it is for.
    pub kind: JournalKind,
}

impl JournalSeed {
    /// A journal.
    pub fn new(name: &str, code: &str, kind: JournalKind) -> Self {
        Self {
            name: name.to_owned(),
            code: code.to_owned(),
            kind,
        }
    }
}

/// One custom field, as an administrator adds it with the studio or through `ir.model.fields`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CustomField {
    /// Technical name of the model.
    pub model: String,
    /// Its name; begins with `x_`.
    pub name: String,
    /// Label.
    pub label: String,
    /// Odoo's word for the type: `char`, `text`, `html`, `integer`, `float`, `boolean`, `date`, `datetime`.
    pub kind: String,
}

impl CustomField {
    /// A field labelled with its own name.
    pub fn new(model: &str, name: &str, kind: &str) -> Self {
        Self {
            model: model.to_owned(),
            name: name.to_owned(),
            label: name.to_owned(),
            kind: kind.to_owned(),
        }
    }
}

/// What posting an invoice dated in a closed period does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClosedPeriod {
    /// The accounting date moves to the first open month, silently: what versions 17 to 19 are known to do (not observed).
    Moves,
    /// It is refused with an error that names the lock date, as for other entries, or with a custom rule.
    Refuses,
}

/// One service product that exists from the start, as a shop owner would have made it for shipping or discounts.
#[derive(Debug, Clone)]
pub struct ServiceSeed {
    /// Its name.
    pub name: String,
    /// Its SKU (`default_code`).
    pub code: String,
    /// `module.name`, when it has one.
    pub external_id: Option<String>,
}

/// A model on which the API user lacks rights.
#[derive(Debug, Clone)]
pub struct Denied {
    /// Technical name of the model.
    pub model: String,
    /// Operations refused, of `read`, `write`, `create`, `unlink`.
    pub operations: Vec<String>,
}

/// Everything that a stand-in ERP can be started with. `Options::default()` is a small US company on 18.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each one is a setting of its own that tests name"
)]
#[derive(Clone)]
pub struct Options {
    /// Played version.
    pub version: Version,
    /// Rounding method of all companies.
    pub rounding: Rounding,
    /// Name of the only database.
    pub database: String,
    /// The API user's login.
    pub login: String,
    /// The API user's password: good for JSON-RPC, not accepted by JSON-2.
    pub password: String,
    /// The API user's keys, all valid at once. More can be added and revoked while it runs.
    pub api_keys: Vec<String>,
    /// The API user's e-mail address; on 18 some messages fail without one.
    pub user_email: Option<String>,
    /// The API user's time zone, which `load` falls back to.
    pub user_tz: Option<String>,
    /// Port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// How long every model call takes before it is applied.
    pub latency: Duration,
    /// How long each row or record that is saved or acted on takes on top.
    pub row_latency: Duration,
    /// What `common.authenticate` costs on top (the real one burns more than a second).
    pub authenticate_latency: Duration,
    /// The companies.
    pub companies: Vec<CompanySeed>,
    /// Active currencies beside those of the companies (ISO codes).
    pub currencies: Vec<String>,
    /// Price lists: name and currency code. None by default, as in a fresh database.
    pub pricelists: Vec<(String, String)>,
    /// Languages that are installed beside `en_US`.
    pub languages: Vec<String>,
    /// Sale taxes.
    pub taxes: Vec<TaxSeed>,
    /// Percent of the tax that new products get by default (created excluded if `taxes` lacks it).
    pub default_tax: Decimal,
    /// Service products.
    pub services: Vec<ServiceSeed>,
    /// Rights taken from the API user.
    pub denied: Vec<Denied>,
    /// Journals. A database without one for sales gets `INV`.
    pub journals: Vec<JournalSeed>,
    /// Shipping methods (`delivery.carrier`), by name.
    pub carriers: Vec<String>,
    /// Warehouses of the first company beside its own: name and short code.
    pub warehouses: Vec<(String, String)>,
    /// Custom fields that exist from the start.
    pub custom_fields: Vec<CustomField>,
    /// Whether the API user is an administrator, who may add fields and change currencies, companies and journals.
    pub is_admin: bool,
    /// What posting into a closed period does.
    pub closed_period: ClosedPeriod,
    /// Whether a registered payment leaves an invoice `in_payment` until the bank statement comes, as the enterprise
    /// edition does; in the community edition it is `paid` at once.
    pub in_payment: bool,
    /// Whether calls that overlap in time lose races as on the real server (needs a latency to overlap).
    pub races: bool,
    /// Whether confirmed orders are locked at once (a sales setting).
    pub auto_lock: bool,
    /// Whether somebody's module confirms only the first of several orders.
    pub confirms_first_only: bool,
    /// Whether all goods go straight from the supplier to the customer, as with Odoo's module for drop-shipping. Not observed:
    /// there are no purchase orders here.
    pub dropship: bool,
    /// The server's clock.
    pub clock: Clock,
}

impl Options {
    /// The defaults, playing `version`.
    pub fn version(version: Version) -> Self {
        Self {
            version,
            ..Self::default()
        }
    }
}

/// Percentages seeded by default, each price-included and price-excluded.
const RATES: [&str; 12] = [
    "0", "5", "6", "7", "8.1", "8.875", "9", "10", "19", "20", "21", "25",
];

impl Default for Options {
    fn default() -> Self {
        let taxes = RATES
            .iter()
            .filter_map(|rate| rate.parse().ok())
            .flat_map(|amount| [false, true].map(|price_include| TaxSeed::new(amount, price_include)))
            .collect();
        Self {
            version: Version::V18,
            rounding: Rounding::PerLine,
            database: "prod".to_owned(),
            login: "connector@example.com".to_owned(),
            password: "sandbox-password".to_owned(),
            api_keys: vec!["5a6e4b0c1d2f3a4b5c6d7e8f9a0b1c2d3e4f5a6b".to_owned()],
            user_email: Some("connector@example.com".to_owned()),
            user_tz: None,
            port: 0,
            latency: Duration::ZERO,
            row_latency: Duration::ZERO,
            authenticate_latency: Duration::ZERO,
            companies: vec![CompanySeed {
                name: "My Company".to_owned(),
                currency: "USD".to_owned(),
                country: "US".to_owned(),
                allowed: true,
            }],
            currencies: vec!["EUR".to_owned()],
            pricelists: Vec::new(),
            languages: ["de_DE", "fr_FR", "nl_NL"].map(str::to_owned).to_vec(),
            taxes,
            default_tax: Decimal::from(15),
            services: Vec::new(),
            denied: Vec::new(),
            journals: vec![
                JournalSeed::new("Customer Invoices", "INV", JournalKind::Sale),
                JournalSeed::new("Bank", "BNK1", JournalKind::Bank),
                JournalSeed::new("Cash", "CSH1", JournalKind::Cash),
            ],
            carriers: Vec::new(),
            warehouses: Vec::new(),
            custom_fields: Vec::new(),
            is_admin: false,
            closed_period: ClosedPeriod::Moves,
            in_payment: false,
            races: false,
            auto_lock: false,
            confirms_first_only: false,
            dropship: false,
            clock: Arc::new(system_time),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the stand-in is another system and has its own clock"
)]
fn system_time() -> DateTime<Utc> {
    Utc::now()
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("version", &self.version)
            .field("rounding", &self.rounding)
            .field("database", &self.database)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}
