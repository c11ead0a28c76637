//! What must hold at the end, told from the two ledgers and from what the scenario did.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;

use crate::sandbox::odoo::{Ledger as ErpLedger, OrderView};
use crate::sandbox::shopify::Ledger as ShopLedger;
use crate::sandbox::shopify::ledger::OrderFact;

/// What only the scenario knows.
#[derive(Clone, Debug, Default)]
pub(super) struct Expected {
    /// Orders that must wait for a person: no confirmed sales order may exist.
    pub(super) held: BTreeSet<String>,
    /// Orders that were cancelled after they were booked: the sales order must be there, cancelled.
    pub(super) cancelled: BTreeSet<String>,
}

/// How far the tax of an order may differ: both sides round it in their own ways.
const TAX_TOLERANCE: Decimal = Decimal::from_parts(2, 0, 0, false, 2);

/// Everything that does not hold, one sentence each.
pub(super) fn broken(shop: &ShopLedger, erp: &ErpLedger, expected: &Expected) -> Vec<String> {
    let mut broken = Vec::new();
    let mut booked: BTreeMap<String, Vec<OrderView>> = BTreeMap::new();
    let books = Books {
        emails: erp
            .partners()
            .into_iter()
            .map(|partner| (partner.id, partner.email_normalized))
            .collect(),
        services: erp
            .products()
            .into_iter()
            .filter(|product| product.kind == "service")
            .map(|product| product.id)
            .collect(),
    };
    for order in erp.orders() {
        match &order.client_order_ref {
            Some(name) => booked.entry(name.clone()).or_default().push(order),
            None => broken.push(format!(
                "sales order {} carries no number of the shop",
                order.name
            )),
        }
    }
    for order in &shop.orders {
        let views = booked.remove(&order.name).unwrap_or_default();
        if let Some(reason) = order_is_wrong(order, &views, expected, &books) {
            broken.push(format!("order {}: {reason}", order.name));
        }
    }
    for name in booked.keys() {
        broken.push(format!("the ERP has an order {name} that the shop does not have"));
    }
    customers(shop, erp, &mut broken);
    products(shop, erp, &mut broken);
    broken
}

/// What the ERP's books say beside the orders.
struct Books {
    /// E-mail addresses by partner, as the ERP compares them.
    emails: BTreeMap<i64, Option<String>>,
    /// Variants that stand for shipping, discounts and the like.
    services: BTreeSet<i64>,
}

fn order_is_wrong(
    order: &OrderFact,
    views: &[OrderView],
    expected: &Expected,
    books: &Books,
) -> Option<String> {
    let standing: Vec<&OrderView> = views.iter().filter(|view| view.state != "cancel").collect();
    if order.test {
        return (!views.is_empty()).then(|| "a test order was booked".to_owned());
    }
    if expected.held.contains(&order.name) {
        let confirmed = standing.iter().any(|view| view.state == "sale");
        return confirmed.then(|| "it should wait for a person and is confirmed".to_owned());
    }
    if order.cancelled {
        if expected.cancelled.contains(&order.name) && views.is_empty() {
            return Some("it was booked and then cancelled, and is missing in the ERP".to_owned());
        }
        return (!standing.is_empty())
            .then(|| "it was cancelled in the shop and stands in the ERP".to_owned());
    }
    let view = match standing.as_slice() {
        [view] => *view,
        [] => return Some("it is missing in the ERP".to_owned()),
        many => return Some(format!("it stands in the ERP {} times", many.len())),
    };
    if view.amount_total != order.current_total {
        return Some(format!(
            "it costs {} in the shop and {} in the ERP",
            order.current_total, view.amount_total
        ));
    }
    if (view.amount_tax - order.current_tax).abs() > TAX_TOLERANCE {
        return Some(format!(
            "its tax is {} in the shop and {} in the ERP",
            order.current_tax, view.amount_tax
        ));
    }
    if view.currency != order.currency {
        return Some(format!(
            "it is in {} in the shop and in {} in the ERP",
            order.currency, view.currency
        ));
    }
    let state = if order.financial_status == "PAID" {
        "sale"
    } else {
        "draft"
    };
    if view.state != state {
        return Some(format!(
            "it is {} in the shop and `{}` in the ERP",
            order.financial_status, view.state
        ));
    }
    let (sold, booked) = (sold(order), goods(view, books));
    if sold != booked {
        return Some(format!(
            "its goods are {} in the shop and {} in the ERP",
            listed(&sold),
            listed(&booked)
        ));
    }
    if let Some(email) = &order.email {
        let partner = books.emails.get(&view.partner_id).and_then(Option::as_deref);
        if partner != Some(email.to_lowercase().as_str()) {
            return Some("the ERP booked it on a partner with another e-mail address".to_owned());
        }
    }
    let dated = view.date_order.map(|at| at.and_utc().timestamp());
    if dated != Some(order.processed_at.timestamp()) {
        return Some("its date is not the date of the sale".to_owned());
    }
    None
}

/// How many of each SKU the shop still owes or has sent.
fn sold(order: &OrderFact) -> BTreeMap<String, Decimal> {
    let mut goods = BTreeMap::new();
    for line in order.lines.iter().filter(|line| line.current_quantity > 0) {
        if let Some(sku) = &line.sku {
            *goods.entry(sku.clone()).or_default() += Decimal::from(line.current_quantity);
        }
    }
    goods
}

/// How many of each SKU the sales order has, services left out.
fn goods(view: &OrderView, books: &Books) -> BTreeMap<String, Decimal> {
    let mut goods = BTreeMap::new();
    for line in &view.lines {
        let is_service = line.product_id.is_some_and(|id| books.services.contains(&id));
        if let (Some(sku), false) = (&line.sku, is_service) {
            *goods.entry(sku.clone()).or_default() += line.quantity.normalize();
        }
    }
    goods
}

fn listed(goods: &BTreeMap<String, Decimal>) -> String {
    let each: Vec<String> = goods
        .iter()
        .map(|(sku, count)| format!("{} x {sku}", count.normalize()))
        .collect();
    if each.is_empty() {
        "none".to_owned()
    } else {
        each.join(", ")
    }
}

/// Every customer has one partner, recognised by the e-mail address.
fn customers(shop: &ShopLedger, erp: &ErpLedger, broken: &mut Vec<String>) {
    let partners = erp.partners();
    for customer in &shop.customers {
        let Some(email) = &customer.email else { continue };
        let email = email.to_lowercase();
        let found = partners
            .iter()
            .filter(|partner| partner.email_normalized.as_deref() == Some(&email))
            .collect::<Vec<_>>();
        match found.as_slice() {
            [partner] if partner.name == customer.name => {}
            [partner] => broken.push(format!(
                "customer {} is called `{}` in the ERP and `{}` in the shop",
                customer.id, partner.name, customer.name
            )),
            [] => broken.push(format!("customer {} is missing in the ERP", customer.id)),
            many => broken.push(format!(
                "customer {} stands in the ERP {} times",
                customer.id,
                many.len()
            )),
        }
    }
}

/// Every product stands once, with all its variants by SKU.
fn products(shop: &ShopLedger, erp: &ErpLedger, broken: &mut Vec<String>) {
    let known = erp.products();
    for product in &shop.products {
        let name = format!("__lockstep_main__.product_{}", product.id);
        let Some((_, template)) = erp.find_by_external_id(&name) else {
            broken.push(format!("product `{}` is missing in the ERP", product.title));
            continue;
        };
        let title = erp
            .record("product.template", template)
            .map(|record| record["name"].clone());
        if title.as_ref().and_then(|title| title.as_str()) != Some(product.title.as_str()) {
            broken.push(format!("product `{}` has another name in the ERP", product.title));
        }
        for (_, sku, _) in &product.variants {
            let Some(sku) = sku else { continue };
            let count = known
                .iter()
                .filter(|variant| variant.sku.as_deref() == Some(sku.as_str()))
                .count();
            if count != 1 {
                broken.push(format!("SKU {sku} stands in the ERP {count} times"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::odoo::LineView;
    use crate::sandbox::shopify::ledger::LineFact;

    const SHIPPING: i64 = 90;

    fn sold_line(sku: Option<&str>, count: u32) -> LineFact {
        LineFact {
            id: 1,
            variant: Some(2),
            sku: sku.map(str::to_owned),
            title: "Mug".into(),
            quantity: count,
            current_quantity: count,
            unit_price: Decimal::new(1_000, 2),
            total: Decimal::new(1_000, 2),
            tax: Decimal::new(160, 2),
            tip: false,
        }
    }

    fn booked_line(product: i64, sku: &str, count: u32) -> LineView {
        LineView {
            id: 1,
            external_ids: Vec::new(),
            product_id: Some(product),
            sku: Some(sku.to_owned()),
            name: "Mug".into(),
            display_type: None,
            quantity: Decimal::from(count),
            price_unit: Decimal::new(1_000, 2),
            discount: Decimal::ZERO,
            taxes: Vec::new(),
            price_subtotal: Decimal::ZERO,
            price_total: Decimal::ZERO,
            sequence: 1,
            delivered: Decimal::ZERO,
            invoiced: Decimal::ZERO,
        }
    }

    /// Two mugs, 20.00 with 3.19 of tax, paid.
    fn pair() -> (OrderFact, OrderView) {
        let at = chrono::DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let order = OrderFact {
            id: 5,
            name: "#1001".into(),
            customer: Some(7),
            email: Some("Ada@Example.org".into()),
            currency: "EUR".into(),
            taxes_included: true,
            total: Decimal::new(2_000, 2),
            current_total: Decimal::new(2_000, 2),
            tax: Decimal::new(319, 2),
            current_tax: Decimal::new(319, 2),
            current_shipping: Decimal::ZERO,
            discounts: Decimal::ZERO,
            refunded: Decimal::ZERO,
            lines: vec![sold_line(Some("MUG"), 2), sold_line(None, 1)],
            cancelled: false,
            test: false,
            financial_status: "PAID",
            fulfillment_status: "UNFULFILLED",
            processed_at: at,
            updated_at: at,
        };
        let view = OrderView {
            id: 3,
            name: "S00003".into(),
            external_ids: Vec::new(),
            state: "sale".into(),
            locked: false,
            partner_id: 11,
            partner_invoice_id: 11,
            partner_shipping_id: 11,
            client_order_ref: Some("#1001".into()),
            origin: None,
            note: None,
            currency: "EUR".into(),
            date_order: Some(at.naive_utc()),
            company_id: 1,
            warehouse_id: None,
            team_id: None,
            user_id: None,
            pricelist_id: None,
            amount_untaxed: Decimal::new(1_681, 2),
            amount_tax: Decimal::new(319, 2),
            amount_total: Decimal::new(2_000, 2),
            lines: vec![booked_line(1, "MUG", 2), booked_line(SHIPPING, "SHIPPING", 1)],
            pickings: Vec::new(),
            invoice_status: "to invoice".into(),
            delivery_status: None,
            custom: std::collections::BTreeMap::new(),
            created_at: None,
            written_at: None,
        };
        (order, view)
    }

    fn wrong(change: impl FnOnce(&mut OrderFact, &mut Vec<OrderView>, &mut Expected)) -> Option<String> {
        let (mut order, view) = pair();
        let mut views = vec![view];
        let mut expected = Expected::default();
        change(&mut order, &mut views, &mut expected);
        let books = Books {
            emails: [(11, Some("ada@example.org".to_owned())), (12, None)].into(),
            services: [SHIPPING].into(),
        };
        order_is_wrong(&order, &views, &expected, &books)
    }

    #[test]
    fn everything_that_differs_is_noticed() {
        assert_eq!(wrong(|_, _, _| {}), None);
        let says = |wrong: Option<String>, part: &str| {
            assert!(
                wrong.as_ref().is_some_and(|text| text.contains(part)),
                "{part}: {wrong:?}"
            );
        };
        says(wrong(|_, views, _| views.clear()), "missing in the ERP");
        says(
            wrong(|_, views, _| views.push(views[0].clone())),
            "stands in the ERP 2 times",
        );
        says(
            wrong(|_, views, _| views[0].amount_total += Decimal::new(1, 2)),
            "costs 20.00 in the shop and 20.01 in the ERP",
        );
        says(
            wrong(|_, views, _| views[0].amount_tax += Decimal::new(3, 2)),
            "its tax",
        );
        says(
            wrong(|_, views, _| views[0].currency = "USD".into()),
            "in USD in the ERP",
        );
        says(
            wrong(|_, views, _| views[0].state = "draft".into()),
            "`draft` in the ERP",
        );
        says(
            wrong(|_, views, _| views[0].lines[0].quantity = Decimal::from(1)),
            "2 x MUG in the shop and 1 x MUG in the ERP",
        );
        says(
            wrong(|_, views, _| views[0].lines[0].sku = Some("LAMP".into())),
            "2 x MUG in the shop and 2 x LAMP in the ERP",
        );
        says(
            wrong(|_, views, _| views[0].partner_id = 12),
            "another e-mail address",
        );
        says(wrong(|_, views, _| views[0].date_order = None), "its date");
        says(wrong(|order, _, _| order.test = true), "a test order");
        says(wrong(|order, _, _| order.cancelled = true), "it was cancelled");
        let cancelled = |order: &mut OrderFact, views: &mut Vec<OrderView>, expected: &mut Expected| {
            order.cancelled = true;
            expected.cancelled.insert(order.name.clone());
            views.clear();
        };
        says(wrong(cancelled), "booked and then cancelled");
        let held = |order: &mut OrderFact, _: &mut Vec<OrderView>, expected: &mut Expected| {
            expected.held.insert(order.name.clone());
        };
        says(wrong(held), "should wait for a person");
    }
}
