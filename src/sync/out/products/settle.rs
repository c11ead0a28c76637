//! What both directions agree on at the end of an attempt at a product.

use std::collections::BTreeMap;

use super::super::super::agree::Agreement;
use super::super::super::both;
use super::super::super::flow::{Flow, Held, agreed_of, agreed_out_of};
use super::super::super::products::standing::{self, ACTIVE};
use super::super::super::stop::Stop;
use super::super::{caught_up, held};
use super::{ARCHIVED, STATUS_ARCHIVED};
use crate::domain::{Direction, ErpId, FieldValue, Fields, Link, LinkKind, LinkState, Product, ShopifyId};
use crate::mapping::{Mapped, MappedField, MappedRow, VARIANTS};

/// A variant of both sides.
pub(super) struct Pair<'m> {
    pub(super) row: &'m MappedRow,
    pub(super) variant: ShopifyId,
    pub(super) link: Link,
}

/// What an attempt did to a product.
pub(super) struct Settled<'a, 'm> {
    /// The product's own fields.
    pub(super) fields: &'a [MappedField],
    pub(super) link: Link,
    pub(super) pairs: Vec<Pair<'m>>,
    /// What was written of the product.
    pub(super) template: Fields,
    /// What was written of each variant.
    pub(super) variants: BTreeMap<ShopifyId, Fields>,
    /// Variants that were made.
    pub(super) made: BTreeMap<ShopifyId, Fields>,
    /// The shop's product before, unless this attempt made it.
    pub(super) before: Option<&'a Product>,
    /// The shop's product now.
    pub(super) after: &'a Product,
    pub(super) wrote: bool,
}

impl Settled<'_, '_> {
    /// The product as this attempt's own writes left it: what somebody else changed on the shop meanwhile is still to be carried
    /// into the ERP.
    fn as_written(&self, before: &Product) -> Product {
        let mut template = held::arrived(&self.template, self.fields, &held::product(self.after));
        if template.contains(&ARCHIVED) {
            template.push("status");
        }
        let mut variants: BTreeMap<ShopifyId, Vec<&str>> = BTreeMap::new();
        for pair in &self.pairs {
            if self.made.contains_key(&pair.variant) {
                variants.insert(pair.variant, Vec::new());
                continue;
            }
            let writes = self.variants.get(&pair.variant);
            let now = self.after.variants.iter().find(|now| now.id == pair.variant);
            if let (Some(writes), Some(now)) = (writes, now) {
                let arrived = held::arrived(writes, &pair.row.fields, &held::variant(now));
                variants.insert(pair.variant, arrived);
            }
        }
        held::product_as_written(before, self.after, &template, &variants)
    }
}

/// What somebody changed in the ERP since the way in agreed with it.
#[derive(Default)]
pub(super) struct Edits {
    pub(super) template: Vec<String>,
    variants: BTreeMap<ErpId, Vec<String>>,
}

impl Edits {
    /// What a variant's fields may be made of: edits of its own, and of its product.
    pub(super) fn of(&self, variant: ErpId) -> Vec<String> {
        let own = self.variants.get(&variant).into_iter().flatten();
        self.template.iter().chain(own).cloned().collect()
    }
}

/// What was changed in the ERP of records that the way out meets first.
pub(super) async fn edits(flow: &Flow<'_>, link: &Link, pairs: &[Pair<'_>]) -> Result<Edits, Stop> {
    let mut edits = Edits::default();
    let is_first = |link: &Link| agreed_out_of(link).is_empty() && !agreed_of(link).is_empty();
    if !is_first(link) && !pairs.iter().any(|pair| is_first(&pair.link)) {
        return Ok(edits);
    }
    let known = agreed_of(link);
    edits.template = both::edited(&known, &read(flow, link, known.keys().cloned().collect()).await?);
    let known: Vec<(&Link, Agreement)> = pairs
        .iter()
        .map(|pair| (&pair.link, agreed_of(&pair.link)))
        .collect();
    let mut names: Vec<String> = known
        .iter()
        .flat_map(|(_, agreed)| agreed.keys().cloned())
        .collect();
    names.sort();
    names.dedup();
    if let Some((first, _)) = known.first() {
        let ids: Vec<ErpId> = known.iter().map(|(link, _)| link.erp_id).collect();
        for row in flow.shop.erp.read(&first.model, &ids, &names).await? {
            if let Some((_, agreed)) = known.iter().find(|(link, _)| link.erp_id == row.id) {
                edits.variants.insert(row.id, both::edited(agreed, &row.fields));
            }
        }
    }
    Ok(edits)
}

/// One ERP record's fields.
async fn read(flow: &Flow<'_>, link: &Link, names: Vec<String>) -> Result<Held, Stop> {
    let rows = flow.shop.erp.read(&link.model, &[link.erp_id], &names).await?;
    Ok(rows.into_iter().next().map(|row| row.fields).unwrap_or_default())
}

/// Settles both directions. Returns the links to be saved.
pub(super) async fn settle(flow: &Flow<'_>, mut done: Settled<'_, '_>) -> Result<Vec<Link>, Stop> {
    if done.wrote || agreed_of(&done.link).is_empty() {
        settle_in(flow, &mut done).await?;
    }
    let mut now = held::product(done.after);
    now.insert(
        ARCHIVED.to_owned(),
        FieldValue::Bool(done.after.status == STATUS_ARCHIVED),
    );
    let known = agreed_out_of(&done.link);
    let agreed = both::agreement(
        Direction::Out,
        done.fields,
        &done.template,
        Some(&now),
        &known,
        true,
    );
    let mut looked = both::is_settled_by_a_look(&known, &agreed, &done.template);
    let mut seen: Vec<(ErpId, &[MappedField])> = Vec::new();
    done.link.agreed_out = serde_json::to_value(agreed).unwrap_or_default();
    done.link.state = LinkState::Linked;
    let mut links = vec![done.link];
    for mut pair in done.pairs {
        let Some(variant) = done
            .after
            .variants
            .iter()
            .find(|variant| variant.id == pair.variant)
        else {
            // Taken away on the shop while we worked.
            continue;
        };
        let nothing = Fields::new();
        let writes = done
            .variants
            .get(&pair.variant)
            .or_else(|| done.made.get(&pair.variant))
            .unwrap_or(&nothing);
        let known = agreed_out_of(&pair.link);
        let now = held::variant(variant);
        let agreed = both::agreement(Direction::Out, &pair.row.fields, writes, Some(&now), &known, true);
        looked |= both::is_settled_by_a_look(&known, &agreed, writes);
        seen.push((pair.link.erp_id, &pair.row.fields));
        pair.link.agreed_out = serde_json::to_value(agreed).unwrap_or_default();
        pair.link.state = LinkState::Linked;
        links.push(pair.link);
    }
    if looked {
        settle_in_by_a_look(flow, &mut links, done.after).await?;
        let now = both::product_out(flow, links[0].erp_id).await?;
        let is_another = now.is_none_or(|now| {
            let mut rows = rows_of(&now).iter();
            both::is_another(done.fields, &now.fields)
                || rows.any(|row| {
                    let mut seen = seen.iter().filter(|(id, _)| id.to_string() == row.key);
                    seen.any(|(_, fields)| both::is_another(fields, &row.fields))
                })
        });
        if is_another {
            // Somebody edited it between the looks of the two directions: each may have seen another value.
            return Err(flow.look_again());
        }
    }
    Ok(links)
}

/// Tells the way in what an attempt settled by a look at the shop's product as it is `shown`.
async fn settle_in_by_a_look(flow: &Flow<'_>, links: &mut [Link], shown: &Product) -> Result<(), Stop> {
    let Some(made) = both::product_in(flow, shown).await? else {
        return Ok(());
    };
    let model = links.iter().find(|link| link.kind == LinkKind::Variant);
    let model = model.map(|link| link.model.clone());
    let mut names: Vec<String> = rows_of(&made)
        .iter()
        .flat_map(|row| targets(&row.fields))
        .collect();
    names.sort();
    names.dedup();
    let of_variants = |link: &&Link| link.kind == LinkKind::Variant;
    let ids: Vec<ErpId> = links.iter().filter(of_variants).map(|link| link.erp_id).collect();
    let variants = match model {
        Some(model) => flow.shop.erp.read(&model, &ids, &names).await?,
        None => Vec::new(),
    };
    for link in links {
        let (fields, held) = if link.kind == LinkKind::Product {
            (&made.fields, read(flow, link, targets(&made.fields)).await?)
        } else {
            let row = rows_of(&made).iter().find(|row| row.key == link.source_id);
            let held = variants.iter().find(|held| held.id == link.erp_id);
            let (Some(row), Some(held)) = (row, held) else {
                continue;
            };
            (&row.fields, held.fields.clone())
        };
        let known = agreed_of(link);
        if !known.is_empty() {
            let agreed = both::follow_a_look(Direction::In, &known, fields, &held);
            link.agreed = serde_json::to_value(agreed).unwrap_or_default();
        }
    }
    Ok(())
}

/// Settles what the way in agrees on, so that the shop's notice of our write finds nothing changed.
async fn settle_in(flow: &Flow<'_>, done: &mut Settled<'_, '_>) -> Result<(), Stop> {
    let was = match done.before {
        Some(before) => both::product_in(flow, before).await?,
        None => None,
    };
    let own = done.before.map(|before| done.as_written(before));
    let ours = own.as_ref().unwrap_or(done.after);
    let Some(now) = both::product_in(flow, ours).await? else {
        return Ok(());
    };
    if done.before.is_some() && was.is_none() {
        return Ok(());
    }
    let known = agreed_of(&done.link);
    let held = read(flow, &done.link, targets(&now.fields)).await?;
    let before = was.as_ref().map(|was| was.fields.as_slice());
    let agreed = both::follow(&known, before, &now.fields, &held, false, |_| true);
    done.link.agreed = serde_json::to_value(agreed).unwrap_or_default();
    let read_at = done.before.map(|before| before.updated_at);
    caught_up(&mut done.link, read_at, ours.updated_at);
    let mut names: Vec<String> = Vec::new();
    for row in rows_of(&now) {
        for name in targets(&row.fields) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    if !names.iter().any(|name| name == ACTIVE) {
        names.push(ACTIVE.to_owned());
    }
    let product = held.get(ACTIVE);
    let Some(model) = done.pairs.first().map(|pair| pair.link.model.clone()) else {
        return Ok(());
    };
    let ids: Vec<ErpId> = done.pairs.iter().map(|pair| pair.link.erp_id).collect();
    let rows = flow.shop.erp.read(&model, &ids, &names).await?;
    for pair in &mut done.pairs {
        let Some(held) = rows.iter().find(|row| row.id == pair.link.erp_id) else {
            continue;
        };
        let Some(now) = row_of(&now, pair.variant) else {
            continue;
        };
        // A variant that this attempt made was not there before.
        let is_new = done.before.is_none() || done.made.contains_key(&pair.variant);
        let before = was.as_ref().and_then(|was| row_of(was, pair.variant));
        let before = match before {
            Some(row) => Some(row.fields.as_slice()),
            None if is_new => None,
            None => continue,
        };
        let known = agreed_of(&pair.link);
        let mut agreed = both::follow(&known, before, &now.fields, &held.fields, false, |_| true);
        if !known.contains_key(ACTIVE) {
            standing::note(&mut agreed, None, held.fields.get(ACTIVE), product);
        }
        pair.link.agreed = serde_json::to_value(agreed).unwrap_or_default();
        caught_up(&mut pair.link, read_at.filter(|_| !is_new), ours.updated_at);
    }
    Ok(())
}

fn rows_of(mapped: &Mapped) -> &[MappedRow] {
    mapped.group(VARIANTS).map_or(&[], |group| group.rows.as_slice())
}

fn row_of(mapped: &Mapped, variant: ShopifyId) -> Option<&MappedRow> {
    let key = variant.to_string();
    rows_of(mapped).iter().find(|row| row.key == key)
}

/// The fields that are compared: those written at creation only are never looked at again.
fn targets(fields: &[MappedField]) -> Vec<String> {
    let compared = fields.iter().filter(|field| !field.create_only);
    compared.map(|field| field.target.to_string()).collect()
}
