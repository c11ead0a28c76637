//! The shop's data in one place, and the look-ups over it.
//!
//! Everything that happens to the shop goes through the actions in `actions/`; each of them stamps the changed
//! records and announces the change to the webhook subscriptions in the same step.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use chrono::{DateTime, Utc};

use super::bulk::BulkOperation;
use super::facts::{
    Company, Customer, Location, MetafieldDefinition, Order, Product, StockAdjustment, Variant,
};
use super::faults::BulkFault;
use super::graphql::{Complaint, Keys};
use super::ids::{Clock, Ids};
use super::options::Options;
use super::raw::RawRecords;
use super::webhook::{Announcement, Subscription};

/// All data of one shop.
pub struct Shop {
    pub(super) domain: String,
    pub(super) name: String,
    pub(super) currency: String,
    pub(super) country: String,
    pub(super) zone: chrono_tz::Tz,
    pub(super) scopes: Vec<String>,
    pub(super) webhook_version: String,
    pub(super) versions: Vec<String>,
    pub(super) search_lag: chrono::Duration,
    clock: Clock,
    pub(super) ids: Ids,
    pub(super) next_number: u64,
    pub(super) customers: BTreeMap<u64, Customer>,
    /// E-mail addresses and phone numbers that some customer has or had: what is not among them is free.
    pub(super) contacts: HashSet<String>,
    pub(super) companies: BTreeMap<u64, Company>,
    pub(super) products: BTreeMap<u64, Product>,
    pub(super) orders: BTreeMap<u64, Order>,
    pub(super) raw: RawRecords,
    pub(super) locations: Vec<Location>,
    /// Product of each variant and of each inventory item.
    pub(super) product_of: HashMap<u64, u64>,
    pub(super) subscriptions: Vec<Subscription>,
    pub(super) definitions: Vec<MetafieldDefinition>,
    /// Writes of quantities that changed something, oldest first.
    pub(super) adjustments: Vec<StockAdjustment>,
    /// Idempotency keys that were used.
    pub(super) keys: Keys,
    /// Mutations that are refused the next time, each once.
    pub(super) refusals: Vec<(String, Complaint)>,
    /// Bulk operations, oldest first.
    pub(super) bulk: Vec<BulkOperation>,
    /// What goes wrong with the next ones.
    pub(super) bulk_faults: VecDeque<BulkFault>,
    /// Whether they do not end.
    pub(super) bulk_held: bool,
    /// Base address of the service that keeps their results.
    pub(super) bulk_host: String,
    /// Kind and number of what was deleted.
    pub(super) deleted: Vec<(&'static str, u64)>,
    /// Changes that are not yet handed to the delivery.
    pub(super) announced: Vec<Announcement>,
    pub(super) id: u64,
}

impl Shop {
    pub(super) fn new(options: &Options) -> Self {
        let mut ids = Ids::default();
        let id = ids.take();
        let location = Location {
            id: ids.take(),
            name: "Main warehouse".to_owned(),
            city: "Berlin".to_owned(),
            country_code: options.country.clone(),
            active: true,
            fulfills_online: true,
        };
        Self {
            domain: options.domain.clone(),
            name: options.name.clone(),
            currency: options.currency.clone(),
            country: options.country.clone(),
            zone: options.time_zone,
            scopes: options.access.scopes.clone(),
            webhook_version: options.versions.webhooks.clone(),
            versions: options.versions.supported.clone(),
            search_lag: chrono::Duration::from_std(options.search_lag).unwrap_or_default(),
            clock: options.clock.clone(),
            ids,
            next_number: options.first_order_number,
            customers: BTreeMap::new(),
            contacts: HashSet::new(),
            companies: BTreeMap::new(),
            products: BTreeMap::new(),
            orders: BTreeMap::new(),
            raw: RawRecords::default(),
            locations: vec![location],
            product_of: HashMap::new(),
            subscriptions: Vec::new(),
            definitions: Vec::new(),
            adjustments: Vec::new(),
            keys: Keys::default(),
            refusals: Vec::new(),
            bulk: Vec::new(),
            bulk_faults: VecDeque::new(),
            bulk_held: false,
            bulk_host: String::new(),
            deleted: Vec::new(),
            announced: Vec::new(),
            id,
        }
    }

    /// The shop's time.
    pub fn now(&self) -> DateTime<Utc> {
        (self.clock)()
    }

    /// A customer by the number part of its gid.
    pub fn customer(&self, id: u64) -> Option<&Customer> {
        self.customers.get(&id)
    }

    /// A product by the number part of its gid.
    pub fn product(&self, id: u64) -> Option<&Product> {
        self.products.get(&id)
    }

    /// A variant and its product.
    pub fn variant(&self, id: u64) -> Option<(&Product, &Variant)> {
        let product = self.products.get(self.product_of.get(&id)?)?;
        Some((product, product.variants.iter().find(|v| v.id == id)?))
    }

    /// The variant behind an inventory item.
    pub fn inventory_item(&self, id: u64) -> Option<(&Product, &Variant)> {
        let product = self.products.get(self.product_of.get(&id)?)?;
        Some((product, product.variants.iter().find(|v| v.item.id == id)?))
    }

    /// An order by the number part of its gid.
    pub fn order(&self, id: u64) -> Option<&Order> {
        self.orders.get(&id)
    }

    /// An order by its name (`#1001`).
    pub fn order_named(&self, name: &str) -> Option<&Order> {
        self.orders.values().find(|o| o.name == name)
    }

    /// The place that goods are sent from by default.
    pub fn main_location(&self) -> u64 {
        self.locations[0].id
    }

    /// Adds a place that stocks goods.
    pub fn add_location(&mut self, name: &str, city: &str, country_code: &str) -> u64 {
        let id = self.ids.take();
        self.locations.push(Location {
            id,
            name: name.to_owned(),
            city: city.to_owned(),
            country_code: country_code.to_owned(),
            active: true,
            fulfills_online: true,
        });
        id
    }

    /// Adds a place with an id of the caller's choosing, or renames it.
    pub fn put_location(&mut self, id: u64, name: &str, city: &str, country_code: &str) {
        self.locations.retain(|place| place.id != id);
        self.locations.push(Location {
            id,
            name: name.to_owned(),
            city: city.to_owned(),
            country_code: country_code.to_owned(),
            active: true,
            fulfills_online: true,
        });
    }

    /// A place by the number part of its gid.
    pub fn location(&self, id: u64) -> Option<&Location> {
        self.locations.iter().find(|l| l.id == id)
    }

    /// Takes a place out of use, or back into it.
    pub fn set_location_active(&mut self, id: u64, active: bool) {
        if let Some(place) = self.locations.iter_mut().find(|place| place.id == id) {
            place.active = active;
        }
    }

    /// The next mutation of this name is refused with this user error and does nothing.
    pub fn refuse_next(&mut self, mutation: &str, field: &[&str], message: &str, code: Option<&str>) {
        self.refusals
            .push((mutation.to_owned(), Complaint::new(field, message, code)));
    }

    /// The user error that the next mutation of this name is refused with, if one is due.
    pub(super) fn next_refusal(&mut self, mutation: &str) -> Option<Complaint> {
        let at = self.refusals.iter().position(|(name, _)| name == mutation)?;
        Some(self.refusals.remove(at).1)
    }

    /// Writes of quantities that changed something, oldest first.
    pub fn adjustments(&self) -> &[StockAdjustment] {
        &self.adjustments
    }

    /// Definitions of metafields.
    pub fn definitions(&self) -> &[MetafieldDefinition] {
        &self.definitions
    }

    /// Orders of a customer, oldest first.
    pub fn orders_of(&self, customer: u64) -> impl DoubleEndedIterator<Item = &Order> {
        self.orders.values().filter(move |o| o.customer == Some(customer))
    }

    /// Grants these scopes from now on.
    pub fn grant_scopes(&mut self, scopes: &[&str]) {
        self.scopes = scopes.iter().map(|s| (*s).to_owned()).collect();
    }

    /// Whether the app holds a scope. Writing a kind of record includes reading it.
    pub(super) fn has_scope(&self, scope: &str) -> bool {
        let writes = scope.strip_prefix("read_").map(|rest| format!("write_{rest}"));
        self.scopes
            .iter()
            .any(|s| s == scope || Some(s) == writes.as_ref())
    }
}
