//! Orders and their lines.

use super::*;
use crate::sandbox::odoo::LineView;
use crate::sandbox::shopify::draft::{OrderEdit, RefundDraft};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum Kind {
    /// On the shop, of a booked order.
    Cancelled,
    Edited,
    Refunded,
    /// Placed on the shop.
    Lost,
    ShopDelete,
    /// In the ERP: a quotation, or a confirmed order.
    ErpDelete,
    ErpCancel,
    BothDelete,
    /// A second order of the ERP with its number.
    Twin,
    /// The row of the link is gone, and both records are there.
    LinkLost,
    /// In the ERP: the order's own field, and a line's.
    Origin,
    LineText,
    Price,
    Quantity,
    Discount,
    TaxOff,
    TaxAdded,
    /// A line of a quotation.
    LineDeleted,
    LineAdded,
}

use Kind::{
    BothDelete, Cancelled, Discount, Edited, ErpCancel, ErpDelete, LineAdded, LineDeleted, LineText,
    LinkLost, Lost, Origin, Price, Quantity, Refunded, ShopDelete, TaxAdded, TaxOff, Twin,
};

pub(super) const ALL: [Kind; 19] = [
    Cancelled,
    Edited,
    Refunded,
    Lost,
    ShopDelete,
    ErpDelete,
    ErpCancel,
    BothDelete,
    Twin,
    LinkLost,
    Origin,
    LineText,
    Price,
    Quantity,
    Discount,
    TaxOff,
    TaxAdded,
    LineDeleted,
    LineAdded,
];

const ORDER: &str = "sale.order";
const LINE: &str = "sale.order.line";

/// An order of the shop, with its booking in the ERP.
struct Sold {
    id: u64,
    name: String,
    booked: OrderView,
    variants: Vec<u64>,
}

fn orders_of(both: &Damaged, name: &str) -> Vec<OrderView> {
    both.bench.erp.ledger().orders_by_reference(name)
}

/// The keys of an order's lines, as our names of them end.
fn keys(order: &OrderView, id: u64) -> Vec<String> {
    let prefix = format!("__lockstep_main__.order_{id}_");
    let names = order.lines.iter().flat_map(|line| &line.external_ids);
    let keys = names.filter_map(|name| name.strip_prefix(&prefix));
    keys.map(str::to_owned).collect()
}

impl Place<'_> {
    fn placed(&self, buyer: u64, variant: u64, is_paid: bool) -> (u64, String) {
        let mut draft = everyday(Buyer::Customer(buyer), variant);
        if !is_paid {
            draft.payment = Payment::Pending("manual".into());
        }
        order(&self.both.bench, draft)
    }

    pub(super) async fn order(&self, kind: Kind) -> Hurt {
        let (both, bench) = (self.both, &self.both.bench);
        let (_, variants) = self.mug().await;
        let (buyer, _) = both.customer(&format!("N{}", self.number)).await;
        let is_paid = !matches!(kind, ErpDelete | BothDelete | LineDeleted);
        let (id, name) = self.placed(buyer, variants[0], is_paid);
        if kind == Lost {
            both.later();
            let told = Expected::of(Object::Order, id, DriftClass::MissingInErp);
            return Hurt::new(vec![told], move |both| {
                let total = both
                    .bench
                    .shop
                    .read(|shop| shop.order(id).unwrap().totals.current_total.shop);
                let booked = orders_of(both, &name);
                booked.len() == 1 && booked[0].amount_total == total && booked[0].state == "sale"
            });
        }
        let (state, why) = bench.sync(Object::Order, id).await;
        assert_eq!(state, JobState::Completed, "{why:?}");
        both.later();
        let booked = bench.booked(&name);
        let sold = Sold {
            id,
            name,
            booked,
            variants,
        };
        match kind {
            Cancelled | Edited | Refunded => self.after_the_sale(kind, sold),
            ShopDelete | ErpDelete | ErpCancel | BothDelete | Twin | LinkLost => {
                self.is_there(kind, sold).await
            }
            _ => self.booking(kind, &sold),
        }
    }

    fn after_the_sale(&self, kind: Kind, sold: Sold) -> Hurt {
        let shop = &self.both.bench.shop;
        let Sold {
            id, name, variants, ..
        } = sold;
        let of = |class| Expected::of(Object::Order, id, class);
        let reference = name.clone();
        let costs_the_same = move |both: &Damaged| {
            let total = both
                .bench
                .shop
                .read(|shop| shop.order(id).unwrap().totals.current_total.shop);
            orders_of(both, &reference)[0].amount_total == total
        };
        match kind {
            Cancelled => {
                shop.change(|shop| shop.cancel_order(id, &Default::default()))
                    .unwrap();
                Hurt::new(vec![of(DriftClass::Archived).act("cancel")], move |both| {
                    orders_of(both, &name)[0].state == "cancel"
                })
            }
            Edited => {
                let edit = OrderEdit {
                    add: vec![LineDraft::variant(variants[1], 1)],
                    remove: Vec::new(),
                    settle: Some("shopify_payments".into()),
                };
                shop.change(|shop| shop.edit_order(id, &edit)).unwrap();
                // The line of the shipping comes after the new one by now, and stays where it was booked.
                let place = of(DriftClass::FieldDiffers).field("sequence", 3, 2);
                let told = vec![
                    of(DriftClass::MissingInErp).act("create"),
                    place.left("booked_as_sold"),
                ];
                Hurt::new(told, costs_the_same)
            }
            _ => {
                // One of three comes back: into the shop's stock, and not into the ERP's, which never sent it.
                let draft = RefundDraft::returned(0, 1);
                shop.change(|shop| shop.refund_order(id, &draft)).unwrap();
                let place = shop.read(crate::sandbox::shopify::Shop::main_location);
                let level = Expected::of(Object::Inventory, variants[0], DriftClass::StockDiffers);
                let told = vec![
                    of(DriftClass::FieldDiffers).field("product_uom_qty", 2, 3),
                    level.field(&format!("on_hand@{place}"), 1, 0),
                ];
                Hurt::new(told, costs_the_same)
            }
        }
    }

    async fn is_there(&self, kind: Kind, sold: Sold) -> Hurt {
        let (both, bench) = (self.both, &self.both.bench);
        let Sold { id, name, booked, .. } = sold;
        let of = |class| Expected::of(Object::Order, id, class);
        let remove = || {
            bench.shop.change(|shop| {
                shop.close_order(id).unwrap();
                shop.delete_order(id).unwrap();
            });
        };
        let own = booked.id;
        match kind {
            ShopDelete => {
                remove();
                let told = of(DriftClass::Deleted).asks("not_on_shopify_any_more");
                Hurt::new(vec![told], move |both| orders_of(both, &name)[0].state == "sale")
            }
            ErpDelete => {
                both.delete(ORDER, own);
                // Nobody books it again without a word of a person.
                let told = of(DriftClass::GoneFromErp).asks("erp_record_missing");
                Hurt::new(vec![told], move |both| orders_of(both, &name).is_empty())
            }
            ErpCancel => {
                let flag = json!({ "context": { "disable_cancel_warning": true } });
                bench
                    .erp
                    .as_admin(ORDER, "action_cancel", json!([[own]]), flag)
                    .unwrap();
                let told = of(DriftClass::Archived).field("state", "stands", "cancelled");
                Hurt::new(vec![told.asks("cancelled_in_erp")], move |both| {
                    orders_of(both, &name)[0].state == "cancel"
                })
                // Later runs tell of the job that asks.
                .then(Some(of(DriftClass::FieldDiffers).asks("cancelled_in_erp")))
            }
            BothDelete => {
                remove();
                both.delete(ORDER, own);
                let orphan = Expected {
                    why: Some("link_retired"),
                    ..of(DriftClass::OrphanedLink)
                };
                Hurt::new(vec![orphan], move |both| orders_of(both, &name).is_empty())
            }
            Twin => {
                let values = json!({ "partner_id": booked.partner_id, "client_order_ref": name });
                let twin = bench.made_in_the_erp(ORDER, values);
                let told = Expected::twin(Object::Order, twin, own);
                Hurt::new(vec![told], move |both| orders_of(both, &name).len() == 2)
            }
            _ => {
                bench.lose_links(LinkKind::Order, &[id]).await;
                Hurt::new(vec![of(DriftClass::MissingInErp)], move |both| {
                    let orders = orders_of(both, &name);
                    orders.len() == 1 && orders[0].id == own
                })
            }
        }
    }

    /// What people change of a booking in the ERP. Nothing carries it back: it is told with both values, and what it costs needs
    /// a person.
    fn booking(&self, kind: Kind, sold: &Sold) -> Hurt {
        let both = self.both;
        let (order, line) = (sold.booked.id, sold.booked.lines[0].id);
        let taxes = |ids: &[i64]| json!({ "tax_id": [[6, 0, ids]] });
        match kind {
            Origin => both.write(ORDER, order, json!({ "origin": "by phone" })),
            LineText => both.write(LINE, line, json!({ "name": "Something else" })),
            Price => both.write(LINE, line, json!({ "price_unit": 1 })),
            Quantity => both.write(LINE, line, json!({ "product_uom_qty": 5 })),
            Discount => both.write(LINE, line, json!({ "discount": 10 })),
            TaxOff => both.write(LINE, line, taxes(&[])),
            TaxAdded => {
                let of = json!([[
                    ["amount", "=", 7],
                    ["price_include", "=", true],
                    ["type_tax_use", "=", "sale"]
                ]]);
                let other = both.bench.in_the_erp("account.tax", "search", of)[0]
                    .as_i64()
                    .unwrap();
                let own = sold.booked.lines[0].taxes[0].id;
                both.write(LINE, line, taxes(&[own, other]));
            }
            LineDeleted => both.delete(LINE, line),
            _ => {
                let product = sold.booked.lines[0].product_id;
                let values = json!({ "order_id": order, "product_id": product, "product_uom_qty": 1, "price_unit": 5 });
                both.bench.made_in_the_erp(LINE, values);
            }
        }
        let now = both.bench.booked(&sold.name);
        let (name, told) = (sold.name.clone(), self.moved(sold, &now));
        let now = (now.amount_total, now.amount_tax, now.origin, texts(&now.lines));
        Hurt::new(told, move |both| {
            let then = orders_of(both, &name).remove(0);
            now == (
                then.amount_total,
                then.amount_tax,
                then.origin,
                texts(&then.lines),
            )
        })
    }

    /// What differs between a booking and what stands there.
    fn moved(&self, sold: &Sold, now: &OrderView) -> Vec<Expected> {
        let booked = &sold.booked;
        let of = |class| Expected::of(Object::Order, sold.id, class);
        let mut told = Vec::new();
        let mut amount = |class, name: &str, code, was: Decimal, is: Decimal| {
            if was != is {
                told.push(of(class).field(name, was, is).asks(code));
            }
        };
        let (was, is) = (booked.amount_total, now.amount_total);
        amount(DriftClass::TotalDiffers, "total", "drift_total_differs", was, is);
        let (was, is) = (booked.amount_tax, now.amount_tax);
        amount(DriftClass::TaxDiffers, "tax", "drift_tax_differs", was, is);
        let mut field = |name: &str, was: String, is: String| {
            if was != is {
                let differs = of(DriftClass::FieldDiffers).field(name, was, is);
                told.push(differs.left("booked_as_sold"));
            }
        };
        let own = |order: &OrderView| order.origin.clone().unwrap_or_default();
        field("origin", own(booked), own(now));
        let plain = |number: Decimal| number.normalize().to_string();
        for was in &booked.lines {
            let Some(is) = now.lines.iter().find(|is| is.id == was.id) else {
                continue;
            };
            field("name", was.name.clone(), is.name.clone());
            field("product_uom_qty", plain(was.quantity), plain(is.quantity));
            field("price_unit", plain(was.price_unit), plain(is.price_unit));
            field("discount", plain(was.discount), plain(is.discount));
            field("tax_ids", self.taxes(was), self.taxes(is));
        }
        let (was, mut is) = (keys(booked, sold.id), keys(now, sold.id));
        let added = now.lines.iter().filter(|line| line.external_ids.is_empty());
        is.extend(added.map(|line| format!("{} (line {})", line.name, line.id)));
        field("order_line", was.join(", "), is.join(", "));
        told
    }

    /// A line's taxes by their names.
    fn taxes(&self, line: &LineView) -> String {
        let name = |id: i64| {
            let tax = in_the_books(self.both, "account.tax", id).unwrap();
            format!("{} (#{id})", tax["name"].as_str().unwrap())
        };
        let names: Vec<String> = line.taxes.iter().map(|tax| name(tax.id)).collect();
        if names.is_empty() {
            "[]".to_owned()
        } else {
            names.join(", ")
        }
    }
}

fn texts(lines: &[LineView]) -> Vec<String> {
    lines.iter().map(|line| line.name.clone()).collect()
}
