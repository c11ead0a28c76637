//! What would be done about a customer, and about the partner of an order's buyer.

use super::super::agree::Agreement;
use super::super::customers::{self, Party};
use super::super::flow::{Flow, agreed_of};
use super::super::live;
use super::super::stop::Stop;
use super::{NEW, Preview, PreviewedWrite, compare, created, named, order, read, shown};
use crate::domain::{
    Canonical as _, Direction, ErpId, Link, LinkKind, LinkState, Need, Needed, Object, ShopifyId,
};

/// `false` when Shopify does not have the customer.
pub(super) async fn preview(flow: &Flow<'_>, id: ShopifyId, preview: &mut Preview) -> Result<bool, Stop> {
    let Some(record) = flow
        .shop
        .source
        .customer(id, flow.select(Object::Customer))
        .await?
    else {
        return Ok(false);
    };
    preview.record_name = Some(format!("customer {id}"));
    preview.changed_at = Some(record.updated_at);
    flow.judge(&record.fact())?;
    let party = Party::customer(record);
    let found = partner(flow, &party, preview).await?;
    preview.verdict = match preview.writes.first().map(|write| write.action.as_str()) {
        Some("create") => "a partner would be created".to_owned(),
        Some("adopt") => format!("partner {found} would be adopted"),
        Some(_) => format!("partner {found} would be updated"),
        None => format!("partner {found} is up to date"),
    };
    let own = preview.writes.len();
    belongings(flow, &party, found, preview).await?;
    if own == 0 && !preview.writes.is_empty() {
        preview.verdict = format!("further addresses of partner {found} would be written");
    }
    Ok(true)
}

/// The partner that stands for the party now, with what would be written to it.
pub(super) async fn partner(flow: &Flow<'_>, party: &Party, preview: &mut Preview) -> Result<ErpId, Stop> {
    let shop = flow.shop;
    let mapping = flow.mapping(Object::Customer, Direction::In)?;
    let mut mapped = flow
        .evaluate(&mapping, &party.record.fact(), &flow.settings_fact(None))
        .await?;
    customers::keep_what_is_withheld(flow, party, &mut mapped);
    let links = shop
        .store
        .links(&shop.name, LinkKind::Customer, std::slice::from_ref(&party.key))
        .await?;
    let was_linked = !links.is_empty();
    let mut linked = None;
    if let Some(link) = live(links) {
        // One that was merged or deleted in the ERP stands for nobody any more.
        let held = read(flow, &mapped.model, &[link.erp_id], &mapped.fields).await?;
        linked = held.into_iter().next().map(|held| (link, held));
    }
    let is_guest = customers::is_of_an_order(&party.key);
    let (action, held, agreed) = match linked {
        Some((link, held)) => {
            flow.source_stands(link.source_updated_at, party.record.updated_at);
            ("update", held, agreed_of(&link))
        }
        None => {
            let mut found = None;
            if was_linked {
                found = customers::named(flow, party, &mapped).await?;
            }
            let is_named = found.is_some();
            if !is_named {
                found = customers::candidate(flow, party, &mapped).await?;
            }
            let Some(row) = found else {
                let name = if is_guest { &party.key } else { &mapped.external_id };
                preview.writes.push(created(&mapped.model, name, &mapped.fields));
                return Ok(NEW);
            };
            let owner = owner(flow, party, row.id).await?;
            if owner.is_some_and(|owner| is_guest || (is_named && !is_guests(&owner))) {
                // They are somebody who is known already: that partner is used as it is.
                return Ok(row.id);
            }
            ("adopt", row, Agreement::new())
        }
    };
    let id = held.id;
    if let Some(compared) = &mut preview.compared {
        let own = (id.to_string(), party.key.as_str());
        compared.push(compare::record(
            &mapped.model,
            own,
            &mapped.fields,
            &held.fields,
            &agreed,
        ));
    }
    let writes = customers::planned(flow, party, &mapped, &agreed, &held)?;
    let fields = named(&mapped.fields, &writes);
    if action == "adopt" || !fields.is_empty() {
        preview.writes.push(PreviewedWrite {
            action: action.into(),
            model: mapped.model.clone(),
            record: id.to_string(),
            fields: shown(fields, Some(&held)),
        });
    }
    Ok(id)
}

/// The live link by which a partner stands for somebody else.
async fn owner(flow: &Flow<'_>, party: &Party, id: ErpId) -> Result<Option<Link>, Stop> {
    let shop = flow.shop;
    let link = shop.store.link_of_erp(&shop.name, LinkKind::Customer, id).await?;
    Ok(link.filter(|link| link.state != LinkState::Retired && link.source_id != party.key))
}

/// Whether it is a guest whom the link is about.
fn is_guests(link: &Link) -> bool {
    link.source_id.starts_with(customers::GUEST)
}

/// Records of their own below a customer's partner (further addresses).
async fn belongings(
    flow: &Flow<'_>,
    party: &Party,
    partner: ErpId,
    preview: &mut Preview,
) -> Result<(), Stop> {
    if !party.record.refused.is_empty() {
        return Ok(());
    }
    if partner != NEW
        && owner(flow, party, partner)
            .await?
            .is_some_and(|owner| !is_guests(&owner))
    {
        // It stands for somebody else, whose addresses these are not.
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
        order::own_records(flow, group, &mut answers, preview).await?;
    }
    Ok(())
}
