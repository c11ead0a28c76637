//! Deliveries of an order in Odoo: transfers (`stock.picking`) and their moves.
//!
//! A transfer is carried out by `button_validate`, which asks a person about back-orders unless the context says not to:
//! what is not sent is then kept on a back-order. Its answer is not trusted, the state is looked at.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::call::Call;
use super::value::{decimal, record, records, text};
use super::{Odoo, nonsense};
use crate::domain::ErpId;
use crate::erp::{Delivery, DeliveryMove, DeliveryState, ErpError, OpenDelivery};
use crate::failpoint::{FailPoint, reach};

const PICKING: &str = "stock.picking";
const MOVE: &str = "stock.move";
const LINE: &str = "sale.order.line";
const TRACKING: &str = "carrier_tracking_ref";

/// From the supplier straight to the customer (Odoo's module for drop-shipping): told by the places, because the way back is
/// a transfer of the same type.
const DROPSHIP: &str = "is_dropship";

impl Odoo {
    pub(super) async fn read_deliveries(&self, order: ErpId) -> Result<Vec<Delivery>, ErpError> {
        let table = self.table(PICKING).await?;
        // The tracking number comes with the module for carriers.
        let fields: Vec<&str> = [
            "name",
            "state",
            "picking_type_code",
            "move_ids",
            TRACKING,
            DROPSHIP,
        ]
        .into_iter()
        .filter(|field| table.0.contains_key(*field))
        .collect();
        let rows = self
            .search_read(
                PICKING,
                vec![json!(["sale_id", "=", order.0])],
                &fields,
                None,
                false,
            )
            .await?;
        let ids: Vec<ErpId> = rows
            .iter()
            .filter_map(|row| records(&row["move_ids"]))
            .flatten()
            .collect();
        let moves = if ids.is_empty() {
            json!([])
        } else {
            let call = Call::read(MOVE, "read").on(ids).arg(
                "fields",
                json!([
                    "picking_id",
                    "sale_line_id",
                    "product_id",
                    "product_uom_qty",
                    "quantity",
                    "state"
                ]),
            );
            self.session.call(&call).await?
        };
        rows.iter()
            .map(|row| {
                parse(row, &moves)
                    .ok_or_else(|| nonsense(PICKING, "search_read", "a field is missing or has another type"))
            })
            .collect()
    }

    /// The open moves of a variant out of the warehouse, with the orders that they belong to, and the lines of quotations: these
    /// have no moves yet.
    pub(super) async fn read_open_moves(&self, variants: &[ErpId]) -> Result<Vec<OpenDelivery>, ErpError> {
        const OPEN: [&str; 4] = ["waiting", "confirmed", "partially_available", "assigned"];
        const QUOTATION: [&str; 2] = ["draft", "sent"];
        let domain = vec![
            json!(["product_id", "in", variants]),
            json!(["state", "in", OPEN]),
            json!(["sale_line_id", "!=", false]),
            json!(["picking_id.picking_type_code", "=", "outgoing"]),
        ];
        let fields = ["product_id", "sale_line_id", "product_uom_qty", "quantity"];
        let moves = self.search_read(MOVE, domain, &fields, None, false).await?;
        let moved: Vec<ErpId> = moves
            .iter()
            .filter_map(|row| record(&row["sale_line_id"]))
            .collect();
        // One question: whose the moves are, and what else is sold.
        let domain = vec![
            json!("|"),
            json!(["id", "in", moved]),
            json!("&"),
            json!(["product_id", "in", variants]),
            json!(["order_id.state", "in", QUOTATION]),
        ];
        let fields = ["order_id", "product_id", "product_uom_qty"];
        let lines = self.search_read(LINE, domain, &fields, None, false).await?;
        let order_of = |line: Option<ErpId>| {
            let row = lines.iter().find(|row| record(&row["id"]) == line)?;
            record(&row["order_id"])
        };
        let open = |row: &Value| {
            Some(OpenDelivery {
                variant: record(&row["product_id"])?,
                order: order_of(record(&row["sale_line_id"]))?,
                demanded: decimal(&row["product_uom_qty"])?,
                reserved: decimal(&row["quantity"])?,
            })
        };
        let quoted = |row: &Value| {
            Some(OpenDelivery {
                variant: record(&row["product_id"])?,
                order: record(&row["order_id"])?,
                demanded: decimal(&row["product_uom_qty"])?,
                reserved: Decimal::ZERO,
            })
        };
        let is_quoted = |row: &&Value| record(&row["id"]).is_none_or(|line| !moved.contains(&line));
        let of_moves = moves.iter().map(|row| {
            open(row).ok_or_else(|| nonsense(MOVE, "search_read", "a move lacks its order or a number"))
        });
        let of_lines = lines.iter().filter(is_quoted).map(|row| {
            quoted(row).ok_or_else(|| nonsense(LINE, "search_read", "a line lacks its order or a number"))
        });
        of_moves.chain(of_lines).collect()
    }

    pub(super) async fn validate(
        &self,
        delivery: ErpId,
        quantities: &[(ErpId, Decimal)],
        tracking: Option<&str>,
    ) -> Result<(), ErpError> {
        let moves = self.table(MOVE).await?;
        let has_picked = moves.0.contains_key("picked");
        let commands: Vec<Value> = quantities
            .iter()
            .map(|(id, quantity)| {
                let mut values = json!({
                    "quantity": super::value::encode(&crate::domain::FieldValue::Decimal(*quantity)),
                });
                if has_picked {
                    values["picked"] = json!(!quantity.is_zero());
                }
                json!([1, id.0, values])
            })
            .collect();
        let mut values = json!({ "move_ids": commands });
        if let Some(tracking) = tracking
            && self.table(PICKING).await?.0.contains_key(TRACKING)
        {
            values[TRACKING] = json!(tracking);
        }
        let call = Call::write(PICKING, "write")
            .on([delivery])
            .arg("vals", values)
            .quietly();
        self.session.call(&call).await?;
        reach(FailPoint::DeliveryPrepared).await?;
        let call = Call::write(PICKING, "button_validate")
            .on([delivery])
            .context("skip_backorder", true)
            .context("picking_ids_not_to_backorder", json!([]))
            .context("skip_sms", true)
            .quietly();
        let answer = self.act(&call).await;
        if self.delivery_state(delivery).await? == "done" {
            return Ok(());
        }
        answer?;
        Err(ErpError::Asked {
            model: PICKING.to_owned(),
            method: "button_validate".to_owned(),
        })
    }

    async fn delivery_state(&self, id: ErpId) -> Result<String, ErpError> {
        let call = Call::read(PICKING, "read")
            .on([id])
            .arg("fields", json!(["state"]));
        let rows = self.session.call(&call).await?;
        text(&rows[0]["state"]).ok_or_else(|| ErpError::Missing {
            model: PICKING.to_owned(),
            id: Some(id),
        })
    }

    pub(super) async fn cancel_transfer(&self, id: ErpId) -> Result<(), ErpError> {
        self.act(&Call::write(PICKING, "action_cancel").on([id]).quietly())
            .await
            .map(drop)
    }
}

fn parse(row: &Value, moves: &Value) -> Option<Delivery> {
    let id = record(&row["id"])?;
    let moves = moves
        .as_array()?
        .iter()
        .filter(|entry| record(&entry["picking_id"]) == Some(id))
        .map(|entry| {
            Some(DeliveryMove {
                id: record(&entry["id"])?,
                line: record(&entry["sale_line_id"]),
                product: record(&entry["product_id"]),
                demand: decimal(&entry["product_uom_qty"])?,
                quantity: decimal(&entry["quantity"])?,
                is_cancelled: entry["state"] == "cancel",
            })
        })
        .collect::<Option<Vec<_>>>()?;
    Some(Delivery {
        id,
        name: text(&row["name"]).unwrap_or_default(),
        state: match row["state"].as_str()? {
            "done" => DeliveryState::Done,
            "cancel" => DeliveryState::Cancelled,
            _ => DeliveryState::Open,
        },
        outgoing: row["picking_type_code"] == "outgoing" || row[DROPSHIP] == true,
        internal: row["picking_type_code"] == "internal",
        dropship: row[DROPSHIP] == true,
        tracking: text(&row[TRACKING]),
        moves,
    })
}
