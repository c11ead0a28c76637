//! Customers: the partner in the ERP that stands for a customer of the shop, or for a guest.
//!
//! A partner is found by link, else adopted by the mapping's matching keys when exactly one record fits, else made under
//! an external id. The same code serves a customer's own job and an order that makes its customer first.

mod adopt;

use std::sync::Arc;

use serde_json::json;

use self::adopt::Adopted;
use super::agree::{Agreement, hash};
use super::flow::{Flow, Held, agreed_of, agreed_out_of};
use super::orders::save_group;
use super::resync::written;
use super::stop::Stop;
use super::{both, circles, gone};
use super::{telling, withheld};
use crate::domain::{
    Canonical as _, Customer, Direction, ErpAbout, ErpId, FieldValue, Happening, Link, LinkKind, LinkState,
    Need, Needed, Object, ShopifyId, System,
};
use crate::erp::{Row, Save};
use crate::failpoint::{FailPoint, reach};
use crate::mapping::{Mapped, MappedField, Mapping};
use crate::sync::settings::Deleted;

pub(super) use adopt::{candidate, match_lock, named};

/// Who is to be found or made.
pub(super) struct Party {
    /// The link's source id: Shopify's number, or `guest_…`.
    pub(super) key: String,
    /// What is known of them.
    pub(super) record: Customer,
}

impl Party {
    pub(super) fn customer(record: Customer) -> Self {
        Self {
            key: record.id.to_string(),
            record,
        }
    }
}

/// The partner that stands for a party, and what is to be saved about it when the attempt ends.
pub(super) struct Ensured {
    pub(super) erp_id: ErpId,
    pub(super) model: String,
    pub(super) link: Option<Link>,
    pub(super) summary: &'static str,
}

/// A customer's own job.
pub(super) async fn sync(flow: &Flow<'_>, id: ShopifyId) -> Result<Ensured, Stop> {
    let Some(record) = flow
        .shop
        .source
        .customer(id, flow.select(Object::Customer))
        .await?
    else {
        gone::was_deleted(flow).await?;
        return deleted(flow, id).await;
    };
    reach(FailPoint::SourceFetched).await?;
    let fact = Arc::new(record.fact());
    flow.is_about(telling::of_customer(&record, Some(Arc::clone(&fact))));
    flow.in_scope(&fact)?;
    let party = Party::customer(record);
    let mut ensured = ensure(flow, &party, true).await?;
    flow.stands_for(ErpAbout::new(&ensured.model, ensured.erp_id));
    if let Some(link) = &mut ensured.link {
        belongings(flow, &party, ensured.erp_id).await?;
        // An order that makes its buyer leaves this open: it carries less of them than their own job does.
        link.source_updated_at = Some(party.record.updated_at);
    }
    Ok(ensured)
}

/// Records of their own that the mapping makes of a customer (its further addresses), below the partner.
async fn belongings(flow: &Flow<'_>, party: &Party, partner: ErpId) -> Result<(), Stop> {
    if !party.record.refused.is_empty() {
        // An address without the parts that Shopify withholds would be another one.
        return Ok(());
    }
    let mapping = flow.mapping(Object::Customer, Direction::In)?;
    let (record, settings) = (party.record.fact(), flow.settings_fact(None));
    let mut answers = flow.gather(&mapping, &record, &settings).await?;
    let own = Need::Link {
        kind: LinkKind::Customer,
        source_id: party.key.clone(),
    };
    answers.insert(own, Needed::Found(partner));
    let groups = mapping
        .prepare(&record, &settings, &answers)
        .map_err(|problems| flow.field_problems(&problems))?;
    for group in &groups {
        save_group(flow, group, &mut answers).await?;
    }
    Ok(())
}

/// Finds or makes the partner of `party` and brings it up to date. The caller holds the party's lock.
pub(super) async fn ensure(flow: &Flow<'_>, party: &Party, read_back: bool) -> Result<Ensured, Stop> {
    let shop = flow.shop;
    let mapping = flow.mapping(Object::Customer, Direction::In)?;
    let mut mapped = flow
        .evaluate(&mapping, &party.record.fact(), &flow.settings_fact(None))
        .await?;
    reach(FailPoint::Planned).await?;
    if !party.record.refused.is_empty() {
        keep_what_is_withheld(flow, party, &mut mapped);
        withheld::tell(flow, party.record.id).await?;
    }
    let mut known = shop
        .store
        .links(&shop.name, LinkKind::Customer, std::slice::from_ref(&party.key))
        .await?
        .pop();
    if let Some(link) = known.take_if(|link| link.state != LinkState::Retired) {
        let rows = shop
            .erp
            .read(&mapped.model, &[link.erp_id], &looked_at(&mapped))
            .await?;
        if let Some(row) = rows.into_iter().next() {
            return update(flow, party, &mapped, link, &row, read_back).await;
        }
        // Merged with another partner, or deleted: who stands for them now is to be found out.
        flow.note("link_is_dead", json!({ "model": link.model, "id": link.erp_id }));
        let retired = Link {
            state: LinkState::Retired,
            ..link
        };
        flow.commit_links(vec![retired.clone()]).await?;
        known = Some(retired);
    }
    may_be_matched(flow, party, &mapping, &mapped)?;
    // Whoever would match by the same values (a guest's order and the customer that they just became) comes after us.
    for key in &mapped.match_keys {
        flow.lock(System::Erp, &mapped.model, &match_lock(&key.equal))
            .await?;
    }
    let mut found = Adopted::Nobody;
    if known.is_some() {
        found = adopt::identify(flow, party, &mapped).await?;
    }
    if matches!(found, Adopted::Nobody) {
        found = adopt::adopt(flow, party, &mapped).await?;
    }
    match found {
        Adopted::Fresh(link, row) => update(flow, party, &mapped, link, &row, read_back).await,
        Adopted::Shared(erp_id) => Ok(Ensured {
            erp_id,
            model: mapped.model,
            link: None,
            summary: "found the partner of a customer",
        }),
        Adopted::Nobody => make(flow, party, &mapped, read_back).await,
    }
}

/// Shopify answers without the personal fields that the app has no approval for. That is not the same as empty: nothing
/// is emptied by it.
pub(super) fn keep_what_is_withheld(flow: &Flow<'_>, party: &Party, mapped: &mut Mapped) {
    let refused = &party.record.refused;
    if refused.is_empty() {
        return;
    }
    let nothing = hash(&FieldValue::Clear);
    mapped.fields.retain(|field| hash(&field.value) != nothing);
    flow.note("withheld_by_shopify", json!({ "fields": refused }));
}

/// Somebody whom only a withheld field could tell from the ERP's partners must not become a second partner.
fn may_be_matched(flow: &Flow<'_>, party: &Party, mapping: &Mapping, mapped: &Mapped) -> Result<(), Stop> {
    let refused = &party.record.refused;
    if refused.is_empty() || !mapped.match_keys.is_empty() || !mapping.matches_existing() {
        return Ok(());
    }
    let mut problem = flow.subject.problem(
        "shopify_scope_missing",
        "customer",
        format!(
            "Shopify keeps personal fields from the app ({}), so it cannot be told whether the ERP has this customer already.",
            refused.join(", ")
        ),
        "Give the app access to these fields (Shopify: API access requests, protected customer data), then retry. Without that access, remove [[match]] from customer.in.toml: customers then get partners of their own.",
    );
    problem.field = refused.first().cloned();
    problem.detail = json!({ "refused": refused });
    Err(problem.into())
}

async fn update(
    flow: &Flow<'_>,
    party: &Party,
    mapped: &Mapped,
    mut link: Link,
    held: &Row,
    read_back: bool,
) -> Result<Ensured, Stop> {
    let shop = flow.shop;
    let before = agreed_of(&link);
    flow.source_stands(link.source_updated_at, party.record.updated_at);
    let writes = planned(flow, party, mapped, &before, held)?;
    let mut after = held.clone();
    if !writes.is_empty() {
        circles::remember(flow, &mut link, "ERP", &writes)?;
        let sent = sent_out(flow, party, link.erp_id).await?;
        flow.lock(System::Erp, &mapped.model, &link.erp_id.to_string())
            .await?;
        if link.state == LinkState::Linked {
            let own = party.external_name(mapped);
            flow.check_identity(mapped, &own, &[(&before, held)]).await?;
        }
        flow.may_write()?;
        // Before the call: what is written stays on record even where its answer never comes.
        flow.note_written(
            "writes",
            json!({ "model": mapped.model, "id": link.erp_id }),
            written(flow, Object::Customer, &party.key, &writes, Some(&held.fields)),
        );
        flow.write(shop.erp.update(&mapped.model, link.erp_id, &writes))
            .await?;
        reach(FailPoint::RecordSaved).await?;
        flow.note(
            "updated",
            json!({ "model": mapped.model, "id": link.erp_id, "fields": names(&writes) }),
        );
        if flow.is_of(Object::Customer) {
            flow.has_written(&writes, Some(&held.fields));
        }
        // What was written is not known any more until it is read again.
        after
            .fields
            .retain(|field, _| writes.iter().all(|(written, _)| written != field));
        if read_back && let Some(row) = read(flow, mapped, link.erp_id).await? {
            after = row;
        }
        if let Some(sent) = sent {
            let meddled = both::is_meddled_with(&held.fields, &after.fields, &mapped.fields, &writes);
            let ours = both::OwnWrites::new(&*shop.erp, &writes);
            let is_ours = |field: &MappedField| ours.can_change(field);
            settle_out(flow, party, &mut link, Some(&sent), meddled, is_ours).await?;
        }
    }
    let agreed = both::agreement(
        Direction::In,
        &mapped.fields,
        &writes,
        Some(&after.fields),
        &before,
        flow.is_sent_out(Object::Customer) && !party.is_guest(),
    );
    if both::is_settled_by_a_look(&before, &agreed, &writes)
        && let Some(out) = sent_out(flow, party, link.erp_id).await?
    {
        let (known, held) = (agreed_out_of(&link), super::out::held::customer(&party.record));
        let known = both::follow_a_look(Direction::Out, &known, &out.fields, &held);
        link.agreed_out = serde_json::to_value(known).unwrap_or_default();
        let now = read(flow, mapped, link.erp_id).await?.map(|row| row.fields);
        let is_other = |now: Held| {
            let mut now = now.iter();
            now.any(|(name, now)| after.fields.get(name).is_some_and(|was| was != now))
        };
        if now.is_none_or(is_other) {
            // Somebody edited it between the looks of the two directions: each may have seen another value.
            return Err(flow.look_again());
        }
    }
    link.state = LinkState::Linked;
    link.agreed = serde_json::to_value(agreed).unwrap_or_default();
    let summary = if writes.is_empty() {
        "partner is up to date"
    } else {
        "updated the partner"
    };
    Ok(Ensured {
        erp_id: link.erp_id,
        model: link.model.clone(),
        link: Some(link),
        summary,
    })
}

/// What is to be written over what the ERP holds. Whoever types a known e-mail address at a checkout proves nothing: a
/// guest only adds to what is known.
pub(super) fn planned(
    flow: &Flow<'_>,
    party: &Party,
    mapped: &Mapped,
    before: &Agreement,
    held: &Row,
) -> Result<Vec<(String, FieldValue)>, Stop> {
    if party.is_guest() {
        Ok(additions(mapped, held))
    } else {
        flow.changes(&mapped.fields, before, held)
    }
}

/// The fields that the ERP has nothing in.
fn additions(mapped: &Mapped, held: &Row) -> Vec<(String, FieldValue)> {
    let nothing = hash(&FieldValue::Clear);
    mapped
        .fields
        .iter()
        .filter(|field| !field.create_only && hash(&field.value) != nothing)
        .filter(|field| {
            held.fields
                .get(&*field.target)
                .is_some_and(|now| hash(now) == nothing)
        })
        .map(|field| (field.target.to_string(), field.value.clone()))
        .collect()
}

async fn read(flow: &Flow<'_>, mapped: &Mapped, id: ErpId) -> Result<Option<Row>, Stop> {
    let rows = flow.shop.erp.read(&mapped.model, &[id], &targets(mapped)).await?;
    Ok(rows.into_iter().next())
}

async fn make(flow: &Flow<'_>, party: &Party, mapped: &Mapped, read_back: bool) -> Result<Ensured, Stop> {
    let name = party.external_name(mapped);
    let fields: Vec<(String, FieldValue)> = mapped
        .fields
        .iter()
        .map(|field| (field.target.to_string(), field.value.clone()))
        .collect();
    let save = Save {
        model: mapped.model.clone(),
        external_id: flow.external_id(&name)?,
        fields,
        lines: None,
    };
    flow.may_write()?;
    flow.note_written(
        "writes",
        json!({ "model": mapped.model, "external_id": name }),
        written(flow, Object::Customer, &party.key, &save.fields, None),
    );
    let saved = flow
        .write(flow.shop.erp.save(std::slice::from_ref(&save)))
        .await?;
    let Some(erp_id) = saved.first().copied() else {
        return Err(Stop::Stale);
    };
    reach(FailPoint::ReferenceSaved).await?;
    flow.note(
        "created",
        json!({ "model": mapped.model, "id": erp_id, "external_id": name }),
    );
    if flow.is_of(Object::Customer) {
        flow.is_made();
        flow.has_written(&save.fields, None);
    }
    let after = if read_back {
        read(flow, mapped, erp_id).await?
    } else {
        None
    };
    let mut link = party.link(flow, mapped, erp_id, LinkState::Linked);
    let agreed = both::agreement(
        Direction::In,
        &mapped.fields,
        &save.fields,
        after.as_ref().map(|row| &row.fields),
        &Agreement::new(),
        false,
    );
    link.agreed = serde_json::to_value(agreed).unwrap_or_default();
    settle_out(flow, party, &mut link, None, false, |_| true).await?;
    Ok(Ensured {
        erp_id,
        model: link.model.clone(),
        link: Some(link),
        summary: "created the partner",
    })
}

/// What the way out makes of the partner, where it is sent to the shop's record of this party.
async fn sent_out(flow: &Flow<'_>, party: &Party, id: ErpId) -> Result<Option<Mapped>, Stop> {
    if party.is_guest() || !party.record.refused.is_empty() {
        return Ok(None);
    }
    both::partner_out(flow, id).await
}

/// Settles what the way out agrees on after our write, so that the ERP's notice of it finds nothing changed. `before` is what
/// it made of the partner before; none where this attempt made the partner. `meddled` says that somebody else changed the
/// partner meanwhile, and `is_ours` which fields our write can have changed.
async fn settle_out(
    flow: &Flow<'_>,
    party: &Party,
    link: &mut Link,
    before: Option<&Mapped>,
    meddled: bool,
    is_ours: impl Fn(&MappedField) -> bool,
) -> Result<(), Stop> {
    let Some(now) = sent_out(flow, party, link.erp_id).await? else {
        return Ok(());
    };
    let held = super::out::held::customer(&party.record);
    let before = before.map(|before| before.fields.as_slice());
    let agreed = both::follow(&agreed_out_of(link), before, &now.fields, &held, meddled, is_ours);
    link.agreed_out = serde_json::to_value(agreed).unwrap_or_default();
    Ok(())
}

async fn deleted(flow: &Flow<'_>, id: ShopifyId) -> Result<Ensured, Stop> {
    let shop = flow.shop;
    let links = shop
        .store
        .links(&shop.name, LinkKind::Customer, &[id.to_string()])
        .await?;
    let Some(link) = links.into_iter().find(|link| link.state != LinkState::Retired) else {
        return Err(flow.nothing_to_do("deleted_before_import"));
    };
    match shop.settings.deleted_customers {
        Deleted::Ignore => {}
        Deleted::Archive => {
            flow.write(shop.erp.set_active(&link.model, link.erp_id, false))
                .await?;
        }
        Deleted::Problem => {
            return Err(flow
                .subject
                .problem(
                    "customer_deleted",
                    "",
                    format!(
                        "The customer was deleted on Shopify; the partner {} is still there.",
                        link.erp_id
                    ),
                    "Archive the partner in the ERP or keep it, then discard this job.",
                )
                .into());
        }
    }
    flow.is_about(telling::of_link(Object::Customer, &link));
    flow.is_gone(Happening::CustomerDeleted);
    let erp_id = link.erp_id;
    let link = Link {
        state: LinkState::Retired,
        ..link
    };
    Ok(Ensured {
        erp_id,
        model: link.model.clone(),
        link: Some(link),
        summary: "the customer was deleted on Shopify",
    })
}

/// How the keys of guests begin.
pub(super) const GUEST: &str = "guest_";

/// How the keys of companies begin.
pub(super) const COMPANY: &str = "company_";

/// Whether the party of this key has no record of its own on Shopify's side that we follow: what the order says is all that
/// is known, so nothing that stands in the ERP is written over with it.
pub(super) fn is_of_an_order(key: &str) -> bool {
    key.starts_with(GUEST) || key.starts_with(COMPANY)
}

/// Whether the party of this key is the guest of one order, whose partner nobody else has: the shop keeps one for each order, or
/// nothing is known that they could be found by.
pub(super) fn is_for_one_order(key: &str) -> bool {
    key.strip_prefix(GUEST)
        .is_some_and(|rest| rest.starts_with("order_"))
}

impl Party {
    fn is_guest(&self) -> bool {
        is_of_an_order(&self.key)
    }

    /// The name under which their partner is made.
    fn external_name(&self, mapped: &Mapped) -> String {
        if self.is_guest() {
            self.key.clone()
        } else {
            mapped.external_id.clone()
        }
    }

    fn link(&self, flow: &Flow<'_>, mapped: &Mapped, erp_id: ErpId, state: LinkState) -> Link {
        Link {
            shop: flow.shop.name.clone(),
            kind: LinkKind::Customer,
            source_id: self.key.clone(),
            model: mapped.model.clone(),
            erp_id,
            erp_name: None,
            state,
            source_updated_at: None,
            agreed: serde_json::Value::Null,
            agreed_out: serde_json::Value::Null,
            writes: serde_json::Value::Null,
        }
    }
}

fn targets(mapped: &Mapped) -> Vec<String> {
    mapped
        .fields
        .iter()
        .filter(|field| !field.create_only)
        .map(|field| field.target.to_string())
        .collect()
}

/// The fields to compare, and those that tell who it is.
fn looked_at(mapped: &Mapped) -> Vec<String> {
    let mut fields = targets(mapped);
    for (name, _) in mapped.match_keys.iter().flat_map(|key| &key.equal) {
        if !fields.contains(name) {
            fields.push(name.clone());
        }
    }
    fields
}

fn names(fields: &[(String, FieldValue)]) -> Vec<&str> {
    fields.iter().map(|(name, _)| name.as_str()).collect()
}
