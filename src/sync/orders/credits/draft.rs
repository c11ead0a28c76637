//! A credit note as it is written down: one line for each thing that is given back, to the cent.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::super::super::flow::Flow;
use super::super::super::stop::Stop;
use super::super::after;
use super::super::refunds::{Credit, credited, share, shipping_line};
use super::{DOCUMENT, document_lines, reference};
use crate::domain::{ErpId, ExternalId, FieldValue, Fields, Order, Refund, round_half_up};
use crate::erp::{DocumentKind, DocumentState, SalesOrder, SalesOrderLine, Save};

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
        let mut rows = Vec::new();
        for (n, (entry, units)) in credited(self.refund, self.credit).into_iter().enumerate() {
            let line = self.line(&entry.key);
            let amount = share(entry.amount, units, entry.quantity, currency);
            let price = round_half_up(amount.checked_div(units).unwrap_or_default(), currency.decimals());
            let name = format!("{}_{n}", entry.key);
            // What stays on the order stays invoiced there, or somebody would invoice it again; what goes off it does not.
            let stays = self
                .credit
                .kept
                .get(&entry.key)
                .is_some_and(|kept| !kept.is_zero());
            self.push(&mut rows, &name, line, units, price, !stays).await?;
            // A price that is no whole number of cents is rounded, and a line of the same taxes takes up the rest.
            let rest = amount - price * units;
            if !rest.is_zero() {
                self.push(
                    &mut rows,
                    &format!("{name}_rest"),
                    line,
                    Decimal::ONE,
                    rest,
                    false,
                )
                .await?;
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
                self.push(
                    &mut rows,
                    &format!("shipping_{n}"),
                    line,
                    Decimal::ONE,
                    amount,
                    false,
                )
                .await?;
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
                // An adjustment names no tax; one that has some is taxed like the order's dearest line.
                let taxes = if entry.tax.is_zero() {
                    Vec::new()
                } else {
                    self.dearest().map(|line| line.taxes.clone()).unwrap_or_default()
                };
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

    fn dearest(&self) -> Option<&SalesOrderLine> {
        self.held.lines.iter().max_by_key(|line| line.total)
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
        let fields = vec![
            ("product_id".to_owned(), FieldValue::Record(product)),
            ("name".to_owned(), FieldValue::Text(name.to_owned())),
            ("quantity".to_owned(), FieldValue::Decimal(Decimal::ONE)),
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
