//! A credit note as it is written down: one line for each thing that is given back, to the cent.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde_json::json;

use super::super::super::flow::Flow;
use super::super::super::stop::Stop;
use super::super::after;
use super::super::refunds::{Credit, credited, share, shipping_line};
use super::{DOCUMENT, document_lines, reference};
use crate::domain::{
    BookedTax, ErpId, ExternalId, FieldValue, Fields, Order, Refund, RefundAdjustment, round_half_up,
};
use crate::erp::{DocumentKind, DocumentState, SalesOrder, SalesOrderLine, Save};
use crate::mapping::in_small_units;

/// A credit note while it is written down.
pub(super) struct Draft<'a> {
    pub(super) flow: &'a Flow<'a>,
    pub(super) order: &'a Order,
    pub(super) refund: &'a Refund,
    pub(super) credit: &'a Credit,
    pub(super) held: &'a SalesOrder,
    pub(super) lines: &'a BTreeMap<String, ErpId>,
}

impl Draft<'_> {
    /// All of it, to be made under this key.
    pub(super) async fn save(&self, key: &ExternalId, partner: Option<ErpId>) -> Result<Save, Stop> {
        let (flow, refund) = (self.flow, self.refund);
        let when = refund
            .processed_at
            .or(refund.created_at)
            .unwrap_or(self.order.updated_at);
        let mut fields = vec![
            ("move_type".to_owned(), FieldValue::Text("out_refund".into())),
            ("invoice_date".to_owned(), FieldValue::Date(flow.day(when))),
            (
                "ref".to_owned(),
                FieldValue::Text(format!("{} {}", self.order.name, reference(refund))),
            ),
            (
                "invoice_origin".to_owned(),
                FieldValue::Text(self.held.name.clone()),
            ),
            (
                "currency_id".to_owned(),
                FieldValue::Record(after::currency(flow, self.order.currency).await?),
            ),
        ];
        if self.held.invoiced
            && let Some(invoice) = flow
                .shop
                .erp
                .documents(self.held.id)
                .await?
                .into_iter()
                .rfind(|known| known.kind == DocumentKind::Invoice && known.state == DocumentState::Posted)
        {
            fields.push(("reversed_entry_id".to_owned(), FieldValue::Record(invoice.id)));
        }
        if let Some(partner) = partner.or(self.held.partner) {
            fields.push(("partner_id".to_owned(), FieldValue::Record(partner)));
        }
        Ok(Save {
            model: DOCUMENT.to_owned(),
            external_id: key.clone(),
            fields,
            lines: Some(document_lines(self.rows().await?)),
        })
    }

    async fn rows(&self) -> Result<Vec<(ExternalId, Fields)>, Stop> {
        let currency = self.order.currency;
        let digits = self.flow.price_digits();
        let kept_decimals = digits.map_or(currency.decimals(), |digits| digits.min(currency.decimals()));
        let mut rows = Vec::new();
        let mut staying = self.credit.kept.clone();
        for (n, (entry, units)) in credited(self.refund, self.credit).into_iter().enumerate() {
            let line = self.line(&entry.key);
            let amount = share(entry.amount, units, entry.quantity, currency);
            let price = round_half_up(amount.checked_div(units).unwrap_or_default(), kept_decimals);
            let name = format!("{}_{n}", entry.key);
            // What stays on the order stays invoiced there, or somebody would invoice it again; what goes off it does not.
            let kept = match staying.get_mut(&entry.key) {
                Some(left) => {
                    let kept = units.min(*left);
                    *left -= kept;
                    kept
                }
                None => Decimal::ZERO,
            };
            if !kept.is_zero() {
                self.push(&mut rows, &name, line, kept, price, false).await?;
            }
            if kept != units {
                self.push(&mut rows, &format!("{name}_off"), line, units - kept, price, true)
                    .await?;
            }
            // A price that the ERP cannot hold is rounded, and a line of the same taxes takes up the rest.
            let rest = amount - price * units;
            if !rest.is_zero() {
                let (units, price) = in_small_units(rest, digits);
                let name = format!("{name}_rest");
                self.push(&mut rows, &name, line, units, price, false).await?;
            }
        }
        if self.credit.charges {
            for (n, taken) in self.refund.shipping.iter().enumerate() {
                let key = shipping_line(self.order, &taken.key).map_or(&*taken.key, |line| &*line.key);
                let amount = if self.order.taxes_included {
                    taken.gross
                } else {
                    taken.net
                };
                let line = self.line(key);
                let (units, price) = in_small_units(amount, digits);
                let name = format!("shipping_{n}");
                self.push(&mut rows, &name, line, units, price, false).await?;
            }
            if !self.refund.duties.is_zero() {
                let product = after::service(self.flow, "duty").await?;
                self.plain(
                    &mut rows,
                    "duties",
                    product,
                    "Duties",
                    self.refund.duties,
                    Vec::new(),
                )?;
            }
        }
        if self.credit.adjustments {
            let product = after::service(self.flow, "discount").await?;
            for (n, entry) in self.refund.adjustments.iter().enumerate() {
                let like = self.taxed_like(entry);
                if let Some(line) = like {
                    self.flow.note(
                        "adjustment_taxed_like",
                        json!({ "refund": self.refund.id, "reason": entry.reason, "line": line.name, "tax": entry.tax }),
                    );
                }
                let taxes = like.map(|line| line.taxes.clone()).unwrap_or_default();
                let amount = if entry.tax.is_zero() || self.order.taxes_included {
                    entry.net + entry.tax
                } else {
                    entry.net
                };
                let name = format!("Refund: {}", entry.reason.replace('_', " "));
                self.plain(
                    &mut rows,
                    &format!("adjustment_{n}"),
                    product,
                    &name,
                    amount,
                    taxes,
                )?;
            }
        }
        Ok(rows)
    }

    /// The order's line in the ERP.
    fn line(&self, key: &str) -> Option<&SalesOrderLine> {
        let id = self.lines.get(key)?;
        self.held.lines.iter().find(|line| line.id == *id)
    }

    /// The order's line whose taxes an adjustment has. Shopify names none: the dearest of those that are taxed at its rate,
    /// else the dearest of all, and then the proof of the credit note fails.
    fn taxed_like(&self, entry: &RefundAdjustment) -> Option<&SalesOrderLine> {
        if entry.tax.is_zero() {
            return None;
        }
        let decimals = self.order.currency.decimals();
        let cent = Decimal::new(1, decimals);
        let fits = |line: &&SalesOrderLine| {
            let tax = entry
                .net
                .checked_mul(line.total - line.subtotal)
                .and_then(|tax| tax.checked_div(line.subtotal));
            tax.is_some_and(|tax| round_half_up(tax - entry.tax, decimals).abs() <= cent)
        };
        let mut lines: Vec<&SalesOrderLine> = self.held.lines.iter().collect();
        lines.sort_by_key(|line| std::cmp::Reverse(line.total));
        let fitting = lines.iter().find(|line| fits(line));
        fitting.or(lines.first()).copied()
    }

    /// Shopify's tax of everything that is given back, by the percentage that its line was taxed with in all.
    pub(super) fn taxes(&self) -> BTreeMap<Decimal, Decimal> {
        let mut rates: BTreeMap<Decimal, Decimal> = BTreeMap::new();
        let mut add = |taxes: &[BookedTax], tax: Decimal| {
            let percent: Decimal = taxes.iter().map(|tax| tax.rate_percent).sum();
            *rates.entry(percent.normalize()).or_default() += tax;
        };
        for (entry, units) in credited(self.refund, self.credit) {
            let tax = share(entry.tax, units, entry.quantity, self.order.currency);
            add(&entry.taxes, tax);
        }
        if self.credit.charges {
            for taken in &self.refund.shipping {
                let line = shipping_line(self.order, &taken.key);
                add(line.map_or(&[], |line| &line.taxes), taken.tax);
            }
        }
        if self.credit.adjustments {
            for entry in &self.refund.adjustments {
                let line = self.taxed_like(entry).and_then(|like| {
                    let (key, _) = self.lines.iter().find(|(_, id)| **id == like.id)?;
                    self.order.lines.iter().find(|line| line.key == *key)
                });
                add(line.map_or(&[], |line| &line.taxes), entry.tax);
            }
        }
        rates
    }

    /// A line with product, text and taxes of the order's; `counts` takes its units off what is invoiced of the order.
    async fn push(
        &self,
        rows: &mut Vec<(ExternalId, Fields)>,
        key: &str,
        line: Option<&SalesOrderLine>,
        quantity: Decimal,
        price: Decimal,
        counts: bool,
    ) -> Result<(), Stop> {
        let product = match line.and_then(|line| line.product) {
            Some(product) => product,
            None => after::service(self.flow, "discount").await?,
        };
        let mut fields = vec![
            ("product_id".to_owned(), FieldValue::Record(product)),
            (
                "name".to_owned(),
                FieldValue::Text(line.map_or_else(|| "Refund".to_owned(), |line| line.name.clone())),
            ),
            ("quantity".to_owned(), FieldValue::Decimal(quantity)),
            ("price_unit".to_owned(), FieldValue::Decimal(price)),
            (
                "tax_ids".to_owned(),
                FieldValue::Records(line.map(|line| line.taxes.clone()).unwrap_or_default()),
            ),
        ];
        if let (Some(line), true) = (line, counts) {
            fields.push(("sale_line_ids".to_owned(), FieldValue::Records(vec![line.id])));
        }
        rows.push((self.key(key)?, fields));
        Ok(())
    }

    fn plain(
        &self,
        rows: &mut Vec<(ExternalId, Fields)>,
        key: &str,
        product: ErpId,
        name: &str,
        price: Decimal,
        taxes: Vec<ErpId>,
    ) -> Result<(), Stop> {
        let (units, price) = in_small_units(price, self.flow.price_digits());
        let fields = vec![
            ("product_id".to_owned(), FieldValue::Record(product)),
            ("name".to_owned(), FieldValue::Text(name.to_owned())),
            ("quantity".to_owned(), FieldValue::Decimal(units)),
            ("price_unit".to_owned(), FieldValue::Decimal(price)),
            ("tax_ids".to_owned(), FieldValue::Records(taxes)),
        ];
        rows.push((self.key(key)?, fields));
        Ok(())
    }

    fn key(&self, name: &str) -> Result<ExternalId, Stop> {
        self.flow
            .external_id(&format!("{}_{name}", reference(self.refund)))
    }
}
