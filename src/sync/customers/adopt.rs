//! Finding the partner for somebody who is not linked: by our own external id, or by the mapping's matching keys.
//!
//! A partner is linked before anything is written to it. One that stands for somebody else is not taken away from them,
//! except that a guest who became a customer is the same person.

use serde_json::json;

use super::super::agree::hash;
use super::super::flow::Flow;
use super::super::stop::Stop;
use super::{GUEST, Party, is_for_one_order, names, read, targets};
use crate::domain::{ErpId, FieldValue, Link, LinkKind, LinkState};
use crate::erp::{Find, Row};
use crate::failpoint::{FailPoint, reach};
use crate::mapping::Mapped;

/// How many partners with the same values are looked at first.
const MANY: u32 = 50;

pub(super) enum Adopted {
    /// Exactly one record fits, and it is now linked.
    Fresh(Link, Row),
    /// The partner stands for somebody else already, who has the say about it: a guest's contact is a customer's, or the
    /// ERP merged the partners of two customers.
    Shared(ErpId),
    /// No record fits.
    Nobody,
}

/// The partner that carries our own external id for this party: the one that we made before, or the one that it was
/// merged into in the ERP.
pub(super) async fn identify(flow: &Flow<'_>, party: &Party, mapped: &Mapped) -> Result<Adopted, Stop> {
    let id = flow.external_id(&party.external_name(mapped))?;
    let Some(found) = flow.shop.erp.identify(&id).await? else {
        return Ok(Adopted::Nobody);
    };
    if found.model != mapped.model {
        return Ok(Adopted::Nobody);
    }
    match owner(flow, party, found.id).await? {
        Some(other) if party.is_guest() || !other.source_id.starts_with(GUEST) => {
            return Ok(Adopted::Shared(found.id));
        }
        Some(guest) => retire(flow, guest).await?,
        None => {}
    }
    match read(flow, mapped, found.id).await? {
        Some(row) => take(flow, party, mapped, row, "external id").await,
        None => Ok(Adopted::Nobody),
    }
}

/// Looks for an existing partner by the mapping's matching keys, and links it before anything is written to it.
pub(super) async fn adopt(flow: &Flow<'_>, party: &Party, mapped: &Mapped) -> Result<Adopted, Stop> {
    if is_for_one_order(&party.key) {
        return Ok(Adopted::Nobody);
    }
    for key in &mapped.match_keys {
        let mut rows = found(flow, mapped, &key.equal).await?;
        match rows.len() {
            0 => {}
            1 => {
                let row = rows.swap_remove(0);
                match owner(flow, party, row.id).await? {
                    Some(_) if party.is_guest() => return Ok(Adopted::Shared(row.id)),
                    Some(other) if !other.source_id.starts_with(GUEST) => {
                        return Err(ambiguous(
                            flow,
                            party,
                            key_text(&key.equal),
                            &[row],
                            &other.source_id,
                        ));
                    }
                    // The guest has become a customer: the partner is theirs from now on.
                    Some(guest) => retire(flow, guest).await?,
                    None => {}
                }
                return take(flow, party, mapped, row, &key_text(&key.equal)).await;
            }
            _ => return Err(ambiguous(flow, party, key_text(&key.equal), &rows, "")),
        }
    }
    Ok(Adopted::Nobody)
}

/// The live link by which the partner stands for somebody else.
async fn owner(flow: &Flow<'_>, party: &Party, id: ErpId) -> Result<Option<Link>, Stop> {
    let link = flow
        .shop
        .store
        .link_of_erp(&flow.shop.name, LinkKind::Customer, id)
        .await?;
    Ok(link.filter(|link| link.state != LinkState::Retired && link.source_id != party.key))
}

async fn retire(flow: &Flow<'_>, link: Link) -> Result<(), Stop> {
    let retired = Link {
        state: LinkState::Retired,
        ..link
    };
    flow.commit_links(vec![retired]).await
}

/// Links an existing partner before anything is written to it.
async fn take(flow: &Flow<'_>, party: &Party, mapped: &Mapped, row: Row, by: &str) -> Result<Adopted, Stop> {
    let link = party.link(flow, mapped, row.id, LinkState::Adopted);
    flow.commit_links(vec![link.clone()]).await?;
    reach(FailPoint::LinkAdopted).await?;
    flow.note(
        "adopted",
        json!({ "model": mapped.model, "id": row.id, "by": by }),
    );
    Ok(Adopted::Fresh(link, row))
}

/// The partners with these values, without those that stand for a guest's one order, of whatever shop: they are nobody else's,
/// however many of them have the same e-mail address.
async fn found(flow: &Flow<'_>, mapped: &Mapped, equal: &[(String, FieldValue)]) -> Result<Vec<Row>, Stop> {
    let mut limit = MANY;
    loop {
        let rows = flow.shop.erp.find(&search(mapped, equal, limit)).await?;
        let is_all = u32::try_from(rows.len()).is_ok_and(|count| count < limit);
        let free = of_nobodys_order(flow, mapped, rows).await?;
        // Two are too many already.
        if is_all || free.len() > 1 {
            return Ok(free);
        }
        limit = limit.saturating_mul(10);
    }
}

async fn of_nobodys_order(flow: &Flow<'_>, mapped: &Mapped, rows: Vec<Row>) -> Result<Vec<Row>, Stop> {
    let mut free = Vec::new();
    let mut unknown = Vec::new();
    for row in rows {
        let link = flow
            .shop
            .store
            .link_of_erp(&flow.shop.name, LinkKind::Customer, row.id)
            .await?;
        match link.filter(|link| link.state != LinkState::Retired) {
            Some(link) if is_for_one_order(&link.source_id) => {}
            Some(_) => free.push(row),
            None => {
                unknown.push(row.id);
                free.push(row);
            }
        }
    }
    if unknown.is_empty() {
        return Ok(free);
    }
    // Another shop's links are not ours to read, but the ERP knows what each of us made.
    let named = flow.shop.erp.external_ids(&mapped.model, &unknown).await?;
    let is_taken = |id: ErpId| {
        named
            .iter()
            .any(|(known, name)| *known == id && is_for_one_order(&name.name))
    };
    free.retain(|row| !is_taken(row.id));
    Ok(free)
}

fn search(mapped: &Mapped, equal: &[(String, FieldValue)], limit: u32) -> Find {
    Find {
        model: mapped.model.clone(),
        equal: equal.to_vec(),
        one_of: None,
        fields: targets(mapped),
        limit,
    }
}

/// For a preview: the partner that carries our own external id for this party, as [`identify`] finds it.
pub(in crate::sync) async fn named(
    flow: &Flow<'_>,
    party: &Party,
    mapped: &Mapped,
) -> Result<Option<Row>, Stop> {
    let id = flow.external_id(&party.external_name(mapped))?;
    match flow.shop.erp.identify(&id).await? {
        Some(found) if found.model == mapped.model => read(flow, mapped, found.id).await,
        _ => Ok(None),
    }
}

/// The one existing record that would be adopted, for a preview.
pub(in crate::sync) async fn candidate(
    flow: &Flow<'_>,
    party: &Party,
    mapped: &Mapped,
) -> Result<Option<Row>, Stop> {
    if is_for_one_order(&party.key) {
        return Ok(None);
    }
    for key in &mapped.match_keys {
        let mut rows = found(flow, mapped, &key.equal).await?;
        match rows.len() {
            0 => {}
            1 => return Ok(rows.pop()),
            _ => return Err(ambiguous(flow, party, key_text(&key.equal), &rows, "")),
        }
    }
    Ok(None)
}

/// What is locked while a partner is looked for by these values. Values are personal, and locks are stored: a hash will do.
pub(in crate::sync) fn match_lock(equal: &[(String, FieldValue)]) -> String {
    let values: Vec<String> = equal
        .iter()
        .map(|(name, value)| format!("{name}={}", hash(value)))
        .collect();
    format!("match {}", values.join(" "))
}

fn key_text(equal: &[(String, FieldValue)]) -> String {
    names(equal).join(" and ")
}

fn ambiguous(flow: &Flow<'_>, party: &Party, by: String, rows: &[Row], taken_by: &str) -> Stop {
    let ids: Vec<String> = rows.iter().map(|row| row.id.to_string()).collect();
    let reason = if taken_by.is_empty() {
        format!(
            "Several partners in the ERP have the same {by}: {}.",
            ids.join(", ")
        )
    } else {
        format!(
            "The partner {} with the same {by} belongs to Shopify customer {taken_by} already.",
            ids.join(", ")
        )
    };
    let mut problem = flow.subject.problem(
        "customer_ambiguous",
        &ids.join(","),
        reason,
        "Merge the partners in the ERP, or change the one that is not meant so that exactly one fits, then retry.",
    );
    problem.field = Some(by);
    problem.detail = json!({ "candidates": ids, "customer": party.key });
    problem.into()
}
