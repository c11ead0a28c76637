//! What people do in the ERP between two calls of a client: sales, warehouse and bookkeeping at their screens.

use chrono::NaiveDate;
use serde_json::{Value as Json, json};

use super::OdooSandbox;
use super::error::{OdooError, Res};
use super::options::CustomField;
use super::orm::search::ids;
use super::value::DATE;

impl OdooSandbox {
    fn press(&self, model: &str, button: &str, ids: &[i64]) -> Res<Json> {
        self.as_admin(model, button, json!([ids]), json!({}))
    }

    /// Confirms a quotation.
    ///
    /// # Errors
    /// When it is no quotation.
    pub fn confirm(&self, order: i64) -> Result<(), OdooError> {
        self.press("sale.order", "action_confirm", &[order]).map(drop)
    }

    /// Locks a confirmed order.
    ///
    /// # Errors
    /// When there is no such order.
    pub fn lock(&self, order: i64) -> Result<(), OdooError> {
        self.press("sale.order", "action_lock", &[order]).map(drop)
    }

    /// Unlocks an order.
    ///
    /// # Errors
    /// When there is no such order.
    pub fn unlock(&self, order: i64) -> Result<(), OdooError> {
        self.press("sale.order", "action_unlock", &[order]).map(drop)
    }

    /// Takes everything that is still to deliver of an order off the shelf, whether there is stock or not, and
    /// validates all its transfers, returns too.
    ///
    /// # Errors
    /// When a transfer cannot be validated.
    pub fn deliver_all(&self, order: i64) -> Result<(), OdooError> {
        let open = json!([[["sale_id", "=", order], ["state", "not in", ["done", "cancel"]]]]);
        let pickings = self.as_admin("stock.picking", "search", open, json!({}))?;
        for picking in ids(&pickings) {
            let open = json!([
                [
                    ["picking_id", "=", picking],
                    ["state", "not in", ["done", "cancel"]]
                ],
                ["product_uom_qty"]
            ]);
            let moves = self.as_admin("stock.move", "search_read", open, json!({}))?;
            for known in moves.as_array().into_iter().flatten() {
                let values = json!([[known["id"]], {"quantity": known["product_uom_qty"], "picked": true}]);
                self.as_admin("stock.move", "write", values, json!({}))?;
            }
            self.press("stock.picking", "button_validate", &[picking])?;
        }
        Ok(())
    }

    /// Counts so many units of a variant in a warehouse's stock (none: the first warehouse).
    ///
    /// # Errors
    /// When there is no such variant or warehouse.
    pub fn set_stock(&self, variant: i64, warehouse: Option<i64>, units: i64) -> Result<(), OdooError> {
        let domain = warehouse.map_or(json!([]), |id| json!([["id", "=", id]]));
        let found = self.as_admin(
            "stock.warehouse",
            "search_read",
            json!([domain, ["lot_stock_id"]]),
            json!({"limit": 1, "load": null}),
        )?;
        let values = json!([{"product_id": variant, "location_id": found[0]["lot_stock_id"], "inventory_quantity": units}]);
        let mode = json!({"context": {"inventory_mode": true}});
        let level = self.as_admin("stock.quant", "create", values, mode)?;
        self.press(
            "stock.quant",
            "action_apply_inventory",
            &[level.as_i64().unwrap_or_default()],
        )
        .map(drop)
    }

    /// Invoices what is open on a confirmed order and posts the invoice: its id.
    ///
    /// # Errors
    /// When nothing can be invoiced, or the invoice cannot be posted.
    pub fn invoice(&self, order: i64) -> Result<i64, OdooError> {
        let wizard = json!([{"advance_payment_method": "delivered", "sale_order_ids": [[6, 0, [order]]]}]);
        let wizard = self.as_admin("sale.advance.payment.inv", "create", wizard, json!({}))?;
        let wizard = wizard.as_i64().unwrap_or_default();
        let shown = self.press("sale.advance.payment.inv", "create_invoices", &[wizard])?;
        let invoice = shown["res_id"].as_i64().unwrap_or_default();
        self.press("account.move", "action_post", &[invoice])?;
        Ok(invoice)
    }

    /// Pays a posted invoice in full, at the first bank.
    ///
    /// # Errors
    /// When nothing is due.
    pub fn pay(&self, invoice: i64) -> Result<(), OdooError> {
        let context = json!({"context": {"active_model": "account.move", "active_ids": [invoice]}});
        let wizard = self.as_admin("account.payment.register", "create", json!([{}]), context)?;
        let wizard = wizard.as_i64().unwrap_or_default();
        self.press("account.payment.register", "action_create_payments", &[wizard])
            .map(drop)
    }

    /// Adds custom fields that are not there yet.
    ///
    /// # Errors
    /// When a model is unknown, a name does not begin with `x_`, or a type is not played.
    pub fn set_custom_fields(&self, fields: &[CustomField]) -> Result<(), OdooError> {
        for field in fields {
            let known = json!([[["model", "=", field.model], ["name", "=", field.name]]]);
            if self.as_admin("ir.model.fields", "search_count", known, json!({}))? != json!(0) {
                continue;
            }
            let model = json!([[["model", "=", field.model]]]);
            let model = self.as_admin("ir.model", "search", model, json!({}))?;
            let values = json!([{"model_id": model[0], "name": field.name, "field_description": field.label,
                "ttype": field.kind}]);
            self.as_admin("ir.model.fields", "create", values, json!({}))?;
        }
        Ok(())
    }

    /// Closes the books of all companies up to and including a day.
    ///
    /// # Errors
    /// None in practice: the administrator may.
    pub fn close_period(&self, day: NaiveDate) -> Result<(), OdooError> {
        let companies = self.as_admin("res.company", "search", json!([[]]), json!({}))?;
        let text = day.format(DATE).to_string();
        let values = json!([companies, {"fiscalyear_lock_date": text, "tax_lock_date": text}]);
        self.as_admin("res.company", "write", values, json!({})).map(drop)
    }
}
