//! Booked lines: one for each line item and shipping line, with what is left of it now; duties, fees and tips are made
//! beside, in `extras`.

use rust_decimal::Decimal;

use super::NormaliseError;
use super::extras;
use super::read::{At, Purse};
use super::removed::{Method, Removals, less, portion, scale};
use crate::domain::{BookedLine, BookedTax, LineKind, ShopifyId, round_half_up};

/// Decimals of a rate in percent; more are noise of floating point.
const RATE_DECIMALS: u32 = 8;

/// A tax of a line while it is worked on.
#[derive(Clone, Debug)]
pub(super) struct Tax {
    pub(super) title: String,
    pub(super) rate_percent: Decimal,
    pub(super) amount: Decimal,
    pub(super) channel_liable: bool,
    /// Whether the amount is our own reckoning, and may be off by the smallest unit, rather than Shopify's.
    pub(super) derived: bool,
}

impl Tax {
    pub(super) fn booked(self, purse: Purse) -> BookedTax {
        BookedTax {
            title: self.title,
            rate_percent: self.rate_percent,
            amount: purse.tidy(self.amount),
            channel_liable: self.channel_liable,
        }
    }
}

/// A line while it is worked on.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) key: String,
    pub(super) kind: LineKind,
    pub(super) product_id: Option<ShopifyId>,
    pub(super) variant_id: Option<ShopifyId>,
    pub(super) sku: Option<String>,
    pub(super) title: String,
    pub(super) variant_title: Option<String>,
    pub(super) units: i64,
    pub(super) sold_units: i64,
    pub(super) unit_price: Decimal,
    /// After discounts; contains tax when the order's prices do.
    pub(super) amount: Decimal,
    pub(super) taxes: Vec<Tax>,
    pub(super) properties: Vec<String>,
    pub(super) group: Option<String>,
    pub(super) is_custom: bool,
    pub(super) requires_shipping: bool,
}

impl Draft {
    /// A line of one unit without any discount.
    pub(super) fn single(key: String, kind: LineKind, title: String, amount: Decimal) -> Self {
        Self {
            key,
            kind,
            product_id: None,
            variant_id: None,
            sku: None,
            title,
            variant_title: None,
            units: 1,
            sold_units: 1,
            unit_price: amount,
            amount,
            taxes: Vec::new(),
            properties: Vec::new(),
            group: None,
            is_custom: false,
            requires_shipping: false,
        }
    }

    /// The sum of its taxes.
    pub(super) fn tax(&self) -> Decimal {
        self.taxes.iter().map(|tax| tax.amount).sum()
    }

    /// The amount with tax.
    pub(super) fn gross(&self, taxes_included: bool) -> Decimal {
        if taxes_included {
            self.amount
        } else {
            self.amount + self.tax()
        }
    }

    pub(super) fn booked(self, taxes_included: bool, purse: Purse) -> BookedLine {
        let gross = self.gross(taxes_included);
        let net = gross - self.tax();
        let quantity = Decimal::from(self.units);
        let discount = quantity * self.unit_price - self.amount;
        let taxes = self.taxes.into_iter();
        BookedLine {
            key: self.key,
            kind: self.kind,
            product_id: self.product_id,
            variant_id: self.variant_id,
            sku: self.sku,
            title: self.title,
            variant_title: self.variant_title,
            unit_price: exact_unit_price(self.amount, quantity, purse),
            quantity,
            sold_quantity: Decimal::from(self.sold_units),
            original_unit_price: purse.tidy(self.unit_price),
            discount: purse.tidy(discount),
            amount: purse.tidy(self.amount),
            net: purse.tidy(net),
            gross: purse.tidy(gross),
            taxes: taxes.map(|tax| tax.booked(purse)).collect(),
            properties: self.properties,
            group: self.group,
            is_custom: self.is_custom,
            requires_shipping: self.requires_shipping,
        }
    }
}

/// The taxes that are charged on what was sold for `sold`, which contains them when the order's prices do. They are told by
/// the amounts of the sale, because of units that are gone every tax comes to nothing.
pub(super) fn charged(
    at: &At<'_>,
    sold: Decimal,
    taxes_included: bool,
    purse: Purse,
) -> Result<Vec<Tax>, NormaliseError> {
    let mut taxes = taxes(at, purse)?;
    let contained = if taxes_included {
        taxes.iter().map(|tax| tax.amount).sum()
    } else {
        Decimal::ZERO
    };
    taxes.retain(|tax| is_charged(tax, sold - contained, purse));
    Ok(taxes)
}

/// What all units of a line item were sold for, after discounts.
pub(super) fn sold_for(at: &At<'_>, purse: Purse) -> Result<Decimal, NormaliseError> {
    let price = at.get("originalUnitPriceSet").need_money(purse)?;
    Ok(Decimal::from(at.get("quantity").units()?) * price - allocations(at, purse)?)
}

/// Whether a tax is charged on an amount: it comes to something, or it would be nothing of so little. A rate that is named
/// without its amount is one that the buyer is exempt from.
fn is_charged(tax: &Tax, net: Decimal, purse: Purse) -> bool {
    if !tax.amount.is_zero() {
        return true;
    }
    let would_be = net
        .checked_mul(tax.rate_percent)
        .and_then(|product| product.checked_div(Decimal::ONE_HUNDRED))
        .unwrap_or_default();
    !tax.rate_percent.is_zero() && round_half_up(would_be, purse.currency.decimals()).is_zero()
}

/// The price of one unit, if it is a whole number of the currency's smallest units.
fn exact_unit_price(amount: Decimal, quantity: Decimal, purse: Purse) -> Option<Decimal> {
    let price = round_half_up(amount.checked_div(quantity)?, purse.currency.decimals());
    (price.checked_mul(quantity)? == amount).then(|| purse.tidy(price))
}

/// All lines of an order as they are now, cash rounding apart.
pub(super) fn all(
    order: &At<'_>,
    purse: Purse,
    removals: &Removals,
    method: Method,
) -> Result<Vec<Draft>, NormaliseError> {
    let mut drafts = Vec::new();
    let included = order.get("taxesIncluded").need_boolean()?;
    let tips = extras::tips(order, purse)?;
    let items = order.get("lineItems");
    for item in items.nodes()? {
        let mut draft = line_item(&item, included, purse, removals, method)?;
        if tips.contains(&draft.key) {
            draft.kind = LineKind::Tip;
        }
        drafts.push(draft);
    }
    let shipping = order.get("shippingLines");
    for (index, at) in shipping.nodes()?.iter().enumerate() {
        if !at.get("isRemoved").boolean()?.unwrap_or(false) {
            drafts.push(shipping_line(at, index, included, purse, removals, method)?);
        }
    }
    drafts.extend(extras::duties(order, included, purse, removals)?);
    drafts.extend(extras::fees(order, included, purse)?);
    let tip = order.get("totalTipReceivedSet").money_or_zero(purse)?;
    if !tip.is_zero() && tips.is_empty() {
        drafts.push(Draft::single(
            "tip".to_owned(),
            LineKind::Tip,
            "Tip".to_owned(),
            tip,
        ));
    }
    Ok(drafts)
}

fn line_item(
    at: &At<'_>,
    taxes_included: bool,
    purse: Purse,
    removals: &Removals,
    method: Method,
) -> Result<Draft, NormaliseError> {
    let id = at.get("id").need_id()?;
    let sold = at.get("quantity").units()?;
    let left = at.get("currentQuantity").units()?;
    let unit_price = at.get("originalUnitPriceSet").need_money(purse)?;
    let full = sold_for(at, purse)?;
    let mut taxes = charged(at, full, taxes_included, purse)?;
    let taken = removals.of_line(id);
    let gone = sold - left;
    let amount = if gone == 0 {
        full
    } else if left == 0 {
        scale(&mut taxes, Decimal::ZERO, Decimal::ONE, purse);
        Decimal::ZERO
    } else if method == Method::Refunds && taken.units == gone {
        less(&mut taxes, taken.tax, purse);
        full - taken.amount
    } else {
        let (part, whole) = (Decimal::from(left), Decimal::from(sold));
        scale(&mut taxes, part, whole, purse);
        part * unit_price - portion(allocations(at, purse)?, part, whole, purse)
    };
    let kind = if at.get("isGiftCard").boolean()?.unwrap_or(false) {
        LineKind::GiftCard
    } else {
        LineKind::Product
    };
    let title = match at.get("title").text()? {
        Some(title) => title,
        None => at.get("name").need_text()?,
    };
    Ok(Draft {
        key: line_key(id),
        is_custom: kind == LineKind::Product && never_had_a_product(at)?,
        kind,
        product_id: at.get("product").get("id").id()?,
        variant_id: at.get("variant").get("id").id()?,
        sku: at.get("sku").text()?,
        title,
        variant_title: at.get("variantTitle").text()?,
        units: left,
        sold_units: sold,
        unit_price,
        amount: bounded(amount, at)?,
        taxes,
        properties: properties(at)?,
        group: at.get("lineItemGroup").get("title").text()?,
        requires_shipping: at.get("requiresShipping").boolean()?.unwrap_or(false),
    })
}

/// Whether a line was written by hand. Shopify has no mark for it, and a line whose product was deleted has no product
/// either; but it keeps what it copied from the product at the sale: every product has a vendor, most a SKU.
fn never_had_a_product(at: &At<'_>) -> Result<bool, NormaliseError> {
    for name in ["product", "variant"] {
        if !at.get(name).is_nothing() {
            return Ok(false);
        }
    }
    for name in ["vendor", "sku", "variantTitle"] {
        if at.get(name).text()?.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(super) fn line_key(id: ShopifyId) -> String {
    format!("line_{id}")
}

/// Everything that is multiplied stays within what is exact.
fn bounded(amount: Decimal, at: &At<'_>) -> Result<Decimal, NormaliseError> {
    if amount.abs() < Decimal::from(1_000_000_000_000_i64) {
        Ok(amount)
    } else {
        Err(at.unreadable("a line of a usual size"))
    }
}

fn properties(at: &At<'_>) -> Result<Vec<String>, NormaliseError> {
    let mut properties = Vec::new();
    let list = at.get("customAttributes");
    for pair in list.items()? {
        let name = pair.get("key").text()?.unwrap_or_default();
        let value = pair.get("value").text()?.unwrap_or_default();
        properties.push(format!("{name}: {value}"));
    }
    Ok(properties)
}

/// The sum of the discounts of a line.
pub(super) fn allocations(at: &At<'_>, purse: Purse) -> Result<Decimal, NormaliseError> {
    let list = at.get("discountAllocations");
    let mut sum = Decimal::ZERO;
    for allocation in list.items()? {
        sum += allocation.get("allocatedAmountSet").need_money(purse)?;
    }
    Ok(sum)
}

/// The tax lines of a line, whether they were charged or not.
fn taxes(at: &At<'_>, purse: Purse) -> Result<Vec<Tax>, NormaliseError> {
    let list = at.get("taxLines");
    list.items()?.iter().map(|tax| self::tax(tax, purse)).collect()
}

/// One tax line of Shopify.
pub(super) fn tax(at: &At<'_>, purse: Purse) -> Result<Tax, NormaliseError> {
    let amount = at.get("priceSet").need_money(purse)?;
    let rate = at.get("rate");
    let percent = match rate.decimal()? {
        Some(rate) => rate.checked_mul(Decimal::ONE_HUNDRED),
        None => at.get("ratePercentage").decimal()?,
    };
    let percent = match percent {
        Some(percent) => percent,
        None if amount.is_zero() => Decimal::ZERO,
        None => return Err(rate.missing()),
    };
    Ok(Tax {
        title: at.get("title").text()?.unwrap_or_default(),
        rate_percent: round_half_up(percent, RATE_DECIMALS).normalize(),
        amount,
        channel_liable: at.get("channelLiable").boolean()?.unwrap_or(false),
        derived: false,
    })
}

/// A shipping line: one unit at the price before discounts, less what was given back; none when all was.
fn shipping_line(
    at: &At<'_>,
    index: usize,
    taxes_included: bool,
    purse: Purse,
    removals: &Removals,
    method: Method,
) -> Result<Draft, NormaliseError> {
    let id = at.get("id").id()?;
    let original = at.get("originalPriceSet").need_money(purse)?;
    let sold = at.get("discountedPriceSet").need_money(purse)?;
    let left = at.get("currentDiscountedPriceSet").need_money(purse)?;
    let mut taxes = charged(at, sold, taxes_included, purse)?;
    let gone = sold - left;
    let (mut units, mut unit_price) = (1, original - gone);
    if !gone.is_zero() {
        let taken = removals.of_shipping(id);
        if left.is_zero() {
            scale(&mut taxes, Decimal::ZERO, Decimal::ONE, purse);
            (units, unit_price) = (0, original);
        } else if method == Method::Refunds && taken.amount == gone {
            less(&mut taxes, taken.tax, purse);
        } else {
            scale(&mut taxes, left, sold, purse);
        }
    }
    let key = match id {
        Some(id) => format!("shipping_{id}"),
        None => format!("shipping_n{}", index + 1),
    };
    Ok(Draft {
        units,
        unit_price,
        taxes,
        ..Draft::single(
            key,
            LineKind::Shipping,
            at.get("title").text()?.unwrap_or_else(|| "Shipping".to_owned()),
            left,
        )
    })
}
