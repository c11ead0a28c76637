//! Customers: the partner in the ERP that stands for a customer of the shop, or for a guest.
//!
//! A partner is found by link, else adopted by the mapping's matching keys when exactly one record fits, else made under
//! an external id. The same code serves a customer's own job and an order that makes its customer first.

use serde_json::json;

use super::agree::Agreement;
use super::flow::{Flow, agreed_of, agreement};
use super::stop::Stop;
use crate::domain::{
    Canonical as _, Customer, Direction, ErpId, FieldValue, Link, LinkKind, LinkState, Object, ShopifyId,
    System,
};
use crate::erp::{Find, Row, Save};
use crate::failpoint::{FailPoint, reach};
use crate::mapping::{Mapped, Mapping};
use crate::sync::settings::Deleted;

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
    pub(super) link: Option<Link>,
    pub(super) summary: &'static str,
}

/// A customer's own job.
pub(super) async fn sync(flow: &Flow<'_>, id: ShopifyId) -> Result<Ensured, Stop> {
    let Some(record) = flow.shop.source.customer(id).await? else {
        return deleted(flow, id).await;
    };
    reach(FailPoint::SourceFetched).await?;
    ensure(flow, &Party::customer(record), true).await
}

/// Finds or makes the partner of `party` and brings it up to date. The caller holds the party's lock.
pub(super) async fn ensure(flow: &Flow<'_>, party: &Party, read_back: bool) -> Result<Ensured, Stop> {
    let shop = flow.shop;
    let mapping = flow.mapping(Object::Customer, Direction::In)?;
    let mapped = flow
        .evaluate(&mapping, &party.record.fact(), &flow.settings_fact(None))
        .await?;
    reach(FailPoint::Planned).await?;
    let linked = shop
        .store
        .links(&shop.name, LinkKind::Customer, std::slice::from_ref(&party.key))
        .await?;
    let known = linked.into_iter().find(|link| link.state != LinkState::Retired);
    let (link, held) = match known {
        Some(link) => {
            let targets = targets(&mapped);
            let rows = shop.erp.read(&mapped.model, &[link.erp_id], &targets).await?;
            let Some(row) = rows.into_iter().next() else {
                return Err(gone(flow, &mapping, link.erp_id));
            };
            (link, row)
        }
        None => match adopt(flow, party, &mapped).await? {
            Adopted::Fresh(link, row) => (link, row),
            Adopted::Shared(erp_id) => {
                return Ok(Ensured {
                    erp_id,
                    link: None,
                    summary: "found the partner of a customer",
                });
            }
            Adopted::Nobody => return make(flow, party, &mapped).await,
        },
    };
    update(flow, party, &mapped, link, &held, read_back).await
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
    let writes = flow.changes(&mapped.fields, &before, held)?;
    let mut after = None;
    if !writes.is_empty() {
        flow.lock(System::Erp, &mapped.model, &link.erp_id.to_string())
            .await?;
        flow.write(shop.erp.update(&mapped.model, link.erp_id, &writes))
            .await?;
        reach(FailPoint::RecordSaved).await?;
        flow.note(
            "updated",
            json!({ "model": mapped.model, "id": link.erp_id, "fields": names(&writes) }),
        );
        if read_back {
            after = shop
                .erp
                .read(&mapped.model, &[link.erp_id], &targets(mapped))
                .await?
                .into_iter()
                .next();
        }
    } else if read_back {
        after = Some(held.clone());
    }
    let agreed = settled(mapped, &before, &writes, after.as_ref());
    link.state = LinkState::Linked;
    link.source_updated_at = Some(party.record.updated_at);
    link.agreed = serde_json::to_value(agreed).unwrap_or_default();
    let summary = if writes.is_empty() {
        "partner is up to date"
    } else {
        "updated the partner"
    };
    Ok(Ensured {
        erp_id: link.erp_id,
        link: Some(link),
        summary,
    })
}

/// Fields that the ERP keeps for itself (it changed them, and has the last word) stay unagreed on the ERP's side only.
fn settled(
    mapped: &Mapped,
    before: &Agreement,
    writes: &[(String, FieldValue)],
    after: Option<&Row>,
) -> Agreement {
    let mut agreed = agreement(&mapped.fields, after, before);
    for (field, value) in &mut agreed {
        let written = writes.iter().any(|(name, _)| name == field);
        if !written && let Some(known) = before.get(field) {
            // The ERP's edit is not agreed upon by looking at it.
            value.target.clone_from(&known.target);
        }
    }
    agreed
}

enum Adopted {
    /// Exactly one record fits, and it is now linked.
    Fresh(Link, Row),
    /// A guest's contact belongs to a partner that stands for a customer already.
    Shared(ErpId),
    /// No record fits.
    Nobody,
}

/// Looks for an existing partner by the mapping's matching keys, and links it before anything is written to it.
async fn adopt(flow: &Flow<'_>, party: &Party, mapped: &Mapped) -> Result<Adopted, Stop> {
    let shop = flow.shop;
    for key in &mapped.match_keys {
        let find = Find {
            model: mapped.model.clone(),
            equal: key.equal.clone(),
            fields: targets(mapped),
            limit: 5,
        };
        let rows = shop.erp.find(&find).await?;
        match rows.as_slice() {
            [] => {}
            [row] => {
                if let Some(other) = shop
                    .store
                    .link_of_erp(&shop.name, LinkKind::Customer, row.id)
                    .await?
                    && other.state != LinkState::Retired
                    && other.source_id != party.key
                {
                    if party.is_guest() {
                        return Ok(Adopted::Shared(row.id));
                    }
                    if !other.source_id.starts_with(GUEST) {
                        return Err(ambiguous(flow, key_text(&key.equal), &rows, &other.source_id));
                    }
                    // The guest has become a customer: the partner is theirs from now on.
                    let retired = Link {
                        state: LinkState::Retired,
                        ..other
                    };
                    flow.commit_links(vec![retired]).await?;
                }
                let link = party.link(flow, mapped, row.id, LinkState::Adopted);
                flow.commit_links(vec![link.clone()]).await?;
                reach(FailPoint::LinkAdopted).await?;
                flow.note(
                    "adopted",
                    json!({ "model": mapped.model, "id": row.id, "by": names(&key.equal) }),
                );
                return Ok(Adopted::Fresh(link, row.clone()));
            }
            _ => return Err(ambiguous(flow, key_text(&key.equal), &rows, "")),
        }
    }
    Ok(Adopted::Nobody)
}

/// The one existing record that would be adopted, for a preview.
pub(super) async fn candidate(flow: &Flow<'_>, mapped: &Mapped) -> Result<Option<Row>, Stop> {
    for key in &mapped.match_keys {
        let find = Find {
            model: mapped.model.clone(),
            equal: key.equal.clone(),
            fields: targets(mapped),
            limit: 5,
        };
        let mut rows = flow.shop.erp.find(&find).await?;
        match rows.len() {
            0 => {}
            1 => return Ok(rows.pop()),
            _ => return Err(ambiguous(flow, key_text(&key.equal), &rows, "")),
        }
    }
    Ok(None)
}

async fn make(flow: &Flow<'_>, party: &Party, mapped: &Mapped) -> Result<Ensured, Stop> {
    let name = if party.is_guest() {
        party.key.clone()
    } else {
        mapped.external_id.clone()
    };
    let save = Save {
        model: mapped.model.clone(),
        external_id: flow.external_id(&name)?,
        fields: mapped
            .fields
            .iter()
            .map(|field| (field.target.clone(), field.value.clone()))
            .collect(),
        lines: None,
    };
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
    let mut link = party.link(flow, mapped, erp_id, LinkState::Linked);
    link.agreed =
        serde_json::to_value(agreement(&mapped.fields, None, &Agreement::new())).unwrap_or_default();
    Ok(Ensured {
        erp_id,
        link: Some(link),
        summary: "created the partner",
    })
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
    let erp_id = link.erp_id;
    let link = Link {
        state: LinkState::Retired,
        ..link
    };
    Ok(Ensured {
        erp_id,
        link: Some(link),
        summary: "the customer was deleted on Shopify",
    })
}

/// How the keys of guests begin.
pub(super) const GUEST: &str = "guest_";

impl Party {
    fn is_guest(&self) -> bool {
        self.key.starts_with(GUEST)
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
            source_updated_at: Some(self.record.updated_at),
            agreed: serde_json::Value::Null,
        }
    }
}

fn targets(mapped: &Mapped) -> Vec<String> {
    mapped
        .fields
        .iter()
        .filter(|field| !field.create_only)
        .map(|field| field.target.clone())
        .collect()
}

fn names(fields: &[(String, FieldValue)]) -> Vec<&str> {
    fields.iter().map(|(name, _)| name.as_str()).collect()
}

fn key_text(equal: &[(String, FieldValue)]) -> String {
    names(equal).join(" and ")
}

fn ambiguous(flow: &Flow<'_>, by: String, rows: &[Row], taken_by: &str) -> Stop {
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
    problem.detail = json!({ "candidates": ids });
    problem.into()
}

fn gone(flow: &Flow<'_>, mapping: &Mapping, id: ErpId) -> Stop {
    flow.subject
        .problem(
            "erp_record_missing",
            &mapping.model,
            format!("The partner {id} does not exist any more in the ERP."),
            "Restore the partner in the ERP under the same number, then retry.",
        )
        .into()
}
