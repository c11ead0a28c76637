//! What an order refers to: its buyer's partner, its addresses, its products. They come first.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use super::super::agree::hash;
use super::super::customers::{self, COMPANY, GUEST, Party};
use super::super::flow::{Flow, Held};
use super::super::gather::Answers;
use super::super::live;
use super::super::resync::written_rows;
use super::super::stop::Stop;
use crate::domain::{
    Address, Customer, Direction, ErpId, Fact, FieldValue, Fields, JobKey, JobState, Link, LinkKind,
    LinkState, Need, Needed, Object, Order, OrderCompany, OrderCustomer, Priority, ShopifyId, System,
};
use crate::erp::Save;
use crate::failpoint::{FailPoint, reach};
use crate::mapping::{Mapped, MappedGroup, MappedRow, Mapping};
use crate::store::{JobFilter, JobRow};
use crate::sync::review::WAITING_FOR_APPROVAL;
use crate::sync::settings::Guests;

/// How long an order waits for a product's job at most before it looks again; the job's end wakes it at once.
const PRODUCT_AT_MOST: std::time::Duration = std::time::Duration::from_secs(600);

/// The buyer of an order, as the customer link's id; `None` when all guests are booked on one partner. Where a company buys,
/// it is the company, and whoever ordered for it is its contact.
pub(in crate::sync) fn buyer(guests: Guests, order: &Order) -> Option<String> {
    if let Some(company) = &order.company {
        return Some(format!("{COMPANY}{}", company.id));
    }
    if let Some(customer) = &order.customer {
        return Some(customer.id.to_string());
    }
    let contact = order
        .email
        .as_deref()
        .or(order.phone.as_deref())
        .map(str::trim)
        .filter(|text| !text.is_empty());
    match (guests, contact) {
        (Guests::Partner, _) => None,
        (Guests::PerContact, Some(contact)) => {
            let hash = hex::encode(&Sha256::digest(contact.to_lowercase().as_bytes())[..12]);
            Some(format!("{GUEST}{hash}"))
        }
        (Guests::PerContact, None) | (Guests::PerOrder, _) => Some(format!("{GUEST}order_{}", order.id)),
    }
}

/// Makes sure that everything the order refers to is in the ERP, and evaluates the order's mapping with it. Returns the
/// answers that it was evaluated with, too.
pub(super) async fn ensure(
    flow: &Flow<'_>,
    order: &Order,
    record: &Fact,
    mapping: &Mapping,
) -> Result<(Mapped, Answers), Stop> {
    let buyer = buyer(flow.shop.settings.guests, order);
    let shared = match &buyer {
        Some(buyer) => ensure_buyer(flow, order, buyer).await?.shared,
        None => None,
    };
    if let (Some(company), Some(_), Some(person)) = (&buyer, &order.company, &order.customer) {
        ensure_contact(flow, order, company, &person.id.to_string()).await?;
    }
    let settings = flow.settings_fact(buyer.as_deref());
    let mut answers = flow.gather(mapping, record, &settings).await?;
    if flow.distrustful {
        forget_dead_links(flow, &mut answers).await?;
    }
    if let (Some(buyer), Some(partner)) = (buyer, shared) {
        answers.insert(
            Need::Link {
                kind: LinkKind::Customer,
                source_id: buyer,
            },
            Needed::Found(partner),
        );
    }
    make_products(flow, order, &mut answers).await?;
    let groups = mapping
        .prepare(record, &settings, &answers)
        .map_err(|problems| flow.field_problems(&problems))?;
    for group in &groups {
        save_group(flow, group, &mut answers).await?;
    }
    let mapped = flow.mapped(mapping, record, &settings, &answers).await?;
    Ok((mapped, answers))
}

/// Takes back the answers about records that do not exist any more (merged or deleted in the ERP), so that they are made
/// or found anew.
async fn forget_dead_links(flow: &Flow<'_>, answers: &mut Answers) -> Result<(), Stop> {
    let shop = flow.shop;
    for kind in [LinkKind::Customer, LinkKind::Address, LinkKind::Variant] {
        let ids: Vec<String> = answers
            .iter()
            .filter(|(_, answer)| matches!(answer, Needed::Found(_)))
            .filter_map(|(need, _)| match need {
                Need::Link { kind: of, source_id } if *of == kind => Some(source_id.clone()),
                _ => None,
            })
            .collect();
        if ids.is_empty() {
            continue;
        }
        let mut links = shop.store.links(&shop.name, kind, &ids).await?;
        links.retain(|link| link.state != LinkState::Retired);
        for link in flow.retire_dead(links).await? {
            let need = Need::Link {
                kind,
                source_id: link.source_id,
            };
            answers.insert(need, Needed::Missing);
        }
    }
    Ok(())
}

/// Links the buyer's partner: linked already, or found or made now under the buyer's lock. A guest whose contact belongs to
/// a customer's partner has no link of their own; that partner is returned.
async fn ensure_buyer(flow: &Flow<'_>, order: &Order, key: &str) -> Result<Buyer, Stop> {
    let shop = flow.shop;
    let linked = shop
        .store
        .links(&shop.name, LinkKind::Customer, &[key.to_owned()])
        .await?;
    if let Some(link) = live(linked)
        && (!flow.distrustful || flow.retire_dead(vec![link]).await?.is_empty())
    {
        return Ok(Buyer::default());
    }
    flow.lock(System::Shopify, Object::Customer.as_str(), key).await?;
    let party = party(flow, order, key).await?;
    let ensured = customers::ensure(flow, &party, false).await?;
    match ensured.link {
        Some(link) => {
            flow.commit_links(vec![link]).await?;
            Ok(Buyer {
                shared: None,
                fresh: Some(ensured.erp_id),
            })
        }
        None => Ok(Buyer {
            shared: Some(ensured.erp_id),
            fresh: None,
        }),
    }
}

/// A buyer's partner.
#[derive(Default)]
struct Buyer {
    /// The partner of somebody else, which is theirs too.
    shared: Option<ErpId>,
    /// The partner that was linked just now.
    fresh: Option<ErpId>,
}

/// Whoever ordered for a company is a contact of it: their partner is put below the company's when it is linked for the
/// first time and stands below nobody.
async fn ensure_contact(flow: &Flow<'_>, order: &Order, company: &str, person: &str) -> Result<(), Stop> {
    let shop = flow.shop;
    let Some(contact) = ensure_buyer(flow, order, person).await?.fresh else {
        return Ok(());
    };
    let links = shop
        .store
        .links(&shop.name, LinkKind::Customer, &[company.to_owned()])
        .await?;
    let Some(company) = live(links).filter(|link| link.erp_id != contact) else {
        return Ok(());
    };
    let rows = shop
        .erp
        .read(&company.model, &[contact], &[PARENT.to_owned()])
        .await?;
    let alone = rows.first().is_some_and(|row| {
        row.fields
            .get(PARENT)
            .is_none_or(|above| *above == FieldValue::Clear)
    });
    if alone {
        flow.lock(System::Erp, &company.model, &contact.to_string())
            .await?;
        let fields = vec![(PARENT.to_owned(), FieldValue::Record(company.erp_id))];
        flow.write(shop.erp.update(&company.model, contact, &fields))
            .await?;
        flow.note(
            "contact_of_company",
            serde_json::json!({ "contact": contact, "company": company.erp_id }),
        );
    }
    Ok(())
}

/// The partner's field that says whom it belongs to.
pub(in crate::sync) const PARENT: &str = "parent_id";

/// Who buys: the customer as it is now, or what the order says where Shopify has no more to say.
pub(in crate::sync) async fn party(flow: &Flow<'_>, order: &Order, key: &str) -> Result<Party, Stop> {
    if let Some(company) = order.company.as_ref().filter(|_| key.starts_with(COMPANY)) {
        return Ok(Party {
            key: key.to_owned(),
            record: of_company(order, company),
        });
    }
    let record = match &order.customer {
        // A customer that was deleted or merged since is made from what the order says.
        Some(customer) => match flow
            .shop
            .source
            .customer(customer.id, flow.select(Object::Customer))
            .await?
        {
            Some(record) => record,
            None => from_order(order, customer),
        },
        None => guest(order),
    };
    Ok(Party {
        key: key.to_owned(),
        record,
    })
}

/// A customer made of what the order says, where Shopify has no more to say.
fn from_order(order: &Order, customer: &OrderCustomer) -> Customer {
    let mut record = guest(order);
    record.id = customer.id;
    record.display_name.clone_from(&customer.display_name);
    record.email = customer.email.clone().or(record.email);
    record.phone = customer.phone.clone().or(record.phone);
    record
}

/// A company as a customer: all that is known of it is its name. Its addresses stand on the order and are partners below
/// it; the order's e-mail is a person's.
fn of_company(order: &Order, company: &OrderCompany) -> Customer {
    Customer {
        display_name: company.name.clone(),
        company: Some(company.name.clone()),
        first_name: None,
        last_name: None,
        email: None,
        phone: None,
        addresses: Vec::new(),
        default_address: None,
        ..guest(order)
    }
}

/// A guest as a customer: the order's contact and its billing (else shipping) address.
fn guest(order: &Order) -> Customer {
    let address = order
        .billing_address
        .clone()
        .or_else(|| order.shipping_address.clone())
        .unwrap_or_else(Address::nothing);
    let email = order.email.clone().filter(|email| !email.trim().is_empty());
    let phone = order.phone.clone().or_else(|| address.phone.clone());
    let names = [address.first_name.as_deref(), address.last_name.as_deref()];
    let full_name = names.into_iter().flatten().collect::<Vec<_>>().join(" ");
    let display_name = [
        Some(full_name),
        address.name.clone(),
        address.company.clone(),
        email.clone(),
        phone.clone(),
    ]
    .into_iter()
    .flatten()
    .map(|name| name.trim().to_owned())
    .find(|name| !name.is_empty())
    .unwrap_or_else(|| format!("Guest of {}", order.name));
    Customer {
        id: ShopifyId(0),
        first_name: address.first_name.clone(),
        last_name: address.last_name.clone(),
        display_name,
        company: address.company.clone(),
        email,
        phone,
        locale: None,
        note: None,
        tags: Vec::new(),
        tax_exempt: false,
        state: None,
        addresses: vec![address.clone()],
        default_address: (!address.is_empty()).then_some(address),
        refused: Vec::new(),
        created_at: order.created_at,
        updated_at: order.updated_at,
        raw: std::sync::Arc::default(),
    }
}

/// Records of their own that a record refers to (its addresses): made where they are not linked yet, in one call.
pub(in crate::sync) async fn save_group(
    flow: &Flow<'_>,
    group: &MappedGroup,
    answers: &mut Answers,
) -> Result<(), Stop> {
    // Where nothing may be written unasked, the plan showed that what is linked is as it should be.
    let refreshes = !group.once && !flow.must_not_write_unplanned();
    let missing: Vec<_> = group
        .rows
        .iter()
        .filter(|row| row.linked.is_none() || refreshes)
        .collect();
    let mut saves = Vec::with_capacity(missing.len());
    for row in &missing {
        saves.push(Save {
            model: group.model.clone(),
            external_id: flow.external_id(&row.external_id)?,
            fields: row
                .fields
                .iter()
                .filter(|field| row.linked.is_none() || !field.create_only)
                .map(|field| (field.target.to_string(), field.value.clone()))
                .collect(),
            lines: None,
        });
    }
    if saves.is_empty() {
        return Ok(());
    }
    flow.may_write()?;
    let changes = note_rows(flow, group, &missing, &saves).await?;
    let ids: Vec<ErpId> = flow.write_unjudged(flow.shop.erp.save(&saves)).await?;
    if changes {
        flow.did_write();
    }
    reach(FailPoint::ReferenceSaved).await?;
    flow.note(
        "saved",
        serde_json::json!({ "model": group.model, "group": group.name, "ids": ids }),
    );
    let mut links = Vec::new();
    for (row, id) in missing.into_iter().zip(ids) {
        let Some(need @ Need::Link { kind, source_id }) = &row.link else {
            continue;
        };
        answers.insert(need.clone(), Needed::Found(id));
        links.push(Link {
            shop: flow.shop.name.clone(),
            kind: *kind,
            source_id: source_id.clone(),
            model: group.model.clone(),
            erp_id: id,
            erp_name: None,
            state: LinkState::Linked,
            source_updated_at: None,
            agreed: serde_json::Value::Null,
            agreed_out: serde_json::Value::Null,
            writes: serde_json::Value::Null,
        });
    }
    flow.commit_links(links).await
}

/// Notes what is about to be written to these rows: it stays on record even where the answer never comes.
async fn note_rows(
    flow: &Flow<'_>,
    group: &MappedGroup,
    rows: &[&MappedRow],
    saves: &[Save],
) -> Result<bool, Stop> {
    let known: BTreeMap<ErpId, &str> = rows
        .iter()
        .filter_map(|row| Some((row.linked?, row.external_id.as_str())))
        .collect();
    let mut before: BTreeMap<String, Held> = BTreeMap::new();
    if !known.is_empty() {
        let fields = saves.iter().flat_map(|save| &save.fields);
        let names: BTreeSet<String> = fields.map(|(name, _)| name.clone()).collect();
        let (ids, names): (Vec<ErpId>, Vec<String>) =
            (known.keys().copied().collect(), names.into_iter().collect());
        for row in flow.shop.erp.read(&group.model, &ids, &names).await? {
            if let Some(name) = known.get(&row.id) {
                before.insert((*name).to_owned(), row.fields.into_iter().collect());
            }
        }
    }
    let written: Vec<(String, Fields)> = rows
        .iter()
        .zip(saves)
        .map(|(row, save)| (row.external_id.clone(), save.fields.clone()))
        .collect();
    flow.note_written(
        "writes",
        serde_json::json!({ "model": group.model, "group": group.name }),
        written_rows(flow, &group.name, &written, &before),
    );
    let is_as_saved = |(row, save): (&&MappedRow, &Save)| {
        before.get(&row.external_id).is_some_and(|held| {
            let mut fields = save.fields.iter();
            fields.all(|(name, value)| held.get(name).map(hash) == Some(hash(value)))
        })
    };
    Ok(!rows.iter().zip(saves).all(is_as_saved))
}

/// Every variant must be linked. One that is not gets its product's job, and the order waits for it; only when that job
/// ended without a link does the order become a problem, which names the product.
pub(in crate::sync) async fn make_products(
    flow: &Flow<'_>,
    order: &Order,
    answers: &mut Answers,
) -> Result<(), Stop> {
    for line in &order.lines {
        let (Some(variant), Some(product)) = (line.variant_id, line.product_id) else {
            continue;
        };
        let need = Need::Link {
            kind: LinkKind::Variant,
            source_id: variant.to_string(),
        };
        if answers.get(&need) != Some(&Needed::Missing) {
            continue;
        }
        let key = JobKey {
            shop: flow.shop.name.clone(),
            object: Object::Product,
            direction: Direction::In,
            source_id: product.to_string(),
        };
        let filter = JobFilter {
            shop: Some(key.shop.clone()),
            object: Some(key.object),
            source_id: Some(key.source_id.clone()),
            limit: 1,
            ..JobFilter::default()
        };
        let last = flow.shop.store.jobs(filter).await?.into_iter().next();
        // The job may have ended between the gathering and this look: its links are asked for again, after its state.
        let links = flow
            .shop
            .store
            .links(&flow.shop.name, LinkKind::Variant, &[variant.to_string()])
            .await?;
        if let Some(link) = live(links) {
            answers.insert(need, Needed::Found(link.erp_id));
            continue;
        }
        match last {
            // Somebody is about to say yes or no.
            Some(job) if job.state == JobState::Held && waits_for_approval(&job) => {
                return Err(Stop::LeftToApproval {
                    at: flow.shop.clock.now().plus(PRODUCT_AT_MOST),
                    job: job.id,
                });
            }
            Some(job) if job.state == JobState::Problem || job.state == JobState::Held => {
                let why = job
                    .problem
                    .map_or_else(String::new, |problem| format!(" {}", problem.reason));
                return Err(unlinked(
                    flow,
                    &line.title,
                    product,
                    &format!("Its job {} needs a person.{why}", job.id),
                ));
            }
            // Its end wakes us.
            Some(job) if job.state == JobState::Running => {}
            Some(job) if !job.state.is_open() && job.updated_at >= flow.job.wanted_since => {
                let how = job.reason.unwrap_or_else(|| job.state.to_string());
                let why = format!("Its job {} ended ({how}) without linking this variant.", job.id);
                return Err(unlinked(flow, &line.title, product, &why));
            }
            // None, an old one, or one that waits: an order hurries it.
            _ => {
                let cause = format!("order {} needs it", order.name);
                let job = crate::store::NewJob {
                    key: key.clone(),
                    priority: Priority::URGENT,
                    now: flow.shop.clock.now(),
                    cause,
                };
                flow.shop.store.enqueue(job).await?;
            }
        }
        return Err(Stop::Wait {
            on: key.record(),
            at_most: PRODUCT_AT_MOST,
        });
    }
    Ok(())
}

fn waits_for_approval(job: &JobRow) -> bool {
    let problem = job.problem.as_ref();
    problem.is_some_and(|problem| problem.code.0 == WAITING_FOR_APPROVAL)
}

fn unlinked(flow: &Flow<'_>, title: &str, product: ShopifyId, why: &str) -> Stop {
    let mut problem = flow.subject.problem(
        "product_not_linked",
        &product.to_string(),
        format!("The product `{title}` (Shopify {product}) has no counterpart in the ERP. {why}"),
        "Solve the product's own problem first; this order then goes on when it is retried.",
    );
    problem.field = Some("lines.product".into());
    problem.into()
}
