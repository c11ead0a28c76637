//! What happens to one record while nobody is told; what is to be told of it then, worked out from what was done to the two
//! stand-ins; and how they are to stand in the end.

mod customers;
mod orders;
mod products;
mod stock;

use super::*;

/// What happened to one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Damage {
    Customer(customers::Kind),
    Product(products::Kind),
    Stock(stock::Kind),
    Order(orders::Kind),
}

/// All kinds of damage.
pub(super) fn all() -> Vec<Damage> {
    let customers = customers::ALL.into_iter().map(Damage::Customer);
    let products = products::ALL.into_iter().map(Damage::Product);
    let stock = stock::ALL.into_iter().map(Damage::Stock);
    let orders = orders::ALL.into_iter().map(Damage::Order);
    customers.chain(products).chain(stock).chain(orders).collect()
}

/// What is to be told of a side's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Nothing,
    Is(String),
}

impl Value {
    pub(super) fn is(&self, told: Option<&str>) -> bool {
        match (self, told) {
            (Self::Nothing, None) => true,
            (Self::Is(expected), Some(told)) => {
                // 15.00 is 15.
                let number = |text: &str| text.parse::<Decimal>().ok();
                expected == told || number(expected).is_some_and(|expected| number(told) == Some(expected))
            }
            _ => false,
        }
    }
}

/// A finding that is to be told: of a record by its number on the shop, else by the ERP's.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    pub(super) object: Object,
    pub(super) source: Option<u64>,
    pub(super) erp: Option<i64>,
    pub(super) class: DriftClass,
    pub(super) field: Option<String>,
    pub(super) shopify: Value,
    pub(super) theirs: Value,
    pub(super) fate: DriftFate,
    /// The rule, or the code of the problem.
    pub(super) why: Option<&'static str>,
}

impl Expected {
    /// Of a record of the shop.
    fn of(object: Object, source: u64, class: DriftClass) -> Self {
        Self {
            object,
            source: Some(source),
            erp: None,
            class,
            field: None,
            shopify: Value::Nothing,
            theirs: Value::Nothing,
            fate: DriftFate::Repaired,
            why: None,
        }
    }

    /// A second record of the ERP beside this one.
    fn twin(object: Object, twin: i64, beside: i64) -> Self {
        Self {
            source: None,
            erp: Some(twin),
            theirs: Value::Is(format!("beside #{beside}")),
            ..Self::of(object, 0, DriftClass::DuplicateInErp).asks("drift_duplicate_in_erp")
        }
    }

    fn field(mut self, field: &str, shopify: impl ToString, erp: impl ToString) -> Self {
        self.field = Some(field.to_owned());
        (self.shopify, self.theirs) = (Value::Is(shopify.to_string()), Value::Is(erp.to_string()));
        self
    }

    /// Something that is done, and is no field.
    fn act(self, name: &str) -> Self {
        Self {
            field: Some(name.to_owned()),
            ..self
        }
    }

    /// Left alone by this rule.
    fn left(self, rule: &'static str) -> Self {
        Self {
            fate: DriftFate::LeftAlone,
            why: Some(rule),
            ..self
        }
    }

    /// A person is asked with this code.
    fn asks(self, code: &'static str) -> Self {
        Self {
            fate: DriftFate::NeedsPerson,
            why: Some(code),
            ..self
        }
    }

    /// Whether a row tells of this.
    pub(super) fn is(&self, row: &DriftRow) -> bool {
        row.object == self.object
            && (self.source.is_none() || row.source_id.map(|id| id.0) == self.source)
            && (self.erp.is_none() || row.erp_id.map(|id| id.0) == self.erp)
            && row.class == self.class
            && row.field == self.field
    }

    /// Whether it does so with these values, and what becomes of it.
    pub(super) fn is_told_by(&self, row: &DriftRow) -> bool {
        self.shopify.is(row.shopify.as_deref())
            && self.theirs.is(row.erp.as_deref())
            && row.fate == self.fate
            && row.why.as_deref() == self.why
    }
}

/// Something about both sides that is to be so.
type Standing = Box<dyn Fn(&Damaged) -> bool>;

/// What came of a damage.
pub(super) struct Hurt {
    /// What the first run is to tell.
    pub(super) told: Vec<Expected>,
    /// What later runs may tell: what is left alone and what a person was asked about, unless said otherwise.
    pub(super) again: Vec<Expected>,
    /// How both sides are to stand when everything was carried out: repaired, or left as it was damaged.
    pub(super) stands: Standing,
}

impl Hurt {
    fn new(told: Vec<Expected>, stands: impl Fn(&Damaged) -> bool + 'static) -> Self {
        let stays = |one: &&Expected| matches!(one.fate, DriftFate::LeftAlone | DriftFate::NeedsPerson);
        Self {
            again: told.iter().filter(stays).cloned().collect(),
            told,
            stands: Box::new(stands),
        }
    }

    /// Later runs tell this besides.
    fn then(mut self, later: Option<Expected>) -> Self {
        self.again.extend(later);
        self
    }
}

/// The record that is damaged, and whether what the ERP changes goes to the shop.
pub(super) struct Place<'a> {
    pub(super) both: &'a Damaged,
    pub(super) number: usize,
    pub(super) out: bool,
}

impl Place<'_> {
    pub(super) async fn apply(&self, damage: Damage) -> Hurt {
        match damage {
            Damage::Customer(kind) => self.customer(kind).await,
            Damage::Product(kind) => self.product(kind).await,
            Damage::Stock(kind) => self.stock(kind).await,
            Damage::Order(kind) => self.order(kind).await,
        }
    }

    /// What the ERP changed goes to the shop where that is switched on, and else stays.
    fn theirs(&self, expected: Expected) -> Expected {
        if self.out {
            expected
        } else {
            expected.left("changed_in_the_erp")
        }
    }

    /// What is told later of a record of the shop whose one in the ERP was deleted and not made again: nothing where the ERP has
    /// no say on the shop, for there it is.
    fn retired(&self, object: Object, source: u64) -> Option<Expected> {
        let later = Expected::of(object, source, DriftClass::MissingInErp).left("link_retired");
        self.out.then_some(later)
    }
}

/// The number of the record that carries our name.
fn named(both: &Damaged, name: &str) -> Option<i64> {
    let name = format!("__lockstep_main__.{name}");
    both.bench
        .erp
        .ledger()
        .find_by_external_id(&name)
        .map(|(_, id)| id)
}

fn in_the_books(both: &Damaged, model: &str, id: i64) -> Option<serde_json::Value> {
    both.bench.erp.ledger().record(model, id)
}
