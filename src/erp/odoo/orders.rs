//! Sales orders: reading one back in one call, confirming, cancelling.
//!
//! `action_confirm` overwrites the order's date with the present, and `action_cancel` of Odoo 18 answers a confirmed order
//! with a wizard and cancels nothing. So the date is written again after a confirmation, in the same call that reads back
//! what was confirmed, and the state is looked at after every action instead of trusting its answer. Where an import confirms
//! several orders at the same time they are confirmed by one call, as by a person who marks them in the list; their dates go together
//! in another, and what was confirmed is read back in a third. Of such a call Odoo carries out all or nothing: where one order cannot
//! be confirmed, or somebody's module takes one at a time only, it is cut in halves until each order that fails fails alone.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Map, Value, json};

use super::call::Call;
use super::load::Batch;
use super::names::wire_name;
use super::reads::Question;
use super::value::{decimal, record, records, text, time, time_text};
use super::{Odoo, nonsense};
use crate::domain::{ErpId, FieldValue, Timestamp};
use crate::erp::{ErpError, OrderParties, OrderState, SalesOrder, SalesOrderLine};
use crate::failpoint::{FailPoint, reach};
use crate::telemetry::calls;

const ORDER: &str = "sale.order";
const LINE: &str = "sale.order.line";

/// What is read of an order, as far as the server has it.
const ORDER_FIELDS: [&str; 12] = [
    "name",
    "state",
    "locked",
    "client_order_ref",
    "partner_id",
    "date_order",
    "currency_id",
    "amount_untaxed",
    "amount_tax",
    "amount_total",
    "invoice_status",
    "order_line",
];

/// What is read of a line, as far as the server has it.
const LINE_FIELDS: [&str; 10] = [
    "product_id",
    "name",
    "product_uom_qty",
    "price_unit",
    "tax_ids",
    "price_subtotal",
    "price_total",
    "qty_invoiced",
    "qty_to_invoice",
    "qty_delivered",
];

/// Whoever bought, whoever gets the invoice, and where the goods go.
const PARTY_FIELDS: [&str; 3] = ["partner_id", "partner_invoice_id", "partner_shipping_id"];

/// So many orders of an import have to be confirmed at the same time for their dates to go together: two calls for all of them
/// instead of one for each.
const DATED_TOGETHER: usize = 3;

/// How many orders of an import are being confirmed.
#[derive(Debug, Default)]
pub(super) struct Confirming(AtomicUsize);

/// One order of an import that is being confirmed.
struct Confirmation<'a>(&'a AtomicUsize);

impl Confirming {
    /// None for what is live.
    fn begin(&self) -> Option<Confirmation<'_>> {
        calls::gives_way().then(|| {
            self.0.fetch_add(1, Ordering::Relaxed);
            Confirmation(&self.0)
        })
    }
}

impl Confirmation<'_> {
    fn has_company(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= DATED_TOGETHER
    }
}

impl Drop for Confirmation<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Odoo {
    /// The fields of an order and of its lines that this server has, by its own names.
    async fn order_fields(&self) -> Result<(Vec<&'static str>, Vec<&'static str>), ErpError> {
        let major = self.major().await?;
        let (orders, lines) = (self.table(ORDER).await?, self.table(LINE).await?);
        let order = ORDER_FIELDS
            .into_iter()
            .filter(|name| orders.0.contains_key(*name));
        let line = LINE_FIELDS.into_iter().filter(|name| lines.0.contains_key(*name));
        Ok((
            order.collect(),
            line.map(|name| wire_name(major, LINE, name)).collect(),
        ))
    }

    /// What `web_read` and `web_save` are to answer with.
    async fn order_specification(&self) -> Result<Value, ErpError> {
        let (order, line) = self.order_fields().await?;
        let lines: Map<String, Value> = line.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
        let mut specification: Map<String, Value> =
            order.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
        specification.insert("currency_id".to_owned(), json!({"fields": {"name": {}}}));
        specification.insert("order_line".to_owned(), json!({"fields": lines}));
        Ok(Value::Object(specification))
    }

    pub(super) async fn read_order(&self, id: ErpId) -> Result<Option<SalesOrder>, ErpError> {
        let row = if self.has_web_methods.load(Ordering::Relaxed) {
            let call = Call::read(ORDER, "web_read").arg("specification", self.order_specification().await?);
            match self.rows(Question::of_records(call, &[id])).await {
                Ok(rows) => rows.into_iter().next(),
                Err(ErpError::Missing { .. }) => None,
                // Only this method can be what is missing: model and fields were asked for before.
                Err(ErpError::Setup { .. }) => {
                    self.has_web_methods.store(false, Ordering::Relaxed);
                    self.read_order_in_two_calls(id).await?
                }
                Err(error) => return Err(error),
            }
        } else {
            self.read_order_in_two_calls(id).await?
        };
        row.map(|row| self.sales_order(&row)).transpose()
    }

    /// The same without the web client's methods.
    async fn read_order_in_two_calls(&self, id: ErpId) -> Result<Option<Value>, ErpError> {
        let (order, line) = self.order_fields().await?;
        let call = Call::read(ORDER, "read").on([id]).arg("fields", json!(order));
        let mut rows = self.session.call(&call).await?;
        let Some(mut row) = rows.get_mut(0).map(Value::take) else {
            return Ok(None);
        };
        let ids = records(&row["order_line"]).unwrap_or_default();
        let lines = if ids.is_empty() {
            json!([])
        } else {
            let call = Call::read(LINE, "read").on(ids).arg("fields", json!(line));
            self.session.call(&call).await?
        };
        if let Some(fields) = row.as_object_mut() {
            fields.insert("order_line".to_owned(), lines);
        }
        Ok(Some(row))
    }

    fn sales_order(&self, row: &Value) -> Result<SalesOrder, ErpError> {
        let major = self.session.known_login().map_or(19, |login| login.about.major);
        parse_order(row, wire_name(major, LINE, "tax_ids"))
            .ok_or_else(|| nonsense(ORDER, "web_read", "a field is missing or has another type"))
    }

    pub(super) async fn read_order_parties(&self, id: ErpId) -> Result<Option<OrderParties>, ErpError> {
        let names = PARTY_FIELDS.map(str::to_owned);
        let Some(row) = self.read_rows(ORDER, &[id], &names).await?.into_iter().next() else {
            return Ok(None);
        };
        let [buyer, billing, shipping] = PARTY_FIELDS.map(|name| match row.fields.get(name) {
            Some(FieldValue::Record(id)) => Some(*id),
            _ => None,
        });
        Ok(Some(OrderParties {
            buyer,
            billing,
            shipping,
        }))
    }

    async fn existing_order(&self, id: ErpId) -> Result<SalesOrder, ErpError> {
        self.read_order(id).await?.ok_or_else(|| ErpError::Missing {
            model: ORDER.to_owned(),
            id: Some(id),
        })
    }

    /// Confirms without looking first: Odoo refuses what is not a quotation, and then the state is looked at. So the
    /// usual case takes two calls.
    pub(super) async fn confirm(&self, id: ErpId, ordered_at: Timestamp) -> Result<SalesOrder, ErpError> {
        let confirmation = self.confirming.begin();
        let call = Call::write(ORDER, "action_confirm").quietly();
        if let Err(error) = self.rows(Question::of_action(call, id)).await {
            if !matches!(error, ErpError::Rejected { .. } | ErpError::Busy { .. }) {
                return Err(error);
            }
            // It may be confirmed already, by an earlier attempt or by somebody else at this moment, which Odoo reports in
            // several ways.
            let order = self.existing_order(id).await?;
            if order.state != OrderState::Confirmed {
                return Err(error);
            }
            if order.ordered_at.map(time_text) == Some(time_text(ordered_at)) {
                return Ok(order);
            }
        } else {
            reach(FailPoint::OrderConfirmed).await?;
        }
        let mut order = if confirmation.as_ref().is_some_and(Confirmation::has_company) {
            self.set_order_date_with_others(id, ordered_at).await?
        } else {
            self.set_order_date(id, ordered_at).await?
        };
        if order.state == OrderState::Draft && confirmation.is_some() {
            // Somebody's module confirms only the first of several.
            let call = Call::write(ORDER, "action_confirm").on([id]).quietly();
            self.act(&call).await?;
            order = self.set_order_date(id, ordered_at).await?;
        }
        if order.state != OrderState::Confirmed {
            return Err(refused(
                "action_confirm",
                "the order is still not confirmed afterwards",
            ));
        }
        Ok(order)
    }

    /// Writes the order's date and reads the order back, in one call where the server can.
    async fn set_order_date(&self, id: ErpId, ordered_at: Timestamp) -> Result<SalesOrder, ErpError> {
        let values = json!({"date_order": time_text(ordered_at)});
        if self.has_web_methods.load(Ordering::Relaxed) {
            let call = Call::write(ORDER, "web_save")
                .on([id])
                .arg("vals", values.clone())
                .arg("specification", self.order_specification().await?)
                .quietly();
            match self.session.call(&call).await {
                Ok(rows) => return self.sales_order(&rows[0]),
                Err(ErpError::Setup { .. }) => self.has_web_methods.store(false, Ordering::Relaxed),
                Err(error) => return Err(error),
            }
        }
        let call = Call::write(ORDER, "write").on([id]).arg("vals", values).quietly();
        self.session.call(&call).await?;
        self.existing_order(id).await
    }

    /// The same in two calls, both together with those of other orders.
    async fn set_order_date_with_others(
        &self,
        id: ErpId,
        ordered_at: Timestamp,
    ) -> Result<SalesOrder, ErpError> {
        let batch = Batch {
            model: ORDER.to_owned(),
            columns: vec![".id".to_owned(), "date_order".to_owned()],
            rows: vec![vec![id.to_string(), time_text(ordered_at)]],
            saves: vec![0],
        };
        self.load(&batch).await?;
        self.existing_order(id).await
    }

    pub(super) async fn cancel(&self, id: ErpId, unlock: bool) -> Result<SalesOrder, ErpError> {
        let order = self.existing_order(id).await?;
        if order.state == OrderState::Cancelled {
            return Ok(order);
        }
        // Odoo cancels no locked order, so that nothing is needed to leave one alone.
        if order.locked && unlock {
            self.act(&Call::write(ORDER, "action_unlock").on([id]).quietly())
                .await?;
        }
        let call = Call::write(ORDER, "action_cancel")
            .on([id])
            .context("disable_cancel_warning", true)
            .quietly();
        let answer = self.act(&call).await;
        if let Err(error @ (ErpError::Rejected { .. } | ErpError::Busy { .. })) = answer {
            let order = self.existing_order(id).await?;
            return if order.state == OrderState::Cancelled {
                Ok(order)
            } else {
                Err(error)
            };
        }
        answer?;
        let order = self.existing_order(id).await?;
        if order.state != OrderState::Cancelled {
            return Err(refused(
                "action_cancel",
                "the order is still not cancelled afterwards",
            ));
        }
        Ok(order)
    }

    pub(super) async fn delete_lines(&self, order: ErpId, lines: &[ErpId]) -> Result<(), ErpError> {
        if lines.is_empty() {
            return Ok(());
        }
        let delete = |lines: &[ErpId]| {
            let commands: Vec<Value> = lines.iter().map(|line| json!([2, line.0])).collect();
            Call::write(ORDER, "write")
                .on([order])
                .arg("vals", json!({"order_line": commands}))
                .quietly()
        };
        match self.session.call(&delete(lines)).await {
            Err(ErpError::Missing { .. }) => {}
            other => return other.map(drop),
        }
        // Some are gone already, from an attempt before: the others remain to be deleted.
        let there = self.existing_order(order).await?;
        let left: Vec<ErpId> = there
            .lines
            .iter()
            .map(|line| line.id)
            .filter(|id| lines.contains(id))
            .collect();
        if left.is_empty() {
            return Ok(());
        }
        self.session.call(&delete(&left)).await.map(drop)
    }
}

fn refused(method: &str, message: &str) -> ErpError {
    ErpError::Rejected {
        model: ORDER.to_owned(),
        method: method.to_owned(),
        message: message.to_owned(),
    }
}

/// Reads an order as `web_read` gives it, with its lines as objects.
pub(super) fn parse_order(row: &Value, taxes: &str) -> Option<SalesOrder> {
    let lines = row["order_line"]
        .as_array()?
        .iter()
        .map(|line| {
            Some(SalesOrderLine {
                id: record(&line["id"])?,
                product: record(&line["product_id"]),
                name: text(&line["name"]).unwrap_or_default(),
                quantity: decimal(&line["product_uom_qty"])?,
                unit_price: decimal(&line["price_unit"])?,
                taxes: records(&line[taxes])?,
                subtotal: decimal(&line["price_subtotal"])?,
                total: decimal(&line["price_total"])?,
                // Only where deliveries are kept at all.
                delivered: decimal(&line["qty_delivered"])?,
                invoiced: decimal(&line["qty_invoiced"])?,
                to_invoice: match line.get("qty_to_invoice") {
                    Some(units) => decimal(units)?,
                    None => decimal(&line["product_uom_qty"])? - decimal(&line["qty_invoiced"])?,
                },
            })
        })
        .collect::<Option<Vec<_>>>()?;
    let invoiced = row["invoice_status"] == "invoiced" || lines.iter().any(|line| !line.invoiced.is_zero());
    Some(SalesOrder {
        id: record(&row["id"])?,
        name: text(&row["name"]).unwrap_or_default(),
        state: match row["state"].as_str()? {
            "draft" | "sent" => OrderState::Draft,
            "sale" | "done" => OrderState::Confirmed,
            "cancel" => OrderState::Cancelled,
            _ => OrderState::Other,
        },
        locked: row["locked"] == true,
        reference: text(&row["client_order_ref"]),
        partner: record(&row["partner_id"]),
        ordered_at: time(&row["date_order"]),
        currency: currency(&row["currency_id"]),
        untaxed: amount(&row["amount_untaxed"])?,
        tax: amount(&row["amount_tax"])?,
        total: amount(&row["amount_total"])?,
        invoiced,
        lines,
    })
}

/// A total, which must be there: a zero in its place would look like an order that costs nothing.
fn amount(value: &Value) -> Option<rust_decimal::Decimal> {
    if value.is_number() { decimal(value) } else { None }
}

/// The currency's code, of `{"id": 1, "name": "USD"}` or of `[1, "USD"]`.
fn currency(value: &Value) -> Option<String> {
    text(&value["name"]).or_else(|| text(&value[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Value {
        json!({
            "id": 5, "name": "S00005", "state": "sale", "locked": false, "client_order_ref": "#1001",
            "partner_id": 7, "date_order": "2023-11-14 22:13:20", "currency_id": {"id": 1, "name": "USD"},
            "amount_untaxed": 24.97, "amount_tax": 4.989_999_999_999_998, "amount_total": 29.96,
            "invoice_status": "no",
            "order_line": [{
                "id": 9, "product_id": 3, "name": "Hat", "product_uom_qty": 3, "price_unit": 9.99,
                "tax_ids": [4], "price_subtotal": 24.97, "price_total": 29.96, "qty_invoiced": 0,
            }],
        })
    }

    #[test]
    fn an_order_is_read_with_exact_amounts() {
        let order = parse_order(&answer(), "tax_ids").unwrap();
        assert_eq!(order.tax.to_string(), "4.99");
        assert_eq!(order.currency.as_deref(), Some("USD"));
        assert_eq!(order.state, OrderState::Confirmed);
        assert_eq!(order.ordered_at, Some(Timestamp::from_millis(1_700_000_000_000)));
        assert_eq!(order.lines[0].taxes, [ErpId(4)]);
        assert!(!order.invoiced);
    }

    #[test]
    fn missing_totals_are_no_zeros() {
        for name in [
            "amount_total",
            "amount_tax",
            "amount_untaxed",
            "state",
            "order_line",
            "id",
        ] {
            for instead in [Value::Null, json!(false), json!({"a": 1})] {
                let mut row = answer();
                row[name] = instead;
                assert_eq!(parse_order(&row, "tax_ids"), None, "{name}: {}", row[name]);
            }
        }
    }
}
