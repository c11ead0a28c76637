//! Reading fields of a record without losing the place: every failure names the path of the field that is at fault.
//!
//! What Shopify may leave out is read as nothing, what must be there is asked for, and a value of another kind than
//! expected is an error in both cases. Values themselves never appear in errors: they may be personal.

use rust_decimal::Decimal;
use serde_json::Value;

use super::NormaliseError;
use crate::domain::{Currency, ShopifyId, Timestamp, parse_decimal};
use crate::shopify::settings::CurrencyChoice;

static NOTHING: Value = Value::Null;

/// Amounts beyond this are no prices; within it (and with at most [`MOST_DECIMALS`]) all arithmetic here is exact.
const LARGEST_AMOUNT: i64 = 1_000_000_000_000;
const MOST_DECIMALS: u32 = 6;
/// More units of one line than anybody orders.
const MOST_UNITS: i64 = 10_000_000;

/// A value and where it stands.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    value: &'a Value,
    above: Option<(&'a At<'a>, Step)>,
}

#[derive(Clone, Copy)]
enum Step {
    Field(&'static str),
    Item(usize),
}

/// The one currency in which a record is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Purse {
    pub(super) choice: CurrencyChoice,
    pub(super) currency: Currency,
}

impl Purse {
    /// The currency's smallest unit, e.g. `0.01`.
    pub(super) fn smallest(self) -> Decimal {
        Decimal::new(1, self.currency.decimals())
    }

    /// The same amount, written with the currency's decimals where it has no more.
    pub(super) fn tidy(self, amount: Decimal) -> Decimal {
        let mut tidy = amount.normalize();
        if tidy.scale() < self.currency.decimals() {
            tidy.rescale(self.currency.decimals());
        }
        tidy
    }
}

type Read<T> = Result<T, NormaliseError>;

impl<'a> At<'a> {
    /// The record itself.
    pub(super) fn root(value: &'a Value) -> Self {
        Self { value, above: None }
    }

    /// A field; nothing when it is absent.
    pub(super) fn get(&'a self, name: &'static str) -> Self {
        Self {
            value: self.value.get(name).unwrap_or(&NOTHING),
            above: Some((self, Step::Field(name))),
        }
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.value.is_null()
    }

    /// The path for people, e.g. `lineItems[2].quantity`. The `nodes` of connections are left out.
    pub(super) fn path(&self) -> String {
        let Some((above, step)) = self.above else {
            return String::new();
        };
        let before = above.path();
        match step {
            Step::Field(name) if before.is_empty() => name.to_owned(),
            Step::Field(name) => format!("{before}.{name}"),
            Step::Item(index) => format!("{before}[{index}]"),
        }
    }

    pub(super) fn missing(&self) -> NormaliseError {
        NormaliseError {
            code: "missing_value",
            field: self.path(),
            reason: "Shopify sent no value where there must be one".to_owned(),
            fix: "Look at the record in Shopify's admin and at the scopes of the access token, then retry."
                .to_owned(),
        }
    }

    pub(super) fn unreadable(&self, expected: &str) -> NormaliseError {
        NormaliseError {
            code: "unreadable_value",
            field: self.path(),
            reason: format!("the value is not {expected}"),
            fix: "Check that Shopify serves the API version asked for; if it does, this version of lockstep does not know the value."
                .to_owned(),
        }
    }

    /// The items of a plain list; none when it is absent.
    pub(super) fn items(&'a self) -> Read<Vec<At<'a>>> {
        let items: &[Value] = match self.value {
            Value::Null => &[],
            Value::Array(items) => items,
            _ => return Err(self.unreadable("a list")),
        };
        let at = |(index, value)| At {
            value,
            above: Some((self, Step::Item(index))),
        };
        Ok(items.iter().enumerate().map(at).collect())
    }

    /// The items of a paged list that was read to its end.
    pub(super) fn nodes(&'a self) -> Read<Vec<At<'a>>> {
        if self.value.is_null() {
            return Err(self.missing());
        }
        if self.value.pointer("/pageInfo/hasNextPage") == Some(&Value::Bool(true)) {
            return Err(NormaliseError {
                code: "incomplete_record",
                field: self.path(),
                reason: "the list goes on after what was read of it".to_owned(),
                fix: "Retry: the record must be read whole.".to_owned(),
            });
        }
        let Some(Value::Array(items)) = self.value.get("nodes") else {
            return Err(self.unreadable("a list with nodes"));
        };
        let at = |(index, value)| At {
            value,
            above: Some((self, Step::Item(index))),
        };
        Ok(items.iter().enumerate().map(at).collect())
    }

    /// The same of a list that may be absent.
    pub(super) fn nodes_or_none(&'a self) -> Read<Vec<At<'a>>> {
        if self.value.is_null() {
            Ok(Vec::new())
        } else {
            self.nodes()
        }
    }

    /// Text; nothing when it is absent or blank.
    pub(super) fn text(&self) -> Read<Option<String>> {
        match self.value {
            Value::Null => Ok(None),
            Value::String(text) if text.trim().is_empty() => Ok(None),
            Value::String(text) => Ok(Some(text.clone())),
            _ => Err(self.unreadable("text")),
        }
    }

    pub(super) fn need_text(&self) -> Read<String> {
        self.text()?.ok_or_else(|| self.missing())
    }

    /// Texts of a plain list, blank ones left out.
    pub(super) fn texts(&self) -> Read<Vec<String>> {
        let mut texts = Vec::new();
        for item in self.items()? {
            texts.extend(item.text()?);
        }
        Ok(texts)
    }

    pub(super) fn boolean(&self) -> Read<Option<bool>> {
        match self.value {
            Value::Null => Ok(None),
            Value::Bool(value) => Ok(Some(*value)),
            _ => Err(self.unreadable("yes or no")),
        }
    }

    pub(super) fn need_boolean(&self) -> Read<bool> {
        self.boolean()?.ok_or_else(|| self.missing())
    }

    /// A number of units: whole, not negative, not absurd.
    pub(super) fn units(&self) -> Read<i64> {
        let number = match self.value {
            Value::Null => return Err(self.missing()),
            value => value.as_i64().ok_or_else(|| self.unreadable("a whole number"))?,
        };
        match number {
            0..=MOST_UNITS => Ok(number),
            i64::MIN..=-1 => Err(NormaliseError {
                code: "negative_quantity",
                field: self.path(),
                reason: format!("the quantity is {number}"),
                fix: "Look at the order in Shopify's admin: a line cannot have fewer units than none. Book it by hand."
                    .to_owned(),
            }),
            _ => Err(self.unreadable("a number of units that anybody orders")),
        }
    }

    pub(super) fn id(&self) -> Read<Option<ShopifyId>> {
        match self.value {
            Value::Null => Ok(None),
            Value::String(text) => text
                .parse()
                .map(Some)
                .map_err(|_| self.unreadable("an id of Shopify")),
            _ => Err(self.unreadable("an id of Shopify")),
        }
    }

    pub(super) fn need_id(&self) -> Read<ShopifyId> {
        self.id()?.ok_or_else(|| self.missing())
    }

    pub(super) fn time(&self) -> Read<Option<Timestamp>> {
        let Some(text) = self.text()? else { return Ok(None) };
        Timestamp::parse_rfc3339(&text)
            .map(Some)
            .map_err(|_| self.unreadable("a date and time with an offset"))
    }

    pub(super) fn need_time(&self) -> Read<Timestamp> {
        self.time()?.ok_or_else(|| self.missing())
    }

    /// An exact number, from text or from a JSON number's own digits.
    pub(super) fn decimal(&self) -> Read<Option<Decimal>> {
        let parsed = match self.value {
            Value::Null => return Ok(None),
            Value::String(text) => parse_decimal(text.trim()),
            // The shortest text that reads back as the same number: the digits that Shopify sent.
            Value::Number(number) => parse_decimal(&number.to_string()),
            _ => return Err(self.unreadable("a number")),
        };
        parsed
            .ok()
            .map(|number| number.normalize())
            .filter(|number| number.abs() < Decimal::from(LARGEST_AMOUNT))
            .map(Some)
            .ok_or_else(|| self.unreadable("a number of a usual size"))
    }

    /// An amount: a number with no more decimals than any price has.
    pub(super) fn amount(&self) -> Read<Option<Decimal>> {
        match self.decimal()? {
            Some(amount) if amount.scale() > MOST_DECIMALS => Err(self.unreadable("an amount of money")),
            amount => Ok(amount),
        }
    }

    /// One side of a money bag; nothing when the bag is absent.
    pub(super) fn money(&self, purse: Purse) -> Read<Option<Decimal>> {
        if self.is_nothing() {
            return Ok(None);
        }
        let side = self.get(match purse.choice {
            CurrencyChoice::Shop => "shopMoney",
            CurrencyChoice::Presentment => "presentmentMoney",
        });
        let currency = side.get("currencyCode");
        let found = currency.need_text()?;
        if found != purse.currency.as_str() {
            return Err(NormaliseError {
                code: "mixed_currencies",
                field: currency.path(),
                reason: format!(
                    "the amount is in another currency than the order's {}",
                    purse.currency
                ),
                fix: "Look at the order in Shopify's admin and book it by hand; lockstep never converts."
                    .to_owned(),
            });
        }
        let amount = side.get("amount");
        amount.amount()?.map(Some).ok_or_else(|| amount.missing())
    }

    pub(super) fn need_money(&self, purse: Purse) -> Read<Decimal> {
        self.money(purse)?.ok_or_else(|| self.missing())
    }

    /// A money bag that may be absent when there is no such amount.
    pub(super) fn money_or_zero(&self, purse: Purse) -> Read<Decimal> {
        Ok(self.money(purse)?.unwrap_or_default())
    }
}
