//! Pure values and rules that every other module speaks: ids, time, money, jobs, problems, links, and the
//! canonical records (order, customer, product) that stand between Shopify and the ERP.
//!
//! Nothing here does I/O, reads a clock or draws a random number, and nothing here knows Shopify's or
//! Odoo's wire formats: adapters convert at the edge.

mod actor;
mod calls;
mod canonical;
mod check;
mod clock;
mod customer;
mod disposition;
mod drift;
mod entropy;
mod erp_records;
mod happened;
mod ids;
mod interval;
mod job;
mod link;
mod money;
mod nearest;
mod network;
mod order;
mod outgoing;
mod problem;
mod product;
mod raw_schema;
mod report;
mod retry;
mod role;
mod shop_fields;
mod target;
mod topic;

pub use actor::{Actor, Via};
pub use calls::{Call, CallTotal, Calls};
pub(crate) use canonical::canonical;
pub use canonical::{Canonical, Fact, Shape};
pub use check::{CheckOutcome, CheckRow, FieldNeed};
pub use clock::{Clock, ManualClock, SharedClock, SystemClock, Timestamp};
pub use customer::{Address, Customer};
pub use disposition::Disposition;
pub use drift::{DriftClass, DriftFate};
pub use entropy::{Entropy, SeededEntropy, SharedEntropy, SystemEntropy};
pub use erp_records::{ErpProduct, ErpVariantRecord, Partner, Stock};
pub use happened::{About, Carried, Changed, ErpAbout, Happened, HappenedDetail, Happening, Related};
pub(crate) use ids::text_enum;
pub use ids::{
    Direction, ErpId, EventId, Fence, IdError, JobId, JobKey, Object, RecordKey, ShopName, ShopifyId,
    StockOf, System,
};
pub use interval::Interval;
pub use job::{JobState, Priority};
pub use link::{Link, LinkKind, LinkState};
pub use money::{Currency, MoneyError, parse_decimal, round_half_up};
pub use nearest::nearest;
pub use network::{Network, NetworkError};
pub use order::{
    AppliedDiscount, BookedLine, BookedTax, FinancialStatus, FulfilledLine, Fulfillment, LineKind, Order,
    OrderCompany, OrderCustomer, OrderTotals, Payment, Refund, RefundAdjustment, RefundedLine,
    RefundedShipping, Restock, Risk,
};
pub use outgoing::{
    CustomerFound, ItemStock, LevelStock, Location, NewCustomer, NewProduct, NewVariant, QuantitiesSet,
    Refusal, SetQuantities, SetQuantity, VariantFound, VariantKeys,
};
pub use problem::{NewProblem, ProblemCode, TableKey};
pub use product::{OptionValue, Product, ProductOption, Variant};
pub use raw_schema::{RawSchema, Selected, SelectionError};
pub use report::{Outcome, Report};
pub use retry::{LONGEST_CALL, LONGEST_RETRY_WAIT, RetryPolicy};
pub use role::Role;
pub use shop_fields::{
    CUSTOMER_FIELDS, PRODUCT_FIELDS, STOCK_FIELDS, ShopField, ShopFieldKind, VARIANT_FIELDS, shop_fields,
};
pub use target::{ExternalId, FieldValue, Fields, LOOK_UP_KINDS, LookUp, LookUpKind, Need, Needed, Scalar};
pub use topic::{Topic, TopicAction};
