//! Partners that an order has made besides its buyer's, or made anew.

use super::super::flow::Flow;
use super::super::gather::Answers;
use super::super::live;
use super::super::orders;
use super::super::stop::Stop;
use super::customer::partner;
use super::{MADE_FIRST, NEW, Preview, PreviewedField, PreviewedWrite, bare, text};
use crate::domain::{ErpId, FieldValue, LinkKind, LinkState, Need, Needed, Order};

/// Takes back the answers about records that are gone from the ERP (merged or deleted there): the ERP refuses an order that
/// names them, and the attempt then finds or makes them anew. Nothing is written, unlike there.
pub(super) async fn forget_the_gone(flow: &Flow<'_>, answers: &mut Answers) -> Result<(), Stop> {
    let shop = flow.shop;
    let mut gone = Vec::new();
    for kind in [LinkKind::Customer, LinkKind::Address, LinkKind::Variant] {
        let found: Vec<(&Need, &str)> = answers
            .iter()
            .filter_map(|(need, answer)| match (need, answer) {
                (Need::Link { kind: of, source_id }, Needed::Found(_)) if *of == kind => {
                    Some((need, source_id.as_str()))
                }
                _ => None,
            })
            .collect();
        let ids: Vec<String> = found.iter().map(|(_, id)| (*id).to_owned()).collect();
        if ids.is_empty() {
            continue;
        }
        let mut links = shop.store.links(&shop.name, kind, &ids).await?;
        links.retain(|link| link.state != LinkState::Retired);
        let dead = flow.dead_among(&links).await?;
        gone.extend(
            found
                .iter()
                .filter(|(_, id)| dead.iter().any(|link| link.source_id == *id))
                .map(|(need, _)| (*need).clone()),
        );
    }
    for need in gone {
        answers.insert(need, Needed::Missing);
    }
    Ok(())
}

/// The partner of whoever orders for a company, where it is not linked yet: made or found, and put below the company's where it
/// stands below nobody.
pub(super) async fn contact(
    flow: &Flow<'_>,
    order: &Order,
    company: Option<&str>,
    answers: &Answers,
    preview: &mut Preview,
) -> Result<(), Stop> {
    let (Some(company), Some(_), Some(person)) = (company, &order.company, &order.customer) else {
        return Ok(());
    };
    let shop = flow.shop;
    let key = person.id.to_string();
    let links = shop
        .store
        .links(&shop.name, LinkKind::Customer, std::slice::from_ref(&key))
        .await?;
    if live(links).is_some() {
        return Ok(());
    }
    let need = Need::Link {
        kind: LinkKind::Customer,
        source_id: company.to_owned(),
    };
    let Some(Needed::Found(company)) = answers.get(&need) else {
        return Ok(());
    };
    let before = preview.writes.len();
    let party = orders::party(flow, order, &key).await?;
    let found = partner(flow, &party, preview).await?;
    let made = preview.writes.get_mut(before);
    // Somebody who is known already is used as they are.
    let Some(made) = made.filter(|write| matches!(write.action.as_str(), "create" | "adopt")) else {
        return Ok(());
    };
    if found == *company && found != NEW {
        return Ok(());
    }
    let is_alone = if found == NEW {
        made.fields.iter().all(|field| field.field != orders::PARENT)
    } else {
        let rows = shop
            .erp
            .read(&made.model, &[found], &[orders::PARENT.to_owned()])
            .await?;
        rows.first().is_some_and(|row| {
            row.fields
                .get(orders::PARENT)
                .is_none_or(|above| *above == FieldValue::Clear)
        })
    };
    if is_alone {
        let below = below(&made.model, found, *company);
        preview.writes.push(below);
    }
    Ok(())
}

/// That a contact is put below a company.
fn below(model: &str, contact: ErpId, company: ErpId) -> PreviewedWrite {
    let mut write = bare("update", model, contact);
    if contact == NEW {
        MADE_FIRST.clone_into(&mut write.record);
    }
    write.fields.push(PreviewedField {
        field: orders::PARENT.to_owned(),
        now: None,
        then: text(&FieldValue::Record(company)),
        source: "who orders for a company is its contact".to_owned(),
    });
    write
}
