//! Customers: the customer of the shop that stands for a partner of the ERP.

mod phones;

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::json;

use super::super::agree::Agreement;
use super::super::flow::{Flow, agreed_of, agreed_out_of};
use super::super::stop::Stop;
use super::super::{both, circles, telling, withheld};
use super::{
    Done, as_the_erp_says, ask_about, caught_up, guard, held, identity, is_to_be_marked, is_unfinished,
    left_alone, linked, mark, model, retired, rules, shopify_id,
};
use crate::domain::{
    About, Canonical as _, Customer, Direction, ErpAbout, ErpId, FieldValue, Happening, Link, LinkKind,
    LinkState, Object, Partner, System,
};
use crate::failpoint::{FailPoint, reach};
use crate::mapping::{Archived, Mapped, MappedField, OutRules};

pub(super) async fn sync(flow: &mut Flow<'_>, id: ErpId) -> Result<Done, Stop> {
    let mapping = flow.mapping(Object::Customer, Direction::Out)?;
    let rules = rules(&mapping);
    let model = model(flow, Object::Customer, "res.partner");
    let link = linked(flow, LinkKind::Customer, Object::Customer, &model, id).await?;
    let Some(partner) = flow.shop.erp.partner(id, &rules.select).await? else {
        return gone(flow, rules.archived, link);
    };
    flow.subject.record = Some(partner.name.clone());
    // With the customer where one is known: on their request, what is told of them is found by their number.
    let about = match &link {
        Some(link) => telling::of_link(Object::Customer, link),
        None => About {
            erp: Some(ErpAbout::new(&model, id)),
            ..About::new(Object::Customer)
        },
    };
    flow.is_about(About {
        title: Some(partner.name.clone()),
        ..about
    });
    reach(FailPoint::SourceFetched).await?;
    let settings = flow.settings_fact(None);
    let record = partner.fact();
    flow.judge(&record)?;
    let Some(link) = link else {
        let skip = mapping
            .skip(&record, &settings)
            .map_err(|problems| flow.field_problems(&problems))?;
        if let Some(skip) = skip {
            return Err(left_alone(flow, &skip.reason));
        }
        if !partner.active {
            return Err(left_alone(flow, "archived"));
        }
        let mapped = flow.evaluate(&mapping, &record, &settings).await?;
        reach(FailPoint::Planned).await?;
        return match adopt(flow, &model, id, &mapped).await? {
            Some((link, customer)) => update(flow, &partner, &mapped, &rules, link, &customer).await,
            None => make(flow, &model, &partner, &mapped).await,
        };
    };
    let number = shopify_id(flow, &link)?;
    let select = flow.select(Object::Customer);
    let Some(customer) = flow.shop.source.customer(number, select).await? else {
        flow.note("link_is_dead", json!({ "customer": number }));
        flow.is_about(about_gone(&link, Some(partner.name.as_str())));
        flow.is_gone(Happening::CustomerDeleted);
        return Ok(Done {
            links: retired(vec![link]),
            name: partner.name,
            summary: "the customer is not on the shop any more".to_owned(),
            unstocked: None,
        });
    };
    if !partner.active {
        ask_about(flow, rules.archived, "partner", "archived", "the customer")?;
    }
    let mapped = flow.evaluate(&mapping, &record, &settings).await?;
    reach(FailPoint::Planned).await?;
    update(flow, &partner, &mapped, &rules, link, &customer).await
}

/// Says that it is about the customer as it stands on the shop now.
fn shows(flow: &Flow<'_>, customer: &Customer, link: &Link) {
    flow.is_about(telling::of_customer(customer, Some(Arc::new(customer.fact()))));
    flow.stands_for(telling::of_erp(link));
}

/// A customer that is gone on either side.
fn about_gone(link: &Link, name: Option<&str>) -> About {
    About {
        title: name.map(str::to_owned),
        ..telling::of_link(Object::Customer, link)
    }
}

/// The partner does not exist any more.
fn gone(flow: &Flow<'_>, archived: Archived, link: Option<Link>) -> Result<Done, Stop> {
    let Some(link) = link else {
        return Err(flow.nothing_to_do("deleted_before_it_was_sent"));
    };
    ask_about(flow, archived, "partner", "deleted", "the customer")?;
    flow.is_about(about_gone(&link, None));
    flow.is_gone(Happening::CustomerDeleted);
    Ok(Done {
        name: format!("customer {}", link.source_id),
        links: retired(vec![link]),
        summary: "the partner was deleted in the ERP; the customer stays".to_owned(),
        unstocked: None,
    })
}

/// Writes what changed since both sides agreed.
async fn update(
    flow: &Flow<'_>,
    partner: &Partner,
    mapped: &Mapped,
    rules: &OutRules,
    mut link: Link,
    customer: &Customer,
) -> Result<Done, Stop> {
    let shop = flow.shop;
    shows(flow, customer, &link);
    if is_unfinished(&link) {
        flow.is_made();
    }
    let known_in = agreed_of(&link);
    let mut known = agreed_out_of(&link);
    let now = held::customer(customer);
    let mut fields = if is_unfinished(&link) {
        as_the_erp_says(&mapped.fields)
    } else {
        mapped.fields.clone()
    };
    let mut withheld = Agreement::new();
    if !customer.refused.is_empty() {
        // Nothing is known of these: they are neither written nor agreed on, until Shopify shows them again.
        known.retain(|name, agreed| {
            let is_shown = !is_withheld(name, &customer.refused);
            if !is_shown {
                withheld.insert(name.clone(), agreed.clone());
            }
            is_shown
        });
        fields.retain(|field| !is_withheld(&field.target, &customer.refused));
        flow.note("withheld_by_shopify", json!({ "fields": customer.refused }));
        withheld::tell(flow, customer.id).await?;
    }
    let known_is_empty = known.is_empty() && withheld.is_empty();
    if known_is_empty && !known_in.is_empty() {
        let names: Vec<String> = known_in.keys().cloned().collect();
        let rows = shop.erp.read(&link.model, &[link.erp_id], &names).await?;
        let edited = rows.first().map(|row| both::edited(&known_in, &row.fields));
        known = both::first_way_out(&known, &fields, &now, &edited.unwrap_or_default());
    }
    flow.source_stands(None, partner.updated_at);
    let writes = flow.changes_of(Direction::Out, &fields, &known, &now)?;
    let mut after = now;
    let mut shown = Cow::Borrowed(customer);
    let meets_first = known_in.is_empty();
    let mut left_out = phones::LeftOut::default();
    if !writes.is_empty() || is_to_be_marked(rules, &link, &customer.raw) {
        let way_in = both::customer_in(flow, customer).await?;
        let pair = identity::Pair {
            link: &link,
            raw: &customer.raw,
            own: &mapped.external_id,
            way_in: way_in.as_ref(),
            evidence: vec![identity::Evidence {
                fields: &mapped.fields,
                keys: &mapped.match_keys,
                held: after.clone(),
                known: agreed_out_of(&link),
            }],
        };
        identity::check(flow, &pair).await?;
    }
    if !writes.is_empty() {
        circles::remember(flow, &mut link, "Shopify", &writes)?;
        guard::pass(flow, &guard::Changes::of(&writes)).await?;
        let written;
        (written, left_out) = phones::send(
            flow,
            Some(customer.id),
            &mapped.external_id,
            &writes,
            Some(&after),
        )
        .await?;
        flow.note(
            "updated",
            json!({ "customer": customer.id, "fields": names(&writes) }),
        );
        flow.has_written(&writes, Some(&after));
        shows(flow, &written, &link);
        let written = whole(flow, written).await?;
        shows(flow, &written, &link);
        after = held::customer(&written);
        // What somebody else changed on the shop meanwhile is still to be carried into the ERP.
        let arrived = held::arrived(&writes, &fields, &after);
        let ours = held::customer_as_written(customer, &written, &arrived);
        settle_in(flow, &mut link, &known_in, Some(customer), &ours).await?;
        shown = Cow::Owned(written);
    } else if meets_first {
        settle_in(flow, &mut link, &known_in, Some(customer), customer).await?;
    }
    mark(flow, rules, &link, &customer.raw, &mapped.external_id).await?;
    let mut agreed = both::agreement(Direction::Out, &fields, &writes, Some(&after), &known, true);
    if both::is_settled_by_a_look(&known, &agreed, &writes) {
        settle_in_by_a_look(flow, &mut link, &shown, &fields).await?;
    }
    agreed.extend(withheld);
    left_out.settle(&mut agreed, &after);
    link.agreed_out = serde_json::to_value(agreed).unwrap_or_default();
    link.state = LinkState::Linked;
    Ok(Done {
        links: vec![link],
        name: partner.name.clone(),
        summary: if writes.is_empty() {
            "the customer is up to date".to_owned()
        } else {
            left_out.tell("updated the customer")
        },
        unstocked: None,
    })
}

/// Settles what the way in agrees on after our write, so that its echo finds nothing changed.
async fn settle_in(
    flow: &Flow<'_>,
    link: &mut Link,
    known: &Agreement,
    before: Option<&Customer>,
    after: &Customer,
) -> Result<(), Stop> {
    let was = match before {
        Some(before) => both::customer_in(flow, before).await?,
        None => None,
    };
    let Some(now) = both::customer_in(flow, after).await? else {
        return Ok(());
    };
    if before.is_some() && was.is_none() {
        return Ok(());
    }
    let targets: Vec<String> = compared(&now.fields)
        .map(|field| field.target.to_string())
        .collect();
    let rows = flow.shop.erp.read(&link.model, &[link.erp_id], &targets).await?;
    let Some(row) = rows.into_iter().next() else {
        return Ok(());
    };
    let was = was.as_ref().map(|mapped| mapped.fields.as_slice());
    let agreed = both::follow(known, was, &now.fields, &row.fields, false, |_| true);
    link.agreed = serde_json::to_value(agreed).unwrap_or_default();
    caught_up(link, before.map(|before| before.updated_at), after.updated_at);
    Ok(())
}

/// The same after an attempt that settled something by a look at the customer as `shown`, and at the partner of which it made
/// `fields`.
async fn settle_in_by_a_look(
    flow: &Flow<'_>,
    link: &mut Link,
    shown: &Customer,
    fields: &[MappedField],
) -> Result<(), Stop> {
    let Some(made) = both::customer_in(flow, shown).await? else {
        return Ok(());
    };
    let targets: Vec<String> = compared(&made.fields)
        .map(|field| field.target.to_string())
        .collect();
    let rows = flow.shop.erp.read(&link.model, &[link.erp_id], &targets).await?;
    let Some(row) = rows.into_iter().next() else {
        return Ok(());
    };
    let known = both::follow_a_look(Direction::In, &agreed_of(link), &made.fields, &row.fields);
    link.agreed = serde_json::to_value(known).unwrap_or_default();
    let now = both::partner_out(flow, link.erp_id).await?;
    if now.is_none_or(|now| both::is_another(fields, &now.fields)) {
        // Somebody edited it between the looks of the two directions: each may have seen another value.
        return Err(flow.look_again());
    }
    Ok(())
}

/// A customer as the way in reads one: what a write answers lacks what that mapping selects besides.
async fn whole(flow: &Flow<'_>, customer: Customer) -> Result<Customer, Stop> {
    let select = flow.select(Object::Customer);
    if select.is_empty() {
        return Ok(customer);
    }
    let read = flow.shop.source.customer(customer.id, select).await?;
    Ok(read.unwrap_or(customer))
}

/// Whether Shopify keeps this field of ours from the app: itself, what it is a part of, or a part of it.
fn is_withheld(field: &str, refused: &[String]) -> bool {
    let path = match field {
        "first_name" => "firstName",
        "last_name" => "lastName",
        "email" => "defaultEmailAddress.emailAddress",
        "phone" => "defaultPhoneNumber.phoneNumber",
        "tax_exempt" => "taxExempt",
        "address.company" => "defaultAddress.company",
        "address.first_name" => "defaultAddress.firstName",
        "address.last_name" => "defaultAddress.lastName",
        "address.address1" => "defaultAddress.address1",
        "address.address2" => "defaultAddress.address2",
        "address.zip" => "defaultAddress.zip",
        "address.city" => "defaultAddress.city",
        "address.country_code" => "defaultAddress.countryCodeV2",
        "address.province_code" => "defaultAddress.provinceCode",
        "address.phone" => "defaultAddress.phone",
        same => same,
    };
    let is_part = |part: &str, of: &str| {
        part.strip_prefix(of)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    refused
        .iter()
        .any(|refused| is_part(path, refused) || is_part(refused, path))
}

fn compared(fields: &[MappedField]) -> impl Iterator<Item = &MappedField> {
    fields.iter().filter(|field| !field.create_only)
}

/// Makes the customer.
async fn make(flow: &Flow<'_>, model: &str, partner: &Partner, mapped: &Mapped) -> Result<Done, Stop> {
    let given = held::given(&mapped.fields);
    guard::pass(flow, &guard::Changes::of(&given)).await?;
    let (customer, left_out) = phones::send(flow, None, &mapped.external_id, &given, None).await?;
    let mut link = link(flow, model, ErpId(partner.id), &customer, LinkState::Linked);
    // The shop tells of it at once: whoever hears it must find the link.
    flow.commit_links(vec![link.clone()]).await?;
    reach(FailPoint::ShopLinked).await?;
    flow.note(
        "created",
        json!({ "customer": customer.id, "fields": names(&given) }),
    );
    shows(flow, &customer, &link);
    flow.is_made();
    flow.has_written(&given, None);
    flow.lock(System::Shopify, Object::Customer.as_str(), &link.source_id)
        .await?;
    let customer = whole(flow, customer).await?;
    shows(flow, &customer, &link);
    let now = held::customer(&customer);
    let mut agreed = both::agreement(
        Direction::Out,
        &mapped.fields,
        &given,
        Some(&now),
        &Agreement::new(),
        true,
    );
    left_out.settle(&mut agreed, &now);
    link.agreed_out = serde_json::to_value(agreed).unwrap_or_default();
    settle_in(flow, &mut link, &Agreement::new(), None, &customer).await?;
    Ok(Done {
        links: vec![link],
        name: partner.name.clone(),
        summary: left_out.tell("created the customer"),
        unstocked: None,
    })
}

fn link(flow: &Flow<'_>, model: &str, id: ErpId, customer: &Customer, state: LinkState) -> Link {
    Link {
        shop: flow.shop.name.clone(),
        kind: LinkKind::Customer,
        source_id: customer.id.to_string(),
        model: model.to_owned(),
        erp_id: id,
        erp_name: None,
        state,
        source_updated_at: None,
        agreed: serde_json::Value::Null,
        agreed_out: serde_json::Value::Null,
        writes: serde_json::Value::Null,
    }
}

/// The one customer of the shop that is the same by the mapping's keys, linked before anything is written to it.
async fn adopt(
    flow: &Flow<'_>,
    model: &str,
    id: ErpId,
    mapped: &Mapped,
) -> Result<Option<(Link, Customer)>, Stop> {
    let shop = flow.shop;
    let mut is_ours_looked_for = false;
    for key in &mapped.match_keys {
        let value = |wanted: &str| {
            key.equal.iter().find_map(|(name, value)| match value {
                FieldValue::Text(text) if name == wanted => Some(text.as_str()),
                _ => None,
            })
        };
        let (email, phone) = (value("email"), value("phone"));
        let mut found = shop.target.find_customers(email, phone).await?;
        // A search may be looser than meant: only equal values count.
        found.retain(|found| {
            let same = |wanted: Option<&str>, now: Option<&str>| {
                wanted.is_none_or(|wanted| now.is_some_and(|now| now.trim().eq_ignore_ascii_case(wanted)))
            };
            same(email, found.email.as_deref()) && same(phone, found.phone.as_deref())
        });
        // Only where somebody is found it must be told whether it is one of ours: making a customer looks by itself.
        if !found.is_empty()
            && !std::mem::replace(&mut is_ours_looked_for, true)
            && let Some(ours) = made_by_us(flow, model, id, mapped).await?
        {
            return Ok(Some(ours));
        }
        let by: Vec<&str> = key.equal.iter().map(|(name, _)| name.as_str()).collect();
        let by = by.join(" and ");
        let numbers: Vec<String> = found.iter().map(|found| found.id.to_string()).collect();
        let [number] = numbers.as_slice() else {
            if numbers.is_empty() {
                continue;
            }
            let reason = format!(
                "Several customers of the shop have the same {by}: {}.",
                numbers.join(", ")
            );
            return Err(ambiguous(flow, &by, &numbers, reason));
        };
        let owner = shop
            .store
            .links(&shop.name, LinkKind::Customer, std::slice::from_ref(number))
            .await?
            .into_iter()
            .find(|link| link.state != LinkState::Retired && link.erp_id != id);
        if let Some(owner) = owner {
            let reason = format!(
                "The customer {number} with the same {by} belongs to the partner {} already.",
                owner.erp_id
            );
            return Err(ambiguous(flow, &by, &numbers, reason));
        }
        if !mapped.adopt_exact {
            let reason =
                format!("The shop has a customer with the same {by} ({number}), and nothing is linked yet.");
            return Err(ambiguous(flow, &by, &numbers, reason));
        }
        flow.lock(System::Shopify, Object::Customer.as_str(), number)
            .await?;
        let Some(customer) = shop
            .source
            .customer(found[0].id, flow.select(Object::Customer))
            .await?
        else {
            continue;
        };
        let link = link(flow, model, id, &customer, LinkState::Adopted);
        identity::may_be_adopted(flow, &link, &customer.raw, &mapped.external_id)?;
        flow.commit_links(vec![link.clone()]).await?;
        reach(FailPoint::LinkAdopted).await?;
        flow.note("adopted", json!({ "customer": customer.id, "by": by }));
        return Ok(Some((link, customer)));
    }
    Ok(None)
}

/// The customer that an attempt made that did not live to say so: it has our mark, in this job or in one that was given up.
async fn made_by_us(
    flow: &Flow<'_>,
    model: &str,
    id: ErpId,
    mapped: &Mapped,
) -> Result<Option<(Link, Customer)>, Stop> {
    let shop = flow.shop;
    let Some(number) = shop.target.customer_of_ref(&mapped.external_id).await? else {
        return Ok(None);
    };
    let select = flow.select(Object::Customer);
    let Some(customer) = shop.source.customer(number, select).await? else {
        return Ok(None);
    };
    let link = link(flow, model, id, &customer, LinkState::Linked);
    flow.lock(System::Shopify, Object::Customer.as_str(), &link.source_id)
        .await?;
    flow.commit_links(vec![link.clone()]).await?;
    Ok(Some((link, customer)))
}

fn ambiguous(flow: &Flow<'_>, by: &str, numbers: &[String], reason: String) -> Stop {
    let mut problem = flow.subject.problem(
        "customer_ambiguous",
        &numbers.join(","),
        reason,
        "Merge the customers on the shop or the partners in the ERP, or change the one that is not meant so that exactly one fits (with `adopt = \"exact\"` in customer.out.toml), then retry.",
    );
    problem.field = Some(by.to_owned());
    problem.detail = json!({ "candidates": numbers });
    problem.into()
}

fn names(fields: &[(String, FieldValue)]) -> Vec<&str> {
    fields.iter().map(|(name, _)| name.as_str()).collect()
}
