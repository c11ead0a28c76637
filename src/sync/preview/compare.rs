//! Both sides of a record now, field by field: what the mapping makes of one, and what the other holds.
//!
//! A difference is told with what the flow would do about it. It may do nothing: the ERP's own change of a field stands, and
//! a confirmed order follows only what changed of the sale. Two forms of a value that both sides agreed on (what was written, and
//! what a side made of it) are told as that.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::super::agree::{Agreement, hash};
use super::super::flow::{Flow, Held, agreed_out_of};
use super::super::live;
use super::super::orders;
use super::super::orders::agreed::{OrderFields, agreement, no_rebate};
use super::super::out::held;
use super::super::stop::{Stop, Subject};
use super::super::writes::Writes;
use super::super::{Engine, ShopContext};
use super::{Preview, PreviewError, lines, nobodys_job, read, same, text};
use crate::domain::{
    Canonical as _, Direction, Disposition, ErpId, FieldValue, Link, LinkKind, LinkState, Object, Outcome,
    ShopName, ShopifyId,
};
use crate::erp::SalesOrder;
use crate::mapping::{Mapped, MappedField, MappedGroup, MappedRow};

/// What the ERP calls any of its records.
const NAME: &str = "display_name";

/// A record on both sides, in each direction that is carried out.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// From Shopify to the ERP.
    pub into_erp: Option<Preview>,
    /// From the ERP to Shopify; none where the record is not linked.
    pub out: Option<Preview>,
    /// Whether what is shown for `into_erp` is carried out at all: it is shown all the same where nothing is.
    pub is_carried: bool,
}

/// One record with what both sides hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ComparedRecord {
    /// The model, or what it is on the shop, of the side that is written to.
    pub model: String,
    /// Its number there.
    pub record: String,
    /// What it stands for, e.g. the key of an order's line.
    pub part: String,
    /// Its fields in the mapping's order, as far as they are kept in step.
    pub fields: Vec<ComparedField>,
}

/// One field on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ComparedField {
    /// The field of the side that is written to.
    pub field: String,
    /// What the mapping makes of the other side now.
    pub wanted: String,
    /// What stands there now.
    pub held: String,
    /// Where it comes from, as the mapping says it.
    pub source: String,
    /// Whether the two differ.
    pub differs: bool,
    /// Whether they differ as they did when both sides last agreed: two forms of one value, or what the declared truth let stand.
    pub is_agreed: bool,
    /// Whether it would be written.
    pub is_written: bool,
}

impl Engine {
    /// Reads both sides of a record and compares them, in each direction that is carried out; where none is, into the ERP.
    /// Writes nothing.
    ///
    /// # Errors
    /// When the record does not exist on Shopify, or a side cannot be asked.
    pub async fn compare(
        &self,
        shop: &ShopName,
        object: Object,
        id: ShopifyId,
    ) -> Result<Comparison, PreviewError> {
        let Some(context) = self.shop(shop) else {
            return Err(PreviewError::UnknownShop(shop.clone()));
        };
        let kind = match object {
            Object::Order => LinkKind::Order,
            Object::Customer => LinkKind::Customer,
            Object::Product => LinkKind::Product,
            Object::Inventory | Object::Shop => return Err(PreviewError::Unsupported(object)),
        };
        let is_carried = !context.not_in.contains(&object);
        let mut out = None;
        if object != Object::Order && context.out.contains(&object) {
            let links = context.store.links(&context.name, kind, &[id.to_string()]).await;
            let links = links.map_err(|error| PreviewError::Failed {
                reason: error.to_string(),
                fix: "See what the store lacks, and look again.".to_owned(),
            })?;
            if let Some(link) = live(links) {
                out = Some(self.compare_out(context, object, id, &link).await?);
            }
        }
        let mut into_erp = None;
        if is_carried || out.is_none() {
            into_erp = Some(self.look(shop, object, id, Some(Vec::new()), None).await?);
        }
        if let Some(compared) = into_erp
            .as_mut()
            .and_then(|preview: &mut Preview| preview.compared.as_mut())
        {
            name_references(context, compared).await;
        }
        Ok(Comparison {
            into_erp,
            out,
            is_carried,
        })
    }

    async fn compare_out(
        &self,
        shop: &ShopContext,
        object: Object,
        id: ShopifyId,
        link: &Link,
    ) -> Result<Preview, PreviewError> {
        let mut preview = self.preview_out(&shop.name, object, link.erp_id).await?;
        let mut compared = out_fields(shop, object, id, link).await?;
        mark(&mut compared, &preview);
        preview.compared = Some(compared);
        Ok(preview)
    }
}

/// The numbers of records in a value's text: `#7`, `[#7, #8]`.
fn numbers(text: &str) -> impl Iterator<Item = ErpId> + '_ {
    text.split('#').skip(1).filter_map(|rest| {
        let digits = rest
            .find(|letter: char| !letter.is_ascii_digit())
            .unwrap_or(rest.len());
        rest[..digits].parse().ok().map(ErpId)
    })
}

/// Says by name what differing fields of the ERP refer to: nobody knows records by their numbers. Where the ERP does not
/// tell names, the numbers stay.
async fn name_references(shop: &ShopContext, compared: &mut [ComparedRecord]) {
    for record in compared {
        let Ok(table) = shop.erp.fields(&record.model).await else {
            continue;
        };
        for field in record.fields.iter_mut().filter(|field| field.differs) {
            let relation = table
                .0
                .get(&field.field)
                .and_then(|info| info.relation.as_deref());
            let Some(model) = relation else { continue };
            let ids: Vec<ErpId> = numbers(&field.wanted).chain(numbers(&field.held)).collect();
            let Ok(rows) = shop.erp.read(model, &ids, &[NAME.to_owned()]).await else {
                continue;
            };
            for text in [&mut field.wanted, &mut field.held] {
                let names: Vec<String> = numbers(text)
                    .map(|id| {
                        let row = rows.iter().find(|row| row.id == id);
                        match row.and_then(|row| row.fields.get(NAME)) {
                            Some(FieldValue::Text(name)) => format!("{name} (#{id})"),
                            _ => format!("#{id}"),
                        }
                    })
                    .collect();
                if !names.is_empty() {
                    *text = names.join(", ");
                }
            }
        }
    }
}

/// Says of each field whether the preview would write it.
pub(super) fn mark(compared: &mut [ComparedRecord], preview: &Preview) {
    for record in compared {
        let writes = preview
            .writes
            .iter()
            .filter(|write| write.model == record.model && write.record == record.record);
        for written in writes.flat_map(|write| &write.fields) {
            let fields = record.fields.iter_mut();
            for field in fields.filter(|field| field.field == written.field && field.differs) {
                field.is_written = true;
            }
        }
    }
}

/// One record, from what the mapping makes of the other side, what stands there, and what was agreed on before.
pub(super) fn record(
    model: &str,
    (record, part): (String, &str),
    fields: &[MappedField],
    held: &Held,
    agreed: &Agreement,
) -> ComparedRecord {
    let compared = fields.iter().filter(|field| !field.create_only).map(|field| {
        let now = held.get(&*field.target).unwrap_or(&FieldValue::Clear);
        let is_agreed = agreed.get(&*field.target).is_some_and(|agreed| {
            agreed.source == hash(&field.value) && agreed.target.as_ref() == Some(&hash(now))
        });
        ComparedField {
            is_agreed,
            field: field.target.to_string(),
            wanted: text(&field.value),
            held: text(now),
            source: field.source.to_string(),
            differs: !same(&field.value, now),
            is_written: false,
        }
    });
    ComparedRecord {
        model: model.to_owned(),
        record,
        part: part.to_owned(),
        fields: compared.collect(),
    }
}

/// An order with its lines, where that was asked for.
pub(super) async fn order(
    flow: &Flow<'_>,
    mapped: &Mapped,
    link: Option<&Link>,
    booked: &SalesOrder,
    preview: &mut Preview,
) -> Result<(), Stop> {
    let Some(compared) = &mut preview.compared else {
        return Ok(());
    };
    let agreed = link.and_then(OrderFields::kept).unwrap_or_default();
    let rows = read(flow, &mapped.model, &[booked.id], &mapped.fields).await?;
    let table = flow.shop.erp.fields(&mapped.model).await?;
    let html = |field: &str| table.0.get(field).is_some_and(|info| info.kind == "html");
    if let Some(row) = rows.first() {
        let own = (booked.id.to_string(), booked.name.as_str());
        compared.push(record(
            &mapped.model,
            own,
            &mapped.fields,
            &row.fields,
            &agreement(&agreed.own, &row.fields, &html),
        ));
    }
    let own = compared.len().checked_sub(1).filter(|_| !rows.is_empty());
    let known: BTreeMap<String, ErpId> = orders::our_lines(flow, mapped, booked)
        .await?
        .into_iter()
        .collect();
    for group in lines(mapped) {
        let ids: Vec<ErpId> = known.values().copied().collect();
        let mut all: Vec<MappedField> = group.rows.iter().flat_map(|row| row.fields.clone()).collect();
        let table = flow.shop.erp.fields(&group.model).await?;
        let html = |field: &str| table.0.get(field).is_some_and(|info| info.kind == "html");
        let rebate = no_rebate(&all).filter(|rebate| table.0.contains_key(&*rebate.target));
        all.extend(rebate.clone());
        let held = read(flow, &group.model, &ids, &all).await?;
        if let Some(own) = own.and_then(|place| compared.get_mut(place)) {
            own.fields.extend(other_lines(group, &known, &agreed, booked));
        }
        for row in &group.rows {
            let found = known
                .get(&row.external_id)
                .and_then(|id| held.iter().find(|held| held.id == *id));
            if let Some(found) = found {
                let own = (found.id.to_string(), row.key.as_str());
                let marks = agreed
                    .lines
                    .get(&row.external_id)
                    .map(|marks| agreement(marks, &found.fields, &html))
                    .unwrap_or_default();
                let mut line = record(&group.model, own, &row.fields, &found.fields, &marks);
                if let Some(rebate) = &rebate {
                    let rebate = [rebate.clone()];
                    let own = (String::new(), "");
                    let rebate = record(&group.model, own, &rebate, &found.fields, &marks);
                    line.fields
                        .extend(rebate.fields.into_iter().filter(|field| field.differs));
                }
                compared.push(line);
            }
        }
    }
    Ok(())
}

/// What differs of records that were made once for the order and are never written again, as its addresses.
pub(super) async fn made_once(
    flow: &Flow<'_>,
    groups: &[MappedGroup],
    preview: &mut Preview,
) -> Result<(), Stop> {
    let Some(compared) = &mut preview.compared else {
        return Ok(());
    };
    for group in groups.iter().filter(|group| group.once) {
        for row in &group.rows {
            let Some(id) = row.linked else { continue };
            let held = read(flow, &group.model, &[id], &row.fields).await?;
            let Some(held) = held.first() else { continue };
            let (own, nothing) = ((id.to_string(), row.key.as_str()), Agreement::new());
            let mut made = record(&group.model, own, &row.fields, &held.fields, &nothing);
            made.fields.retain(|field| field.differs);
            if !made.fields.is_empty() {
                compared.push(made);
            }
        }
    }
    Ok(())
}

/// The order's lines as a field, where one that was booked is not there, or one that people added costs something.
fn other_lines(
    group: &MappedGroup,
    known: &BTreeMap<String, ErpId>,
    agreed: &OrderFields,
    booked: &SalesOrder,
) -> Option<ComparedField> {
    let rows = group.rows.iter();
    let meant: Vec<_> = rows
        .filter(|row| agreed.lines.contains_key(&row.external_id))
        .collect();
    let stands = |row: &&&MappedRow| {
        let id = known.get(&row.external_id);
        id.is_some_and(|id| booked.lines.iter().any(|line| line.id == *id))
    };
    let there: Vec<_> = meant.iter().filter(stands).collect();
    let is_ours = |id: ErpId| known.values().any(|known| *known == id);
    let lines = booked.lines.iter();
    let added: Vec<_> = lines
        .filter(|line| !is_ours(line.id) && !line.total.is_zero())
        .collect();
    if there.len() == meant.len() && added.is_empty() {
        return None;
    }
    let mut held: Vec<String> = there.iter().map(|row| row.key.clone()).collect();
    held.extend(
        added
            .iter()
            .map(|line| format!("{} (line {})", line.name, line.id)),
    );
    let wanted: Vec<String> = meant.iter().map(|row| row.key.clone()).collect();
    Some(ComparedField {
        field: group.field.clone().unwrap_or_default(),
        wanted: wanted.join(", "),
        held: held.join(", "),
        source: "the lines that were booked".to_owned(),
        differs: true,
        is_agreed: false,
        is_written: false,
    })
}

/// The fields of the way back: what the mapping makes of the ERP's record, and what the shop holds. Where the mapping
/// cannot say it there are none, and the preview tells why.
async fn out_fields(
    shop: &ShopContext,
    object: Object,
    id: ShopifyId,
    link: &Link,
) -> Result<Vec<ComparedRecord>, PreviewError> {
    let mappings = std::sync::Arc::clone(&shop.mappings.borrow());
    let subject = Subject {
        record: None,
        owner: shop.owner.clone(),
        mapping: None,
    };
    let job = nobodys_job(shop, object, Direction::Out, link.erp_id.to_string());
    let writes = Writes::default();
    let mut flow = Flow::new(shop, &job, mappings, subject, &writes);
    let found = match flow.learn().await {
        Ok(()) if object == Object::Customer => customer_out(&flow, id, link).await,
        Ok(()) => product_out(&flow, id, link).await,
        Err(stop) => Err(stop),
    };
    match found {
        Ok(compared) => Ok(compared),
        Err(stop) => match stop.outcome(&flow.subject) {
            Outcome::Failed {
                disposition: Disposition::Permanent,
                ..
            } => Ok(Vec::new()),
            Outcome::Failed { problem, .. } => Err(PreviewError::Failed {
                reason: problem.reason,
                fix: problem.fix,
            }),
            _ => Ok(Vec::new()),
        },
    }
}

async fn customer_out(flow: &Flow<'_>, id: ShopifyId, link: &Link) -> Result<Vec<ComparedRecord>, Stop> {
    let mapping = flow.mapping(Object::Customer, Direction::Out)?;
    let rules = mapping.out.clone().unwrap_or_default();
    let partner = flow.shop.erp.partner(link.erp_id, &rules.select).await?;
    let customer = flow.shop.source.customer(id, "").await?;
    let (Some(partner), Some(customer)) = (partner, customer) else {
        return Ok(Vec::new());
    };
    let mapped = flow
        .evaluate(&mapping, &partner.fact(), &flow.settings_fact(None))
        .await?;
    let own = (id.to_string(), "");
    Ok(vec![record(
        "customer",
        own,
        &mapped.fields,
        &held::customer(&customer),
        &agreed_out_of(link),
    )])
}

async fn product_out(flow: &Flow<'_>, id: ShopifyId, link: &Link) -> Result<Vec<ComparedRecord>, Stop> {
    let shop = flow.shop;
    let mapping = flow.mapping(Object::Product, Direction::Out)?;
    let rules = mapping.out.clone().unwrap_or_default();
    let template = shop
        .erp
        .product_record(link.erp_id, &rules.select, &rules.variant_select)
        .await?;
    let product = shop.source.product(id, "").await?;
    let (Some(template), Some(product)) = (template, product) else {
        return Ok(Vec::new());
    };
    let mapped = flow
        .evaluate(&mapping, &template.fact(), &flow.settings_fact(None))
        .await?;
    let own = (id.to_string(), "");
    let mut compared = vec![record(
        "product",
        own,
        &mapped.fields,
        &held::product(&product),
        &agreed_out_of(link),
    )];
    for row in mapped.groups.iter().flat_map(|group| &group.rows) {
        let Ok(variant) = row.key.parse() else { continue };
        let link = shop
            .store
            .link_of_erp(&shop.name, LinkKind::Variant, ErpId(variant))
            .await?;
        let Some(link) = link.filter(|link| link.state != LinkState::Retired) else {
            continue;
        };
        let mut variants = product.variants.iter();
        if let Some(found) = variants.find(|variant| variant.id.to_string() == link.source_id) {
            let own = (link.source_id.clone(), found.title.as_str());
            let agreed = agreed_out_of(&link);
            compared.push(record(
                "variant",
                own,
                &row.fields,
                &held::variant(found),
                &agreed,
            ));
        }
    }
    Ok(compared)
}
