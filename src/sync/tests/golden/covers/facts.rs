//! What the data of a golden order shows.

use rust_decimal::Decimal;
use serde_json::Value as Json;

use super::super::fixture::Fixture;

/// A golden order with all states of its order.
pub(super) struct Facts<'a> {
    pub(super) fixture: &'a Fixture,
    pub(super) states: Vec<Json>,
}

pub(super) fn list<'a>(json: &'a Json, field: &str) -> &'a [Json] {
    json[field].as_array().map_or(&[], Vec::as_slice)
}

/// An amount in the shop's currency.
pub(super) fn amount(json: &Json) -> Decimal {
    let text = json.as_str().unwrap_or_default();
    text.split('|')
        .next()
        .unwrap_or_default()
        .parse()
        .unwrap_or_default()
}

/// The different rates of the taxes of an order's lines.
pub(super) fn rates(order: &Json) -> Vec<String> {
    let lines = list(order, "lineItems").iter();
    let mut rates: Vec<String> = lines
        .flat_map(|line| list(line, "taxLines"))
        .map(|tax| tax["rate"].to_string())
        .collect();
    rates.sort();
    rates.dedup();
    rates
}

impl<'a> Facts<'a> {
    pub(super) fn of(fixture: &'a Fixture) -> Self {
        Self {
            fixture,
            states: fixture.states(),
        }
    }

    pub(super) fn first(&self) -> &Json {
        &self.states[0]
    }

    pub(super) fn last(&self) -> &Json {
        &self.states[self.states.len() - 1]
    }

    pub(super) fn any(&self, shows: impl Fn(&Json) -> bool) -> bool {
        self.states.iter().any(shows)
    }

    /// Some line of some state.
    pub(super) fn line(&self, shows: impl Fn(&Json) -> bool) -> bool {
        self.any(|order| list(order, "lineItems").iter().any(&shows))
    }

    pub(super) fn shipping(&self, shows: impl Fn(&Json) -> bool) -> bool {
        self.any(|order| list(order, "shippingLines").iter().any(&shows))
    }

    pub(super) fn discount(&self, shows: impl Fn(&Json) -> bool) -> bool {
        self.any(|order| list(order, "discountApplications").iter().any(&shows))
    }

    pub(super) fn transaction(&self, shows: impl Fn(&Json) -> bool) -> bool {
        self.any(|order| list(order, "transactions").iter().any(&shows))
    }

    pub(super) fn refund(&self, shows: impl Fn(&Json) -> bool) -> bool {
        list(self.last(), "refunds").iter().any(shows)
    }

    /// Some refunded units of this fate.
    pub(super) fn restock(&self, kinds: &[&str]) -> bool {
        self.refund(|refund| {
            let kind = |line: &Json| line["restockType"].as_str().unwrap_or("NO_RESTOCK").to_owned();
            list(refund, "refundLineItems")
                .iter()
                .any(|line| kinds.contains(&kind(line).as_str()))
        })
    }

    pub(super) fn flow(&self, setting: &str, value: &str) -> bool {
        self.fixture.settings.flow[setting] == value
    }

    /// What the shop declares, or what is declared by default.
    pub(super) fn flow_or(&self, setting: &str, default: &'a str) -> &str {
        self.fixture.settings.flow[setting].as_str().unwrap_or(default)
    }

    pub(super) fn expects(&self, key: &str, value: &str) -> bool {
        self.fixture.expect[key] == value
    }

    /// The ERP's lines of this product.
    pub(super) fn erp_line(&self, product: &str) -> bool {
        let expect = &self.fixture.expect;
        [expect, &expect["v18"], &expect["v19"]]
            .into_iter()
            .flat_map(|expect| list(expect, "lines"))
            .any(|line| line["product"] == product)
    }

    pub(super) fn documents(&self, kind: &str) -> &[Json] {
        list(&self.fixture.expect["documents"], kind)
    }

    /// A person did this in the ERP.
    pub(super) fn acted(&self, action: &str) -> bool {
        let mut all = self.fixture.then.iter().flat_map(|step| &step.erp);
        all.any(|known| known.starts_with(action))
    }

    pub(super) fn status(&self, status: &str) -> bool {
        self.any(|order| order["displayFinancialStatus"] == status)
    }

    /// How many things that differ by this field there are.
    pub(super) fn different(&self, field: &str, by: &str) -> usize {
        let mut all: Vec<String> = list(self.last(), field)
            .iter()
            .map(|entry| entry[by].to_string())
            .collect();
        all.sort();
        all.dedup();
        all.len()
    }

    /// A line whose units changed after the sale to something between nothing and all, or which has more now.
    pub(super) fn quantity_changed(&self) -> bool {
        let quantity = |line: &Json, field: &str| line[field].as_i64();
        let between = self.line(|line| {
            let (sold, left) = (quantity(line, "quantity"), quantity(line, "currentQuantity"));
            left.is_some_and(|left| left > 0 && Some(left) != sold)
        });
        let grown = list(self.last(), "lineItems").iter().any(|line| {
            let before = list(self.first(), "lineItems").iter();
            let mut before = before.filter(|known| known["id"] == line["id"]);
            before.any(|known| known["quantity"] != line["quantity"])
        });
        between || grown
    }

    /// A line that has more units than at first.
    pub(super) fn quantity_raised(&self) -> bool {
        list(self.last(), "lineItems").iter().any(|line| {
            let mut before = list(self.first(), "lineItems").iter();
            before.any(|known| {
                known["id"] == line["id"] && known["quantity"].as_i64() < line["quantity"].as_i64()
            })
        })
    }

    /// A line of the shop has a tax of this title.
    pub(super) fn tax_title(&self, title: &str) -> bool {
        self.line(|line| list(line, "taxLines").iter().any(|tax| tax["title"] == title))
    }

    /// A line of the ERP must end with this tax alone.
    pub(super) fn erp_tax(&self, name: &str) -> bool {
        list(&self.fixture.expect, "lines")
            .iter()
            .any(|line| line["tax_names"] == name)
    }

    /// A line that was not there at first, or one that came by an edit before the order was seen.
    pub(super) fn line_added(&self) -> bool {
        let known = list(self.first(), "lineItems");
        let later = list(self.last(), "lineItems")
            .iter()
            .any(|line| known.iter().all(|known| known["id"] != line["id"]));
        later || (self.first()["edited"] == true && known.len() > 1)
    }

    /// A line without a product that had one.
    pub(super) fn deleted_product(&self) -> bool {
        self.line(|line| line["variant"].is_null() && (!line["sku"].is_null() || !line["vendor"].is_null()))
    }

    pub(super) fn custom_line(&self) -> bool {
        self.line(|line| {
            ["variant", "product", "sku", "vendor"]
                .iter()
                .all(|key| line[*key].is_null())
        })
    }
}
