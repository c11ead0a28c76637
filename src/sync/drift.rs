//! What links remember, for whoever looks for drift without reading every record whole: which fields of the ERP's record are
//! not as they were agreed on, and what an order was booked with.

mod sent;

pub use sent::AnewError;

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use sha2::{Digest as _, Sha256};

use super::agree::{content, hash};
use super::flow::{Flow, agreed_of};
use super::orders::agreed::{Marks, OrderFields};
use super::orders::{BY_PERSON, REFERENCE, added_by_hand};
use super::stop::{Stop, Subject};
use super::writes::Writes;
use super::{Engine, PreviewError, ShopContext, preview, products};
use crate::domain::{Canonical as _, Direction, ErpId, Fact, FieldValue, Link, Object, Outcome, ShopName};
use crate::mapping::VARIANTS;

/// A field that is not as it was agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The ERP's field.
    pub field: String,
    /// A hash of the value that it holds.
    pub value: String,
}

/// The fields of the ERP's record that both sides agreed on.
pub fn agreed_fields(link: &Link) -> Vec<String> {
    let agreed = agreed_of(link).into_iter();
    agreed
        .filter(|(_, agreed)| agreed.target.is_some())
        .map(|(field, _)| field)
        .collect()
}

/// Which of them hold something else now. What was not read tells nothing.
pub fn moved(link: &Link, now: &BTreeMap<String, FieldValue>) -> Vec<Moved> {
    let agreed = agreed_of(link).into_iter();
    agreed
        .filter_map(|(field, agreed)| {
            let value = hash(now.get(&field)?);
            (agreed.target? != value).then_some(Moved { field, value })
        })
        .collect()
}

/// The ERP's field that says whether a record is archived.
pub const ACTIVE: &str = products::standing::ACTIVE;

/// The mapping's group that a product's variants are in.
pub const VARIANTS_GROUP: &str = VARIANTS;

/// Whether the ERP's variant of this link stood, and was not archived by itself, when both sides last agreed; none where
/// nobody noted that.
pub fn stood(link: &Link) -> Option<bool> {
    products::standing::stood(&agreed_of(link))
}

/// What an order was booked with, and proven to come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Its total in the ERP.
    pub total: Decimal,
    /// Its tax there; orders that were booked before this was remembered have none.
    pub tax: Option<Decimal>,
}

/// What the order of this link was booked with; none where nobody remembers.
pub fn expected(link: &Link) -> Option<Expected> {
    let amount = |name: &str| serde_json::from_value(link.agreed.get(name)?.clone()).ok();
    Some(Expected {
        total: amount("total")?,
        tax: amount("tax"),
    })
}

/// What both sides agreed on about each mapped field of an order and of its lines.
#[derive(Clone, Debug)]
pub struct BookedFields {
    fields: OrderFields,
    by_hand: BTreeMap<String, ErpId>,
}

/// What is not as it was agreed on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderMoved {
    /// Of the order's own fields.
    pub own: Vec<Moved>,
    /// Of its lines' fields. The hash is of the line, too: the same value on another line is another change.
    pub lines: Vec<(ErpId, Moved)>,
    /// The lines that were booked and are not there, by our names of them.
    pub missing_lines: Vec<String>,
}

impl OrderMoved {
    /// Whether anything is.
    pub fn is_anything(&self) -> bool {
        !self.missing_lines.is_empty() || !self.own.is_empty() || !self.lines.is_empty()
    }
}

/// The fields of the order of this link; none where nobody remembers them.
pub fn booked_fields(link: &Link) -> Option<BookedFields> {
    Some(BookedFields {
        fields: OrderFields::kept(link)?,
        by_hand: added_by_hand(link),
    })
}

impl BookedFields {
    /// The order's own fields.
    pub fn own(&self) -> impl Iterator<Item = &str> {
        self.fields.own.keys().map(String::as_str)
    }

    /// The field by which it holds its lines, and their model.
    pub fn lines_at(&self) -> (&str, &str) {
        (&self.fields.field, &self.fields.model)
    }

    /// The lines' fields.
    pub fn of_lines(&self) -> impl Iterator<Item = &str> {
        let lines = self.fields.lines.values();
        lines.flat_map(|line| line.keys().map(String::as_str))
    }

    /// Which of them hold something else now. `lines` are those that carry a name of ours, `all` those of the order by their
    /// numbers; `html` are fields that the ERP may keep in a form of its own. What was not read tells nothing.
    pub fn moved(
        &self,
        own: &BTreeMap<String, FieldValue>,
        lines: &BTreeMap<String, ErpId>,
        all: &BTreeMap<ErpId, BTreeMap<String, FieldValue>>,
        html: &dyn Fn(&str) -> bool,
    ) -> OrderMoved {
        let mut found = OrderMoved {
            own: moved_of(&self.fields.own, own, html),
            ..OrderMoved::default()
        };
        for (name, marks) in &self.fields.lines {
            let id = lines.get(name).or_else(|| self.by_hand.get(name));
            match id.and_then(|id| Some((*id, all.get(id)?))) {
                Some((id, now)) => {
                    let moved = moved_of(marks, now, html).into_iter();
                    let of_line = |moved: Moved| Moved {
                        value: hash(&FieldValue::Text(format!("{id} {}", moved.value))),
                        ..moved
                    };
                    found.lines.extend(moved.map(|moved| (id, of_line(moved))));
                }
                None => found.missing_lines.push(name.clone()),
            }
        }
        found
    }
}

fn moved_of(marks: &Marks, now: &BTreeMap<String, FieldValue>, html: &dyn Fn(&str) -> bool) -> Vec<Moved> {
    let marks = marks.iter();
    marks
        .filter_map(|(field, mark)| {
            let now = now.get(field)?;
            let is_telling = mark.is_read() || !html(field);
            (is_telling && mark.has_moved(now)).then(|| Moved {
                field: field.clone(),
                value: hash(now),
            })
        })
        .collect()
}

/// Whether a person entered the order of this link into the ERP.
pub fn is_entered_by_hand(link: &Link) -> bool {
    link.agreed.get(BY_PERSON).is_some()
}

/// The shop's number that was seen on the ERP's order of this link; none where a person entered it.
pub fn reference_of(link: &Link) -> Option<&str> {
    link.agreed.get(REFERENCE)?.as_str()
}

/// Whether the order of this link was confirmed when it was looked at last, and not cancelled on the shop since.
pub fn was_confirmed(link: &Link) -> bool {
    link.agreed["confirmed"] == true
}

/// How records of the ERP are recognised: by which fields together, best first. A product is by those of its variants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identities(Vec<Vec<String>>);

impl Identities {
    /// All fields that count.
    pub fn fields(&self) -> Vec<String> {
        let mut fields: Vec<String> = self.0.iter().flatten().cloned().collect();
        fields.sort_unstable();
        fields.dedup();
        fields
    }

    /// A hash of each way that this record can be recognised by.
    pub fn tokens(&self, held: &BTreeMap<String, FieldValue>) -> Vec<u64> {
        let nothing = hash(&FieldValue::Clear);
        let ways = self.0.iter().enumerate();
        ways.filter_map(|(rank, fields)| {
            let mut sum = Sha256::new();
            sum.update(rank.to_string());
            for field in fields {
                let value = held.get(field).filter(|value| hash(value) != nothing)?;
                sum.update(format!("\0{field}\0{}", content(value)));
            }
            let mut first = [0; 8];
            first.copy_from_slice(&sum.finalize()[..8]);
            (!fields.is_empty()).then(|| u64::from_be_bytes(first))
        })
        .collect()
    }
}

/// A record of the ERP that is not linked, as the way out judges it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsent {
    /// Its number.
    pub id: ErpId,
    /// Its name.
    pub name: String,
    /// Why the way out leaves it alone; none where it would be made on the shop.
    pub left_alone: Option<String>,
}

impl Engine {
    /// How records of an object are recognised in the ERP.
    pub fn identities(&self, shop: &ShopName, object: Object) -> Identities {
        let Some(context) = self.shop(shop) else {
            return Identities::default();
        };
        let mappings = std::sync::Arc::clone(&context.mappings.borrow());
        let group = (object == Object::Product).then_some(VARIANTS);
        let mapping = mappings.of_shop(shop.as_str(), object, Direction::In);
        let ways = mapping
            .map(|mapping| mapping.key_fields(group))
            .unwrap_or_default();
        let ways = ways.into_iter();
        Identities(
            ways.map(|(_, fields)| fields.into_iter().map(str::to_owned).collect())
                .collect(),
        )
    }

    /// What the way out would make of these records of the ERP, which are not linked. Those that are gone are absent.
    ///
    /// # Errors
    /// When the ERP cannot be asked.
    pub async fn unsent(
        &self,
        shop: &ShopName,
        object: Object,
        ids: &[ErpId],
    ) -> Result<Vec<Unsent>, PreviewError> {
        let Some(context) = self.shop(shop) else {
            return Err(PreviewError::UnknownShop(shop.clone()));
        };
        let mappings = std::sync::Arc::clone(&context.mappings.borrow());
        let subject = Subject {
            record: None,
            owner: context.owner.clone(),
            mapping: None,
        };
        let job = preview::nobodys_job(context, object, Direction::Out, String::new());
        let writes = Writes::default();
        let mut flow = Flow::new(context, &job, mappings, subject, &writes);
        let found = match flow.learn().await {
            Ok(()) => judged(&flow, object, ids).await,
            Err(stop) => Err(stop),
        };
        found.map_err(|stop| told(context, stop))
    }
}

async fn judged(flow: &Flow<'_>, object: Object, ids: &[ErpId]) -> Result<Vec<Unsent>, Stop> {
    let erp = &flow.shop.erp;
    let mapping = flow.mapping(object, Direction::Out)?;
    let rules = mapping.out.clone().unwrap_or_default();
    let mut records: Vec<(ErpId, String, bool, Fact)> = Vec::new();
    match object {
        Object::Customer => {
            for partner in erp.partners(ids, &rules.select).await? {
                let fact = partner.fact();
                records.push((ErpId(partner.id), partner.name, partner.active, fact));
            }
        }
        Object::Product => {
            let products = erp
                .product_records(ids, &rules.select, &rules.variant_select)
                .await?;
            for product in products {
                let fact = product.fact();
                records.push((ErpId(product.id), product.name, product.active, fact));
            }
        }
        Object::Order | Object::Inventory | Object::Shop => {}
    }
    let settings = flow.settings_fact(None);
    let judged = records.into_iter().map(|(id, name, active, fact)| {
        let skipped = mapping.skip(&fact, &settings).ok().flatten();
        let left_alone = match (skipped, flow.judge(&fact)) {
            (Some(skip), _) => Some(skip.reason.clone()),
            (None, Err(Stop::Obsolete(reason))) => Some(reason.to_string()),
            (None, _) => (!active).then(|| "archived".to_owned()),
        };
        Unsent { id, name, left_alone }
    });
    Ok(judged.collect())
}

/// A stop as the error of whoever asked.
pub(super) fn told(shop: &ShopContext, stop: Stop) -> PreviewError {
    let reason = stop.to_string();
    let subject = Subject {
        record: None,
        owner: shop.owner.clone(),
        mapping: None,
    };
    match stop.outcome(&subject) {
        Outcome::Problem(problem) | Outcome::Held(problem) | Outcome::Failed { problem, .. } => {
            PreviewError::Failed {
                reason: problem.reason,
                fix: problem.fix,
            }
        }
        _ => PreviewError::Failed {
            reason,
            fix: "Do it again.".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::{LinkKind, LinkState};

    fn link(agreed: serde_json::Value) -> Link {
        Link {
            shop: "main".parse().unwrap(),
            kind: LinkKind::Customer,
            source_id: "1".into(),
            model: "res.partner".into(),
            erp_id: ErpId(7),
            erp_name: None,
            state: LinkState::Linked,
            source_updated_at: None,
            agreed,
            agreed_out: serde_json::Value::Null,
            writes: serde_json::Value::Null,
        }
    }

    #[test]
    fn only_what_was_read_and_differs_has_moved() {
        let text = |text: &str| FieldValue::Text(text.to_owned());
        let agreed = |value: &str| json!({ "source": "x", "target": hash(&text(value)) });
        let link = link(json!({
            "name": agreed("Ada"), "city": agreed("Bonn"), "zip": agreed("1"), "phone": { "source": "x" },
        }));
        let now = BTreeMap::from([
            ("name".to_owned(), text("Ada")),
            ("city".to_owned(), text("Rome")),
            ("phone".to_owned(), text("7")),
        ]);
        assert_eq!(
            moved(&link, &now),
            [Moved {
                field: "city".to_owned(),
                value: hash(&text("Rome")),
            }]
        );
        assert_eq!(agreed_fields(&link), ["city", "name", "zip"]);
    }

    #[test]
    fn an_order_is_expected_to_cost_what_it_was_booked_with() {
        let booked = expected(&link(
            json!({ "total": "119.00", "tax": "19", "confirmed": false }),
        ))
        .unwrap();
        assert_eq!(booked.total, Decimal::new(119, 0));
        assert_eq!(booked.tax, Some(Decimal::new(19, 0)));
        let before = expected(&link(json!({ "total": "119.00" }))).unwrap();
        assert_eq!(before.tax, None, "booked before it was remembered");
        assert_eq!(expected(&link(json!({ "by_person": {} }))), None);
    }

    #[test]
    fn records_are_recognised_by_whole_keys_only() {
        let ways = Identities(vec![vec!["a".into(), "b".into()], vec!["c".into()]]);
        let held = |fields: &[(&str, &str)]| {
            let fields = fields.iter();
            fields
                .map(|(name, value)| ((*name).to_owned(), FieldValue::Text((*value).to_owned())))
                .collect::<BTreeMap<_, _>>()
        };
        let one = ways.tokens(&held(&[("a", "1"), ("b", "2"), ("c", "3")]));
        assert_eq!(one.len(), 2);
        assert_eq!(ways.tokens(&held(&[("a", "1"), ("b", ""), ("c", "3")])), one[1..]);
        assert_ne!(
            ways.tokens(&held(&[("c", "1")])),
            ways.tokens(&held(&[("c", "2")]))
        );
    }
}
