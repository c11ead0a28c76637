//! What the daemon is killed in the middle of: scenes that together pass every fail point, each with what must stand in the
//! ERP at a point and after it.

use lockstep::failpoint::FailPoint;
use lockstep::sandbox::odoo::{OrderView, Rounding};
use lockstep::sandbox::shopify::draft::{
    Buyer, CancelDraft, LineDraft, OrderDraft, OrderEdit, Payment, RefundDraft,
};
use lockstep::sandbox::shopify::facts::{Address, Tax};
use rust_decimal::Decimal;
use serde_json::json;

use crate::support::daemon::Daemon;
use crate::support::world::{Settings, World, address, everyday, everyday_total, until};

/// Something that happens in the shop while the daemon is armed. Each can happen again and again in one world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scene {
    /// A new product, a new customer whom the ERP knows, and their order, all at once: the point strikes whichever comes
    /// first.
    FirstContact,
    /// The order of a guest whom the ERP knows, to a new address, of a product that was synced before: there is the
    /// order's job and no other.
    GuestOrder,
    /// An order that stands as a quotation is paid.
    PaidLater,
    /// An order that was booked and confirmed is cancelled.
    Cancelled,
    /// A line is taken off an order that stands as a quotation.
    Edited,
    /// A line is taken off an order that is confirmed.
    Changed,
    /// A line is taken off an order that is confirmed and invoiced: it is credited first, and what was decided about it must be
    /// remembered, because the draft credit note changes what the ERP calls invoiced.
    Credited,
    /// An order is placed, sent, and a unit of it comes back, all at once; the shop has it invoiced, its payment registered,
    /// its parcel delivered and its refund credited.
    AfterSale,
    /// An order that the ERP rounds differently, so that it needs a rounding line.
    Rounded,
}

/// A scene in one world.
pub(crate) struct Stage<'w> {
    pub(crate) world: &'w World,
    pub(crate) scene: Scene,
    variants: Vec<u64>,
}

impl Scene {
    pub(crate) const ALL: &[Self] = &[
        Self::FirstContact,
        Self::GuestOrder,
        Self::PaidLater,
        Self::Cancelled,
        Self::Edited,
        Self::Changed,
        Self::Credited,
        Self::AfterSale,
        Self::Rounded,
    ];

    /// The points at which this scene is interrupted; it passes each of them.
    pub(crate) const fn points(self) -> &'static [FailPoint] {
        use FailPoint::*;
        match self {
            Self::FirstContact => &[
                IntakeVerified,
                IntakeCommitted,
                JobClaimed,
                SourceFetched,
                Planned,
                ProductOptionsSaved,
                ProductTemplateSaved,
                LinkAdopted,
                ReferenceSaved,
                RecordSaved,
                TotalsChecked,
                OrderConfirmed,
                BeforeFinish,
                AfterFinish,
            ],
            Self::GuestOrder => &[
                IntakeVerified,
                IntakeCommitted,
                JobClaimed,
                SourceFetched,
                Planned,
                LinkAdopted,
                ReferenceSaved,
                RecordSaved,
                TotalsChecked,
                OrderConfirmed,
                BeforeFinish,
                AfterFinish,
            ],
            Self::PaidLater => &[SourceFetched, Planned, OrderConfirmed, BeforeFinish],
            Self::Cancelled => &[SourceFetched, Planned, RecordSaved, BeforeFinish],
            Self::Edited => &[RecordSaved, LinesRemoved, TotalsChecked],
            Self::Changed => &[LinesChanged, TotalsChecked, BeforeFinish],
            Self::Credited => &[CreditNoteSaved, LinesChanged, BeforeFinish],
            Self::AfterSale => &[
                DeliveryPrepared,
                InvoiceMade,
                CreditNoteSaved,
                PaymentSaved,
                BeforeFinish,
            ],
            Self::Rounded => &[RoundingAdded, TotalsChecked, OrderConfirmed],
        }
    }

    pub(crate) fn settings(self) -> Settings {
        Settings {
            rounding: if self == Self::Rounded {
                Rounding::Globally
            } else {
                Rounding::PerLine
            },
            flow: if self == Self::AfterSale {
                r#"invoices = "post"
payments = "register"
refunds = "credit_note"
fulfillments = "validate"
journals = { shopify_payments = "Bank" }"#
            } else if self == Self::Credited {
                r#"invoices = "post"
refunds = "credit_note""#
            } else {
                ""
            },
            ..Settings::default()
        }
    }

    /// Whether the next step after this point has no key, so that it is not taken at once where a daemon was killed.
    pub(crate) fn waits(self, point: FailPoint) -> bool {
        self == Self::AfterSale && point == FailPoint::DeliveryPrepared
    }

    /// Which passing of the point is the one that is meant. A guest's order first brings the adopted partner up to date.
    pub(crate) fn nth(self, point: FailPoint) -> u32 {
        if self == Self::GuestOrder && point == FailPoint::RecordSaved {
            2
        } else {
            1
        }
    }
}

impl<'w> Stage<'w> {
    pub(crate) async fn set(world: &'w World, scene: Scene, daemon: &Daemon) -> Self {
        let variants = if scene == Scene::FirstContact {
            Vec::new()
        } else {
            world.product()
        };
        world.idle(daemon).await;
        Self {
            world,
            scene,
            variants,
        }
    }

    /// What has happened before the daemon is armed. Returns the order's id and name where there is one already.
    pub(crate) async fn before(&self, round: usize, daemon: &Daemon) -> Option<(u64, String)> {
        match self.scene {
            Scene::FirstContact | Scene::GuestOrder => {
                let known = json!([{ "name": "Ada from before", "email": email(round) }]);
                self.world
                    .erp
                    .as_admin("res.partner", "create", known, json!({}))
                    .expect("the ERP takes it");
                None
            }
            Scene::PaidLater | Scene::Cancelled | Scene::Edited | Scene::Changed | Scene::Credited => {
                let mut draft = everyday(self.variants[0]);
                let mut state = "draft";
                match self.scene {
                    Scene::Cancelled => state = "sale",
                    Scene::Changed | Scene::Credited => {
                        draft.lines.push(LineDraft::variant(self.variants[1], 1));
                        state = "sale";
                    }
                    Scene::Edited => {
                        draft.lines.push(LineDraft::variant(self.variants[1], 1));
                        draft.payment = Payment::Pending("bank_transfer".into());
                    }
                    _ => draft.payment = Payment::Pending("bank_transfer".into()),
                }
                let (id, name) = self.world.place(draft);
                self.world.booked(&name, state, daemon).await;
                self.world.idle(daemon).await;
                Some((id, name))
            }
            Scene::Rounded | Scene::AfterSale => None,
        }
    }

    /// What happens. Returns the order's name.
    pub(crate) fn happen(&self, round: usize, placed: Option<(u64, String)>) -> String {
        let world = self.world;
        if let Some((id, name)) = placed {
            world
                .shop
                .change(|shop| match self.scene {
                    Scene::Cancelled => shop.cancel_order(id, &CancelDraft::default()),
                    Scene::Edited | Scene::Changed | Scene::Credited => {
                        let edit = OrderEdit {
                            remove: vec![(1, 1)],
                            ..OrderEdit::default()
                        };
                        shop.edit_order(id, &edit)
                    }
                    _ => shop.pay_order(id),
                })
                .expect("the shop takes it");
            return name;
        }
        match self.scene {
            Scene::FirstContact => {
                let variants = world.product_called(&format!("Shirt{round}"));
                let customer = world.customer(&email(round));
                world.order(Buyer::Customer(customer), variants[0]).1
            }
            Scene::GuestOrder => {
                let home = Address {
                    address1: Some(street(round)),
                    ..address()
                };
                let draft = OrderDraft {
                    buyer: Buyer::Guest {
                        email: Some(email(round)),
                        phone: None,
                    },
                    shipping_address: Some(home.clone()),
                    billing_address: Some(home),
                    ..everyday(self.variants[0])
                };
                world.place(draft).1
            }
            Scene::AfterSale => {
                let (id, name) = world.place(everyday(self.variants[0]));
                world
                    .shop
                    .change(|shop| {
                        shop.fulfill_order(id, None)?;
                        shop.refund_order(id, &RefundDraft::returned(0, 1))
                    })
                    .expect("the shop takes it");
                name
            }
            _ => world.place(self.rounded()).1,
        }
    }

    /// Three lines of 0.13 with 19 % on top: the shop rounds 0.0247 to 0.02 on each line, which makes 0.45; the ERP rounds
    /// their sum, 0.0741, to 0.07, which makes 0.46.
    fn rounded(&self) -> OrderDraft {
        let line = |variant: usize| LineDraft {
            price: Some(Decimal::new(13, 2)),
            ..LineDraft::variant(self.variants[variant], 1)
        };
        OrderDraft {
            lines: vec![line(0), line(1), line(0)],
            shipping: Vec::new(),
            taxes: vec![Tax::new("MwSt", Decimal::new(19, 2))],
            taxes_included: false,
            ..everyday(self.variants[0])
        }
    }

    /// What stands in the ERP when the daemon has got no further than this point.
    pub(crate) fn check_at(&self, name: &str, point: FailPoint) {
        use FailPoint::*;
        let orders = self.world.erp.ledger().orders_by_reference(name);
        let state = orders.first().map(|order| order.state.as_str());
        let lines = orders.first().map_or(0, |order| order.lines.len());
        let what = format!("{:?} at {point}: {orders:?}", self.scene);
        let reached = |later: FailPoint| {
            FailPoint::ALL.iter().position(|each| *each == point)
                >= FailPoint::ALL.iter().position(|each| *each == later)
        };
        match self.scene {
            // Any of several jobs was struck.
            Scene::FirstContact => {}
            // Other deliveries of the same order may have been taken by now.
            _ if matches!(point, IntakeVerified | IntakeCommitted) => {}
            Scene::GuestOrder => {
                let expected = if reached(OrderConfirmed) {
                    Some("sale")
                } else if reached(RecordSaved) {
                    Some("draft")
                } else {
                    None
                };
                assert_eq!(state, expected, "{what}");
            }
            Scene::PaidLater => {
                let expected = if reached(OrderConfirmed) { "sale" } else { "draft" };
                assert_eq!(state, Some(expected), "{what}");
            }
            Scene::Cancelled => {
                let expected = if reached(RecordSaved) { "cancel" } else { "sale" };
                assert_eq!(state, Some(expected), "{what}");
            }
            // Two lines and shipping, one of which goes.
            // Nothing is deleted from an order that is confirmed.
            Scene::Changed | Scene::Credited => assert_eq!((state, lines), (Some("sale"), 3), "{what}"),
            Scene::AfterSale => assert_eq!((state, lines), (Some("sale"), 2), "{what}"),
            Scene::Edited => assert_eq!(lines, if reached(LinesRemoved) { 2 } else { 3 }, "{what}"),
            // Three lines and the rounding.
            Scene::Rounded => assert_eq!(lines, 4, "{what}"),
        }
    }

    /// Waits until what happened stands in the ERP.
    pub(crate) async fn done(&self, name: &str, daemon: &Daemon) {
        let state = match self.scene {
            Scene::Cancelled => "cancel",
            Scene::Edited => "draft",
            _ => "sale",
        };
        self.world.booked(name, state, daemon).await;
        if matches!(self.scene, Scene::Changed | Scene::Credited) {
            until(
                "the line is empty",
                || {
                    let orders = self.world.erp.ledger().orders_by_reference(name);
                    orders[0]
                        .lines
                        .iter()
                        .any(|line| line.quantity.is_zero())
                        .then_some(())
                },
                || daemon.log(),
            )
            .await;
        }
        if self.scene == Scene::AfterSale {
            until(
                "the credit note and the payment are there",
                || (self.followed(name) == [1, 1, 1, 1]).then_some(()),
                || format!("{:?}\n{}", self.followed(name), daemon.log()),
            )
            .await;
        }
        if self.scene == Scene::Edited {
            // The state is the same as before: the change is done when the line is gone.
            until(
                "the line is gone",
                || {
                    let orders = self.world.erp.ledger().orders_by_reference(name);
                    (orders[0].lines.len() == 2).then_some(())
                },
                || daemon.log(),
            )
            .await;
        }
    }

    /// How many posted invoices, draft credit notes, posted payments and finished deliveries there are for an order.
    fn followed(&self, name: &str) -> [usize; 4] {
        let ledger = self.world.erp.ledger();
        let Some(order) = ledger.orders_by_reference(name).into_iter().next() else {
            return [0; 4];
        };
        let documents = ledger.invoices();
        let of = |kind: &str, state: &str| {
            documents
                .iter()
                .filter(|known| {
                    (known.kind.as_str(), known.state.as_str()) == (kind, state)
                        && known.origin.as_ref() == Some(&order.name)
                })
                .count()
        };
        let payments = ledger.payments();
        let paid = payments.iter().filter(|payment| {
            payment.state != "draft"
                && payment
                    .memo
                    .as_ref()
                    .is_some_and(|memo| memo.starts_with(&format!("{name} ")))
        });
        let sent = order
            .pickings
            .iter()
            .filter(|picking| picking.kind == "outgoing" && picking.state == "done");
        [
            of("out_invoice", "posted"),
            of("out_refund", "draft"),
            paid.count(),
            sent.count(),
        ]
    }

    /// What must hold when all is quiet again: everything is there, and once.
    pub(crate) fn check_after(&self, name: &str, round: usize, why: &str) {
        let ledger = self.world.erp.ledger();
        let orders = ledger.orders_by_reference(name);
        assert_eq!(orders.len(), 1, "{why}: {orders:?}");
        assert_eq!(ledger.orders().len(), round + 1, "{why}: orders in all");
        let order = &orders[0];
        self.check_order(order, name, why);
        if matches!(self.scene, Scene::FirstContact | Scene::GuestOrder) {
            let partners = ledger.partners();
            let known = partners
                .iter()
                .filter(|partner| partner.email_normalized.as_deref() == Some(&email(round)));
            assert_eq!(known.count(), 1, "{why}: partners");
        }
        if self.scene == Scene::GuestOrder {
            let partners = ledger.partners();
            let homes = partners
                .iter()
                .filter(|partner| partner.parent_id.is_some() && partner.street == Some(street(round)));
            assert_eq!(homes.count(), 1, "{why}: addresses");
        }
        if self.scene == Scene::FirstContact {
            for size in ["S", "M"] {
                let sku = format!("SHIRT{round}-{size}");
                let products = ledger.products();
                let made = products
                    .iter()
                    .filter(|product| product.sku.as_ref() == Some(&sku));
                assert_eq!(made.count(), 1, "{why}: {sku}");
            }
        }
        if self.scene == Scene::Credited {
            assert_eq!(self.followed(name), [1, 1, 0, 0], "{why}");
            let documents = ledger.invoices();
            assert_eq!(documents.len(), 2 * (round + 1), "{why}: documents in all");
            let of = |kind: &str| -> Decimal {
                let own = documents
                    .iter()
                    .filter(|known| known.origin.as_ref() == Some(&order.name));
                own.filter(|known| known.kind == kind)
                    .map(|known| known.amount_total)
                    .sum()
            };
            let left = of("out_invoice") - of("out_refund");
            assert_eq!(
                left, order.amount_total,
                "{why}: what is invoiced less what is credited"
            );
            if why.contains(&FailPoint::CreditNoteSaved.to_string()) {
                // What was decided before the interruption is taken up and proven, not decided anew.
                let stories = self.world.stories(&["--name", name]);
                let is_told = stories
                    .iter()
                    .any(|story| story.to_string().contains("\"credit_note\""));
                assert!(is_told, "{why}: the credit note is proven: {stories:?}");
            }
        }
        if self.scene == Scene::AfterSale {
            assert_eq!(self.followed(name), [1, 1, 1, 1], "{why}");
            assert_eq!(ledger.payments().len(), round + 1, "{why}: payments in all");
            assert_eq!(
                ledger.invoices().len(),
                2 * (round + 1),
                "{why}: documents in all"
            );
        }
        let problems = self.world.problems();
        assert!(problems.is_empty(), "{why}: {problems:?}");
    }

    fn check_order(&self, order: &OrderView, name: &str, why: &str) {
        let total = match self.scene {
            Scene::Rounded => Decimal::new(45, 2),
            _ => everyday_total(),
        };
        assert_eq!(order.amount_total, total, "{why}");
        let lines = match self.scene {
            Scene::Rounded => 4,
            Scene::Changed | Scene::Credited => 3,
            _ => 2,
        };
        assert_eq!(order.lines.len(), lines, "{why}: {:?}", order.lines);
        let placed = self.world.shop.ledger();
        let placed = placed.order(name).expect("the shop has it").processed_at;
        let dated = order.date_order.map(|at| at.and_utc().timestamp());
        assert_eq!(dated, Some(placed.timestamp()), "{why}: the date of the sale");
    }
}

fn email(round: usize) -> String {
    format!("ada{round}@example.com")
}

fn street(round: usize) -> String {
    format!("Unter den Linden {}", round + 100)
}
