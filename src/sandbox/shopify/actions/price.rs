//! From what is asked for to priced lines: discounts first, then taxes, each tax line rounded by itself.

use std::collections::HashMap;

use rust_decimal::Decimal;

use super::{ActionError, not_found, refused};
use crate::sandbox::shopify::draft::{Item, LineDraft, ShippingDraft};
use crate::sandbox::shopify::facts::{
    Allocation, AllocationMethod, Discount, DiscountTarget, DiscountValue, Duty, Line, LineGroup,
    ShippingLine, Tax, TaxLine,
};
use crate::sandbox::shopify::money::{Bag, Currencies, allocate, decimals};
use crate::sandbox::shopify::shop::Shop;

/// How an order is taxed.
pub(super) struct Taxation<'a> {
    pub(super) taxes: &'a [Tax],
    pub(super) included: bool,
    pub(super) exempt: bool,
}

impl Taxation<'_> {
    /// The tax lines on an amount after discounts.
    fn on(&self, amount: Bag, own: Option<&[Tax]>, money: &Currencies) -> Vec<TaxLine> {
        if self.exempt {
            return Vec::new();
        }
        let taxes = own.unwrap_or(self.taxes);
        let sum: Decimal = taxes.iter().map(|t| t.rate).sum();
        let net = if self.included {
            amount.over(Decimal::ONE + sum)
        } else {
            amount
        };
        taxes
            .iter()
            .map(|tax| TaxLine {
                tax: tax.clone(),
                amount: money.round(net.times(tax.rate)),
            })
            .collect()
    }
}

impl Shop {
    /// Lines at their prices, without discounts and taxes.
    pub(super) fn new_lines(
        &mut self,
        drafts: &[LineDraft],
        money: &Currencies,
    ) -> Result<Vec<Line>, ActionError> {
        let mut groups: HashMap<String, LineGroup> = HashMap::new();
        let mut lines = Vec::new();
        for draft in drafts {
            if draft.quantity == 0 {
                return Err(refused("a line needs a quantity"));
            }
            let mut line = self.new_line(draft, money)?;
            if let Some((title, quantity)) = &draft.group {
                let group = groups.entry(title.clone()).or_insert_with(|| LineGroup {
                    id: self.ids.take(),
                    title: title.clone(),
                    quantity: *quantity,
                });
                line.group = Some(group.clone());
            }
            if let Some((price, tax)) = &draft.duty {
                let price = money.bag(*price);
                let taxes = tax.iter().map(|t| TaxLine {
                    tax: t.clone(),
                    amount: money.round(price.times(t.rate)),
                });
                line.duties.push(Duty {
                    id: self.ids.take(),
                    price,
                    taxes: taxes.collect(),
                    hs_code: Some("610910".to_owned()),
                    origin: Some("PT".to_owned()),
                });
            }
            lines.push(line);
        }
        Ok(lines)
    }

    fn new_line(&mut self, draft: &LineDraft, money: &Currencies) -> Result<Line, ActionError> {
        let id = self.ids.take();
        let blank = Line {
            id,
            product: None,
            variant: None,
            title: String::new(),
            variant_title: None,
            sku: None,
            vendor: None,
            quantity: draft.quantity,
            unit_price: Bag::ZERO,
            taxable: true,
            requires_shipping: true,
            gift_card: false,
            tip: false,
            attributes: draft.attributes.clone(),
            group: None,
            allocations: Vec::new(),
            taxes: Vec::new(),
            duties: Vec::new(),
        };
        match &draft.item {
            Item::Variant(id) => {
                let (product, variant) = self.variant(*id).ok_or_else(|| not_found("variant", *id))?;
                Ok(Line {
                    product: Some(product.id),
                    variant: Some(variant.id),
                    title: product.title.clone(),
                    variant_title: Some(variant.title()).filter(|_| !product.only_default_variant()),
                    sku: variant.sku.clone(),
                    vendor: Some(product.vendor.clone()),
                    unit_price: money.bag(draft.price.unwrap_or(variant.price)),
                    taxable: variant.taxable && !product.gift_card,
                    requires_shipping: variant.item.requires_shipping,
                    gift_card: product.gift_card,
                    ..blank
                })
            }
            Item::Custom {
                title,
                sku,
                price,
                taxable,
                requires_shipping,
            } => Ok(Line {
                title: title.clone(),
                sku: sku.clone(),
                unit_price: money.bag(draft.price.unwrap_or(*price)),
                taxable: *taxable,
                requires_shipping: *requires_shipping,
                ..blank
            }),
        }
    }

    /// The tip as the line that it becomes.
    pub(super) fn tip_line(&mut self, amount: Decimal, money: &Currencies) -> Result<Line, ActionError> {
        let draft = LineDraft::custom("Tip", amount, 1);
        let mut line = self.new_line(&draft, money)?;
        line.tip = true;
        line.taxable = false;
        line.requires_shipping = false;
        Ok(line)
    }

    /// Ways of delivery at their prices, without discounts and taxes.
    pub(super) fn new_shipping(&mut self, drafts: &[ShippingDraft], money: &Currencies) -> Vec<ShippingLine> {
        drafts
            .iter()
            .map(|draft| ShippingLine {
                id: self.ids.take(),
                title: draft.title.clone(),
                code: draft.code.clone(),
                source: Some("shopify".to_owned()),
                custom: false,
                price: money.bag(draft.price),
                allocations: Vec::new(),
                taxes: Vec::new(),
                removed: false,
            })
            .collect()
    }
}

/// Spreads the discounts: first those on single lines, then those over several, each group in its order.
pub(super) fn discount(
    lines: &mut [Line],
    shipping: &mut [ShippingLine],
    discounts: &[Discount],
    money: &Currencies,
) {
    for method in [AllocationMethod::Each, AllocationMethod::Across] {
        for (index, discount) in discounts.iter().enumerate().filter(|(_, d)| d.method == method) {
            match &discount.target {
                DiscountTarget::Shipping => {
                    let left: Vec<Bag> = shipping.iter().map(ShippingLine::total).collect();
                    let units = vec![1; left.len()];
                    for (line, amount) in shipping.iter_mut().zip(spread(discount, &left, &units, money)) {
                        push(&mut line.allocations, index, amount);
                    }
                }
                target => {
                    let chosen: Vec<usize> = (0..lines.len())
                        .filter(|i| !lines[*i].tip && targets(target, *i))
                        .collect();
                    let left: Vec<Bag> = chosen.iter().map(|i| lines[*i].total()).collect();
                    let units: Vec<u32> = chosen.iter().map(|i| lines[*i].quantity).collect();
                    for (i, amount) in chosen.iter().zip(spread(discount, &left, &units, money)) {
                        push(&mut lines[*i].allocations, index, amount);
                    }
                }
            }
        }
    }
}

fn targets(target: &DiscountTarget, position: usize) -> bool {
    match target {
        DiscountTarget::AllLines => true,
        DiscountTarget::Lines(positions) => positions.contains(&position),
        DiscountTarget::Shipping => false,
    }
}

fn push(allocations: &mut Vec<Allocation>, discount: usize, amount: Bag) {
    if !amount.is_zero() {
        allocations.push(Allocation { discount, amount });
    }
}

/// The amount of a discount for each of its targets.
fn spread(discount: &Discount, left: &[Bag], units: &[u32], money: &Currencies) -> Vec<Bag> {
    let percent = |bag: Bag, p: Decimal| money.round(bag.times(p / Decimal::ONE_HUNDRED));
    if discount.method == AllocationMethod::Each {
        return left
            .iter()
            .zip(units)
            .map(|(bag, units)| match discount.value {
                DiscountValue::Percentage(p) => percent(*bag, p).min(*bag),
                DiscountValue::Amount(a) => money.bag(a).times(Decimal::from(*units)).min(*bag),
            })
            .collect();
    }
    let total = match discount.value {
        DiscountValue::Percentage(p) => percent(left.iter().copied().sum(), p),
        DiscountValue::Amount(a) => money.bag(a),
    };
    let shop: Vec<Decimal> = left.iter().map(|b| b.shop).collect();
    let presentment: Vec<Decimal> = left.iter().map(|b| b.presentment).collect();
    let shop = allocate(total.shop, &shop, decimals(&money.shop));
    let presentment = allocate(total.presentment, &presentment, decimals(&money.presentment));
    shop.into_iter()
        .zip(presentment)
        .map(|(shop, presentment)| Bag { shop, presentment })
        .collect()
}

/// Puts taxes on discounted lines and shipping.
pub(super) fn tax(
    lines: &mut [Line],
    line_taxes: &[Option<Vec<Tax>>],
    shipping: &mut [ShippingLine],
    shipping_taxes: &[Option<Vec<Tax>>],
    taxation: &Taxation<'_>,
    money: &Currencies,
) {
    for (index, line) in lines.iter_mut().enumerate().filter(|(_, l)| l.taxable && !l.tip) {
        let own = line_taxes.get(index).and_then(Option::as_deref);
        line.taxes = taxation.on(line.total(), own, money);
    }
    for (index, line) in shipping.iter_mut().enumerate() {
        let own = shipping_taxes.get(index).and_then(Option::as_deref);
        line.taxes = taxation.on(line.total(), own, money);
    }
}
