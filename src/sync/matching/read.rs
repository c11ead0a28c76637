//! Both sides of a catalogue, read page by page down to what tells records apart.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::super::customers::{is_for_one_order, is_of_an_order, match_lock};
use super::super::flow::{Flow, Held};
use super::super::out::held;
use super::super::stop::Stop;
use super::MatchProgress;
use super::pairing::{Node, Side, Token};
use super::rules::{Rules, Way};
use crate::domain::{Canonical as _, Customer, Direction, ErpId, Link, LinkState, Object, Product};
use crate::mapping::{FieldProblem, Keys, MatchKey, VARIANTS};

/// Records of the ERP that are read at once.
const PAGE: u32 = 200;

/// So many reasons are told why keys cannot be worked out.
const REASONS: usize = 20;

/// What is kept of both sides: of records that are not linked their numbers, names and hashes of their keys.
#[derive(Default)]
pub(super) struct Catalogue {
    pub(super) shop: Vec<Node>,
    pub(super) erp: Vec<Node>,
    pub(super) tokens: Vec<Token>,
    pub(super) on_shopify: u64,
    pub(super) in_erp: u64,
    pub(super) linked_before: u64,
    pub(super) withheld: u64,
    pub(super) unreadable: Vec<String>,
    /// Places of the ERP's records that the mapping of the way out never makes on the shop.
    pub(super) left_alone: BTreeSet<usize>,
    /// Partners that stand for a guest so far: the guest's link, retired.
    pub(super) guests: BTreeMap<i64, Link>,
    /// What an attempt locks that looks for the shop's record in the ERP.
    pub(super) locks: HashMap<i64, Vec<String>>,
    pub(super) model: String,
    pub(super) part_model: String,
}

/// A part of a record on its way into the catalogue: its number, and its keys by the way in and by the way out.
struct Part<'a> {
    id: i64,
    inward: Way<'a>,
    outward: Way<'a>,
}

/// Reads both sides; none where no mapping says how records are recognised.
pub(super) async fn read(
    flow: &Flow<'_>,
    object: Object,
    progress: &(dyn Fn(MatchProgress) + Sync),
) -> Result<Option<Catalogue>, Stop> {
    let mapping = |direction| flow.mapping(object, direction).ok();
    let rules = Rules {
        object,
        inward: mapping(Direction::In),
        outward: mapping(Direction::Out),
        settings: flow.settings_fact(None),
    };
    if rules.fields(Direction::In).is_empty() && rules.fields(Direction::Out).is_empty() {
        return Ok(None);
    }
    let usual = match object {
        Object::Customer => ("res.partner", ""),
        _ => ("product.template", "product.product"),
    };
    let inward = rules.inward.as_ref();
    let mut catalogue = Catalogue {
        model: inward
            .map_or(usual.0, |mapping| mapping.model.as_str())
            .to_owned(),
        part_model: inward
            .and_then(|mapping| mapping.group_model(VARIANTS))
            .unwrap_or(usual.1)
            .to_owned(),
        ..Catalogue::default()
    };
    let mut linked: BTreeSet<ErpId> = BTreeSet::new();
    shop_side(flow, &rules, &mut catalogue, &mut linked, progress).await?;
    erp_side(flow, &rules, &mut catalogue, &linked, progress).await?;
    Ok(Some(catalogue))
}

async fn shop_side(
    flow: &Flow<'_>,
    rules: &Rules,
    catalogue: &mut Catalogue,
    linked: &mut BTreeSet<ErpId>,
    progress: &(dyn Fn(MatchProgress) + Sync),
) -> Result<(), Stop> {
    let (shop, select) = (flow.shop, flow.select(rules.object));
    let mut after: Option<String> = None;
    loop {
        let (customers, products, next) = match rules.object {
            Object::Customer => {
                let page = shop.source.customers(select, after.as_deref()).await?;
                (page.records, Vec::new(), page.next)
            }
            _ => {
                let page = shop.source.products(select, after.as_deref()).await?;
                (Vec::new(), page.records, page.next)
            }
        };
        let ids = customers.iter().map(|customer| customer.id);
        let ids: Vec<String> = ids
            .chain(products.iter().map(|product| product.id))
            .map(|id| id.to_string())
            .collect();
        let links = shop.store.links(&shop.name, rules.kind(), &ids).await?;
        let links: HashMap<&str, ErpId> = links
            .iter()
            .filter(|link| link.state != LinkState::Retired)
            .map(|link| (link.source_id.as_str(), link.erp_id))
            .collect();
        linked.extend(links.values());
        catalogue.on_shopify += ids.len() as u64;
        catalogue.linked_before += links.len() as u64;
        let is_new = |id: String| !links.contains_key(id.as_str());
        for customer in customers
            .iter()
            .filter(|customer| is_new(customer.id.to_string()))
        {
            shop_customer(rules, catalogue, customer);
        }
        for product in products.iter().filter(|product| is_new(product.id.to_string())) {
            shop_product(rules, catalogue, product);
        }
        progress(MatchProgress::Shopify(catalogue.on_shopify));
        match next {
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
    }
}

fn number(id: crate::domain::ShopifyId) -> i64 {
    i64::try_from(id.0).unwrap_or(i64::MAX)
}

fn shop_customer(rules: &Rules, catalogue: &mut Catalogue, customer: &Customer) {
    let id = number(customer.id);
    let keys = rules.keys(Direction::In, &customer.fact());
    let keys = catalogue.readable(&format!("customer {id}"), keys);
    if !customer.refused.is_empty() && keys.own.is_empty() {
        catalogue.withheld += 1;
    }
    let locks: Vec<String> = keys.own.iter().map(|key| match_lock(&key.equal)).collect();
    if !locks.is_empty() {
        catalogue.locks.insert(id, locks);
    }
    let held = held::customer(customer);
    let own = Part {
        id,
        inward: Way::Made(&keys.own),
        outward: Way::Held(Some(&held)),
    };
    catalogue.add(rules, Side::Shop, (id, customer.display_name.clone()), &own, &[]);
}

fn shop_product(rules: &Rules, catalogue: &mut Catalogue, product: &Product) {
    let id = number(product.id);
    let keys = rules.keys(Direction::In, &product.fact());
    let keys = catalogue.readable(&format!("product {id}"), keys);
    let rows = by_row(&keys);
    let held: Vec<Held> = product.variants.iter().map(held::variant).collect();
    let parts = product.variants.iter().zip(&held).map(|(variant, held)| Part {
        id: number(variant.id),
        inward: Way::Made(rows.get(variant.id.to_string().as_str()).copied().unwrap_or(&[])),
        outward: Way::Held(Some(held)),
    });
    let parts: Vec<Part<'_>> = parts.collect();
    catalogue.add(rules, Side::Shop, (id, product.title.clone()), &NO_KEYS, &parts);
}

/// A product itself is recognised by its variants only.
const NO_KEYS: Part<'static> = Part {
    id: 0,
    inward: Way::Held(None),
    outward: Way::Held(None),
};

fn by_row(keys: &Keys) -> HashMap<&str, &[MatchKey]> {
    let variants = keys.rows.iter().filter(|(group, ..)| group == VARIANTS);
    variants
        .map(|(_, key, keys)| (key.as_str(), keys.as_slice()))
        .collect()
}

async fn erp_side(
    flow: &Flow<'_>,
    rules: &Rules,
    catalogue: &mut Catalogue,
    linked: &BTreeSet<ErpId>,
    progress: &(dyn Fn(MatchProgress) + Sync),
) -> Result<(), Stop> {
    let shop = flow.shop;
    let model = catalogue.model.clone();
    let mut after = None;
    loop {
        let rows = shop.erp.all_ids(&model, None, after, PAGE).await?;
        after = rows.last().map(|row| row.id);
        let active: Vec<ErpId> = rows.iter().filter(|row| row.active).map(|row| row.id).collect();
        catalogue.in_erp += active.len() as u64;
        let mut open = Vec::new();
        for id in active.into_iter().filter(|id| !linked.contains(id)) {
            let link = shop.store.link_of_erp(&shop.name, rules.kind(), id).await?;
            match link.filter(|link| link.state != LinkState::Retired) {
                // The customer that a guest has become takes over the partner; one of a single order stays with it.
                Some(guest) if is_guest(&guest) => {
                    catalogue.guests.insert(
                        id.0,
                        Link {
                            state: LinkState::Retired,
                            ..guest
                        },
                    );
                    open.push(id);
                }
                Some(_) => {}
                None => open.push(id),
            }
        }
        if rules.object == Object::Customer {
            // Partners of another shop's single orders are nobody else's, either.
            let named = shop.erp.external_ids(&model, &open).await?;
            let is_taken = |id: &ErpId| {
                named
                    .iter()
                    .any(|(known, name)| known == id && is_for_one_order(&name.name))
            };
            open.retain(|id| !is_taken(id));
            partners(flow, rules, catalogue, &open).await?;
        } else {
            products(flow, rules, catalogue, &open).await?;
        }
        progress(MatchProgress::Erp(catalogue.in_erp));
        if rows.len() < PAGE as usize {
            return Ok(());
        }
    }
}

/// Whether the link is of a guest who may become a customer.
pub(super) fn is_guest(link: &Link) -> bool {
    is_of_an_order(&link.source_id)
        && link.source_id.starts_with("guest_")
        && !is_for_one_order(&link.source_id)
}

async fn partners(
    flow: &Flow<'_>,
    rules: &Rules,
    catalogue: &mut Catalogue,
    ids: &[ErpId],
) -> Result<(), Stop> {
    let erp = &flow.shop.erp;
    let held = held_by(flow, &catalogue.model, ids, &rules.names(Direction::In)).await?;
    for partner in erp.partners(ids, rules.select()).await? {
        let fact = partner.fact();
        let what = format!("partner {}", partner.id);
        let keys = rules.keys(Direction::Out, &fact);
        let keys = catalogue.readable(&what, keys);
        let own = Part {
            id: partner.id,
            inward: Way::Held(held.get(&ErpId(partner.id))),
            outward: Way::Made(&keys.own),
        };
        let place = catalogue.add(rules, Side::Erp, (partner.id, partner.name.clone()), &own, &[]);
        if rules.leaves_alone(&fact) {
            catalogue.left_alone.insert(place);
        }
    }
    Ok(())
}

async fn products(
    flow: &Flow<'_>,
    rules: &Rules,
    catalogue: &mut Catalogue,
    ids: &[ErpId],
) -> Result<(), Stop> {
    let erp = &flow.shop.erp;
    let of_variants = rules
        .outward
        .as_ref()
        .and_then(|mapping| mapping.out.as_ref())
        .map_or(&[][..], |out| out.variant_select.as_slice());
    let records = erp.product_records(ids, rules.select(), of_variants).await?;
    let variants: Vec<ErpId> = records
        .iter()
        .flat_map(|record| &record.variants)
        .filter(|variant| variant.active)
        .map(|variant| ErpId(variant.id))
        .collect();
    let names = rules.names(Direction::In);
    let mut held = HashMap::new();
    for some in variants.chunks(1_000) {
        held.extend(held_by(flow, &catalogue.part_model, some, &names).await?);
    }
    for record in &records {
        let fact = record.fact();
        let keys = rules.keys(Direction::Out, &fact);
        let keys = catalogue.readable(&format!("product {} of the ERP", record.id), keys);
        let rows = by_row(&keys);
        let active = record.variants.iter().filter(|variant| variant.active);
        let parts = active.map(|variant| Part {
            id: variant.id,
            inward: Way::Held(held.get(&ErpId(variant.id))),
            outward: Way::Made(rows.get(variant.id.to_string().as_str()).copied().unwrap_or(&[])),
        });
        let parts: Vec<Part<'_>> = parts.collect();
        let place = catalogue.add(
            rules,
            Side::Erp,
            (record.id, record.name.clone()),
            &NO_KEYS,
            &parts,
        );
        if rules.leaves_alone(&fact) {
            catalogue.left_alone.insert(place);
        }
    }
    Ok(())
}

/// What records of the ERP hold of the fields that the way in recognises them by.
async fn held_by(
    flow: &Flow<'_>,
    model: &str,
    ids: &[ErpId],
    names: &[String],
) -> Result<HashMap<ErpId, Held>, Stop> {
    if names.is_empty() || ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = flow.shop.erp.read(model, ids, names).await?;
    Ok(rows.into_iter().map(|row| (row.id, row.fields)).collect())
}

impl Catalogue {
    /// The keys, or none and a word about why.
    fn readable(&mut self, what: &str, keys: Result<Keys, Vec<FieldProblem>>) -> Keys {
        keys.unwrap_or_else(|problems| {
            if let Some(first) = problems.first().filter(|_| self.unreadable.len() < REASONS) {
                self.unreadable
                    .push(format!("{what}: {}: {}", first.target, first.reason));
            }
            Keys::default()
        })
    }

    /// Adds a record with its parts. Returns its place.
    fn add(
        &mut self,
        rules: &Rules,
        side: Side,
        (id, name): (i64, String),
        own: &Part<'_>,
        parts: &[Part<'_>],
    ) -> usize {
        let nodes = match side {
            Side::Shop => &mut self.shop,
            Side::Erp => &mut self.erp,
        };
        let node = nodes.len();
        nodes.push(Node {
            id,
            name,
            parts: parts.iter().map(|part| part.id).collect(),
        });
        let all = std::iter::once((0, own)).chain(parts.iter().enumerate());
        for (part, keys) in all {
            for (direction, way) in [(Direction::In, &keys.inward), (Direction::Out, &keys.outward)] {
                for (tier, value) in rules.tokens(direction, way) {
                    self.tokens.push(Token {
                        tier,
                        value,
                        side,
                        node,
                        part,
                    });
                }
            }
        }
        node
    }
}
