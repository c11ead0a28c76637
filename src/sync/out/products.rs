//! Products: the product of the shop, with its variants, that stands for a template of the ERP.
//!
//! Variants are bound by link, else by their option values; new ones are made. None is ever taken away: a variant that is
//! archived in the ERP stays on the shop as it is, and one that was deleted on the shop is not made again.

mod currency;
mod linked;
mod matching;
mod settle;
mod status;
mod told;
mod upcoming;
mod variants;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use rust_decimal::Decimal;
use serde_json::json;

use self::linked::{is_the_linked_one, refused};
use self::settle::{Pair, Settled, edits, settle};
use self::status::{ARCHIVED, STATUS_ARCHIVED, archive_field, with_status};
use self::upcoming::NextProducts;
use self::variants::{
    fits, new_link, new_variant, new_variant_plan, options_of, pairs, rows, same_options, variant_links,
};
use super::super::agree::{Agreed, hash};
use super::super::flow::{Flow, agreed_of, agreed_out_of};
use super::super::resync::of_variant;
use super::super::stop::Stop;
use super::super::{both, circles, telling};
use super::{
    Done, as_the_erp_says, ask_about, guard, held, is_new, is_to_be_marked, is_unfinished, left_alone,
    linked, mark, model, model_of_variants, retired, rules, shopify_id, stock_of,
};
use crate::domain::{
    About, Canonical as _, Carried, Direction, ErpAbout, ErpId, ErpProduct, FieldValue, Fields, Happening,
    Link, LinkKind, NewProduct, NewVariant, Object, Product, Refusal, ShopifyId, System, Variant,
};
use crate::failpoint::{FailPoint, reach};
use crate::mapping::{Archived, Mapped, OutRules};
use crate::store::NewJob;

pub(super) async fn sync(flow: &mut Flow<'_>, id: ErpId) -> Result<Done, Stop> {
    let mapping = flow.mapping(Object::Product, Direction::Out)?;
    let rules = rules(&mapping);
    let model = model(flow, Object::Product, "product.template");
    let link = linked(flow, LinkKind::Product, Object::Product, &model, id).await?;
    let look = link.is_none().then(|| flow.shop.target.expect_look());
    let erp = &flow.shop.erp;
    let record = erp
        .product_record(id, &rules.select, &rules.variant_select)
        .await?;
    let Some(record) = record else {
        return gone(flow, rules.archived, link).await;
    };
    flow.subject.record = Some(record.name.clone());
    let about = match &link {
        Some(link) => telling::of_link(Object::Product, link),
        None => About {
            erp: Some(ErpAbout::new(&model, id)),
            ..About::new(Object::Product)
        },
    };
    flow.is_about(About {
        title: Some(record.name.clone()),
        ..about
    });
    reach(FailPoint::SourceFetched).await?;
    let (settings, fact) = (flow.settings_fact(None), record.fact());
    flow.judge(&fact)?;
    let source = &flow.shop.source;
    let select = flow.select(Object::Product);
    let Some(link) = link else {
        let skip = mapping
            .skip(&fact, &settings)
            .map_err(|problems| flow.field_problems(&problems))?;
        if let Some(skip) = skip {
            return Err(left_alone(flow, &skip.reason));
        }
        if !record.active {
            return Err(left_alone(flow, "archived"));
        }
        let mapped = flow.evaluate(&mapping, &fact, &settings).await?;
        currency::is_one(flow, &mapped).await?;
        reach(FailPoint::Planned).await?;
        let next = NextProducts {
            flow,
            mapping: &mapping,
            rules: &rules,
        };
        return match matching::found(flow, &record, &mapped, &model, &next, look).await? {
            Some((link, product)) => update(flow, &record, &mapped, &rules, link, &product).await,
            None => make(flow, &record, &mapped, &model).await,
        };
    };
    let number = shopify_id(flow, &link)?;
    let Some(product) = source.product(number, select).await? else {
        flow.note("link_is_dead", json!({ "product": number }));
        flow.is_about(About {
            title: Some(record.name.clone()),
            ..telling::of_link(Object::Product, &link)
        });
        flow.is_gone(Happening::ProductDeleted);
        return Ok(Done {
            links: retired(vec![link]),
            name: record.name,
            summary: "the product is not on the shop any more".to_owned(),
            unstocked: None,
        });
    };
    let mapped = flow.evaluate(&mapping, &fact, &settings).await?;
    currency::is_one(flow, &mapped).await?;
    reach(FailPoint::Planned).await?;
    update(flow, &record, &mapped, &rules, link, &product).await
}

/// The product does not exist any more in the ERP.
async fn gone(flow: &Flow<'_>, archived: Archived, link: Option<Link>) -> Result<Done, Stop> {
    let Some(link) = link else {
        return Err(flow.nothing_to_do("deleted_before_it_was_sent"));
    };
    ask_about(flow, archived, "product", "deleted", "the product")?;
    let number = shopify_id(flow, &link)?;
    let product = flow
        .shop
        .source
        .product(number, flow.select(Object::Product))
        .await?;
    let mut links = Vec::new();
    let mut summary = "the product was deleted in the ERP; the shop's stays";
    if let Some(product) = &product {
        links = variant_links(flow, product).await?;
        if archived == Archived::Archive && product.status != STATUS_ARCHIVED {
            let fields = vec![("status".to_owned(), FieldValue::Text(STATUS_ARCHIVED.to_owned()))];
            guard::pass(flow, &guard::Changes::default()).await?;
            flow.send(flow.shop.target.update_product(number, &fields))
                .await?;
            summary = "the product was deleted in the ERP and is archived on the shop";
        }
    }
    flow.is_about(About {
        title: product.as_ref().map(|product| product.title.clone()),
        ..telling::of_link(Object::Product, &link)
    });
    flow.is_gone(Happening::ProductDeleted);
    links.push(link);
    Ok(Done {
        links: retired(links),
        name: product.map_or_else(|| format!("product {number}"), |product| product.title),
        summary: summary.to_owned(),
        unstocked: None,
    })
}

/// Writes what changed since both sides agreed, and makes the variants that the shop lacks.
async fn update(
    flow: &Flow<'_>,
    record: &ErpProduct,
    mapped: &Mapped,
    rules: &OutRules,
    mut link: Link,
    product: &Product,
) -> Result<Done, Stop> {
    let target = &flow.shop.target;
    let (mut pairs, missing) = pairs(flow, record, mapped, product).await?;
    let edited = edits(flow, &link, &pairs).await?;
    let is_unfinished = is_unfinished(&link);
    flow.is_about(telling::of_product(product, Some(Arc::new(product.fact()))));
    flow.stands_for(telling::of_erp(&link));
    if is_unfinished {
        flow.is_made();
    }
    let mut fields = if is_unfinished {
        as_the_erp_says(&mapped.fields)
    } else {
        mapped.fields.clone()
    };
    let mut now = held::product(product);
    if rules.archived != Archived::Ignore {
        fields.push(archive_field(record, mapped));
        now.insert(
            ARCHIVED.to_owned(),
            FieldValue::Bool(product.status == STATUS_ARCHIVED),
        );
    }
    let mut known = agreed_out_of(&link);
    let is_first = known.is_empty() && !agreed_of(&link).is_empty();
    if !record.active && !known.contains_key(ARCHIVED) {
        // Nobody agreed on it yet, but a product is never made archived: it became so since.
        let agreed = Agreed {
            source: hash(&FieldValue::Bool(false)),
            target: now.get(ARCHIVED).map(hash),
        };
        known.insert(ARCHIVED.to_owned(), agreed);
    }
    if is_first {
        known = both::first_way_out(&known, &fields, &now, &edited.template);
    }
    flow.source_stands(None, record.updated_at);
    let decided = flow.changes_of(Direction::Out, &fields, &known, &now)?;
    if rules.archived == Archived::Problem && decided.contains(&(ARCHIVED.to_owned(), FieldValue::Bool(true)))
    {
        ask_about(flow, rules.archived, "product", "archived", "the product")?;
    }
    let mut by_variant: BTreeMap<ShopifyId, Fields> = BTreeMap::new();
    let mut prices = Vec::new();
    for pair in &mut pairs {
        let Some(variant) = product.variants.iter().find(|variant| variant.id == pair.variant) else {
            continue;
        };
        let (known_in, mut known) = (agreed_of(&pair.link), agreed_out_of(&pair.link));
        let row_fields = if is_unfinished && is_new(&pair.link) {
            Cow::Owned(as_the_erp_says(&pair.row.fields))
        } else {
            Cow::Borrowed(&pair.row.fields)
        };
        let now = held::variant(variant);
        if known.is_empty() && !known_in.is_empty() {
            let edited = edited.of(pair.link.erp_id);
            known = both::first_way_out(&known, &row_fields, &now, &edited);
            pair.link.agreed_out = serde_json::to_value(&known).unwrap_or_default();
        }
        let place = of_variant(&pair.variant.to_string());
        let changes = flow.changes_at(&place, Direction::Out, &row_fields, &known, &now)?;
        prices.extend(moved_prices(&changes, variant));
        if !changes.is_empty() {
            by_variant.insert(pair.variant, changes);
        }
    }
    link.agreed_out = serde_json::to_value(&known).unwrap_or_default();
    if !decided.is_empty() || !by_variant.is_empty() {
        let all: Fields = decided
            .iter()
            .chain(by_variant.values().flatten())
            .cloned()
            .collect();
        circles::remember(flow, &mut link, "Shopify", &all)?;
    }
    if !missing.is_empty() {
        fits(flow, record, product, &missing)?;
    }
    let writes = with_status(&decided, mapped);
    let is_written = !writes.is_empty() || !by_variant.is_empty() || !missing.is_empty();
    if is_written || is_to_be_marked(rules, &link, &product.raw) {
        is_the_linked_one(flow, mapped, &link, &pairs, product).await?;
    }
    if is_written {
        let of_variants = by_variant.iter().flat_map(|(variant, fields)| {
            fields
                .iter()
                .map(move |(name, value)| (format!("{variant}.{name}"), value.clone()))
        });
        let of_new = missing.iter().flat_map(|(id, row)| {
            let new = new_variant(record, *id, &row.fields);
            new_variant_plan(&new, &new.erp_ref)
        });
        let of_own = writes.iter().cloned().chain(of_variants);
        let changes = guard::Changes {
            prices,
            plan: of_own.chain(of_new).collect(),
            ..guard::Changes::default()
        };
        guard::pass(flow, &changes).await?;
    }
    told::writes(flow, product, &writes, &by_variant);
    if !writes.is_empty() {
        flow.send(target.update_product(product.id, &writes)).await?;
        flow.note(
            "updated",
            json!({ "product": product.id, "fields": names(&writes) }),
        );
        flow.has_written(&writes, Some(&now));
    }
    let mut refusals = Vec::new();
    let variants: Vec<(ShopifyId, Fields)> = by_variant.clone().into_iter().collect();
    if !variants.is_empty() {
        refusals = flow
            .send_unjudged(target.update_variants(product.id, &variants))
            .await?;
        flow.note(
            "variants_updated",
            json!({ "product": product.id, "variants": variants.len(), "refused": refusals.len() }),
        );
        // What was refused is not agreed on.
        for (n, (id, _)) in variants.iter().enumerate() {
            let is_refused = |refusal: &Refusal| refusal.index.is_none_or(|index| index == n);
            if refusals.iter().any(is_refused) {
                by_variant.remove(id);
                pairs.retain(|pair| pair.variant != *id);
            }
        }
        if refusals.is_empty() {
            variants_written(flow, product, by_variant.iter());
        }
    }
    let mut made: BTreeMap<ShopifyId, Fields> = BTreeMap::new();
    if !missing.is_empty() {
        let new: Vec<NewVariant> = missing
            .iter()
            .map(|(id, row)| new_variant(record, *id, &row.fields))
            .collect();
        let variants = flow.send(target.create_variants(product.id, &new)).await?;
        let rows = variants.iter().zip(&new);
        told::made(
            flow,
            "variants_created",
            product.id,
            &Fields::new(),
            rows.map(|(variant, new)| (variant.id, &new.fields)),
        );
        let model = model_of_variants(flow);
        for (((id, row), new), variant) in missing.iter().zip(&new).zip(&variants) {
            made.insert(variant.id, new.fields.clone());
            flow.has_written_part(&format!("variants[{}]", variant.id));
            pairs.push(Pair {
                row,
                variant: variant.id,
                link: new_link(flow, LinkKind::Variant, &model, *id, variant.id),
            });
        }
    }
    let wrote = !writes.is_empty() || !by_variant.is_empty() || !made.is_empty() || !refusals.is_empty();
    let after = if wrote {
        flow.shop
            .source
            .product(product.id, flow.select(Object::Product))
            .await?
    } else {
        None
    };
    if let Some(after) = &after {
        flow.is_about(telling::of_product(after, Some(Arc::new(after.fact()))));
        flow.stands_for(telling::of_erp(&link));
    }
    if !refusals.is_empty() {
        // Some were refused: of the others only what can be seen counts as written.
        let seen = |id: &ShopifyId, fields: &Fields| {
            let mut variants = after.as_ref().unwrap_or(product).variants.iter();
            let held = variants.find(|variant| variant.id == *id).map(held::variant);
            held.is_some_and(|held| {
                let mut fields = fields.iter();
                fields.any(|(name, value)| held.get(name).map(hash) == Some(hash(value)))
            })
        };
        pairs.retain(|pair| {
            let written = by_variant.get(&pair.variant);
            written.is_none_or(|fields| seen(&pair.variant, fields))
        });
        variants_written(
            flow,
            product,
            by_variant.iter().filter(|(id, fields)| seen(id, fields)),
        );
    }
    mark(flow, rules, &link, &product.raw, &mapped.external_id).await?;
    let unstocked = unstocked(record, &pairs);
    let links = settle(
        flow,
        Settled {
            fields: &fields,
            link,
            pairs,
            template: decided,
            variants: by_variant,
            made,
            before: Some(product),
            after: after.as_ref().unwrap_or(product),
            wrote,
        },
    )
    .await?;
    if let Some(first) = refusals.first() {
        flow.commit_links(links).await?;
        if let Some((key, priority, cause)) = unstocked.and_then(|product| stock_of(flow, product)) {
            let job = NewJob {
                key,
                priority,
                now: flow.shop.clock.now(),
                cause,
            };
            flow.shop.store.enqueue(job).await?;
        }
        let status = flow.carried();
        if status != Carried::Skipped {
            // The repeat finds it done, and that the product was made stands in the links from now on.
            let told = flow.synced(Happening::ProductSynced, status);
            flow.tells_in_parting(vec![told]);
        }
        return Err(refused(flow, first, &refusals, &variants, product));
    }
    Ok(Done {
        links,
        name: record.name.clone(),
        summary: if wrote {
            "updated the product".to_owned()
        } else {
            "the product is up to date".to_owned()
        },
        unstocked,
    })
}

/// Says which fields of variants were written.
fn variants_written<'v>(
    flow: &Flow<'_>,
    product: &Product,
    written: impl Iterator<Item = (&'v ShopifyId, &'v Fields)>,
) {
    for (id, fields) in written {
        flow.did_write();
        let variant = product.variants.iter().find(|variant| variant.id == *id);
        let held = variant.map(held::variant).unwrap_or_default();
        for (field, value) in fields {
            let name = format!("variants[{id}].{field}");
            flow.has_written_value(name, held.get(field).cloned(), value);
        }
    }
}

/// The prices that move: what the shop shows, and what it is to show.
fn moved_prices(changes: &Fields, variant: &Variant) -> Vec<(Decimal, Decimal)> {
    let moved = |(name, value): &(String, FieldValue)| {
        let shown = match name.as_str() {
            "price" => variant.price,
            "compare_at_price" => variant.compare_at_price?,
            _ => return None,
        };
        match value {
            FieldValue::Decimal(wanted) => Some((shown, *wanted)),
            FieldValue::Integer(wanted) => Some((shown, Decimal::from(*wanted))),
            _ => None,
        }
    };
    changes.iter().filter_map(moved).collect()
}

/// The ERP's product, where it keeps stock of variants that the shop did not have so far.
fn unstocked(record: &ErpProduct, pairs: &[Pair<'_>]) -> Option<ErpId> {
    let has_new = record.stocked && pairs.iter().any(|pair| is_new(&pair.link));
    has_new.then_some(ErpId(record.id))
}

/// Makes the product with its variants.
async fn make(flow: &Flow<'_>, record: &ErpProduct, mapped: &Mapped, model: &str) -> Result<Done, Stop> {
    let rows = rows(mapped);
    if rows.is_empty() {
        return Err(left_alone(flow, "it has no variant to sell"));
    }
    let new = NewProduct {
        erp_ref: mapped.external_id.clone(),
        fields: held::given(&mapped.fields),
        options: record
            .options
            .iter()
            .map(|option| (option.name.clone(), option.values.clone()))
            .collect(),
        variants: rows
            .iter()
            .map(|(id, row)| new_variant(record, *id, &row.fields))
            .collect(),
    };
    let mut plan = new.fields.clone();
    for (name, values) in &new.options {
        plan.push((format!("options.{name}"), FieldValue::Text(format!("{values:?}"))));
    }
    for (n, variant) in new.variants.iter().enumerate() {
        plan.extend(new_variant_plan(variant, &format!("variants[{n}]")));
    }
    guard::pass(flow, &guard::Changes::of(&plan)).await?;
    let product = flow.send(flow.shop.target.create_product(&new)).await?;
    let link = new_link(flow, LinkKind::Product, model, ErpId(record.id), product.id);
    let model = model_of_variants(flow);
    let mut pairs = Vec::new();
    let mut made = BTreeMap::new();
    for ((id, row), new) in rows.iter().zip(&new.variants) {
        let options = options_of(record, *id);
        let same = |variant: &&Variant| same_options(&variant.options, options);
        let Some(variant) = product.variants.iter().find(same) else {
            continue;
        };
        made.insert(variant.id, new.fields.clone());
        pairs.push(Pair {
            row,
            variant: variant.id,
            link: new_link(flow, LinkKind::Variant, &model, *id, variant.id),
        });
    }
    // The shop tells of it at once: whoever hears it must find the links.
    let links = std::iter::once(&link).chain(pairs.iter().map(|pair| &pair.link));
    flow.commit_links(links.cloned().collect()).await?;
    reach(FailPoint::ShopLinked).await?;
    flow.is_about(telling::of_product(&product, Some(Arc::new(product.fact()))));
    flow.stands_for(telling::of_erp(&link));
    flow.is_made();
    flow.has_written(&new.fields, None);
    let variants = made.iter().map(|(id, fields)| (*id, fields));
    told::made(flow, "created", product.id, &new.fields, variants);
    flow.lock(System::Shopify, Object::Product.as_str(), &link.source_id)
        .await?;
    let unstocked = unstocked(record, &pairs);
    let links = settle(
        flow,
        Settled {
            fields: &mapped.fields,
            link,
            pairs,
            template: new.fields,
            variants: BTreeMap::new(),
            made,
            before: None,
            after: &product,
            wrote: true,
        },
    )
    .await?;
    Ok(Done {
        links,
        name: record.name.clone(),
        summary: "created the product".to_owned(),
        unstocked,
    })
}

fn names(fields: &Fields) -> Vec<&str> {
    fields.iter().map(|(name, _)| name.as_str()).collect()
}
