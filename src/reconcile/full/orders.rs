//! Orders and their links: presence, state, amounts, mapped fields, and a second order of a number.

use std::collections::{BTreeMap, BTreeSet};

use super::book::Book;
use super::hidden::hidden;
use super::look::{Gathered, PAGE, source_of};
use super::shelf::{ShopShelf, Sign, Suspect};
use super::{Run, RunError};
use crate::domain::{DriftClass, DriftFate, ErpId, FieldValue, Link, LinkKind, Object, ShopifyId};
use crate::erp::{OrderStanding, OrderState};
use crate::store::Correction;
use crate::sync::{
    BookedFields, Moved, OrderMoved, booked_fields, expected, is_entered_by_hand, reference_of,
};

impl Run<'_> {
    /// Orders.
    pub(super) async fn orders(
        &self,
        links: &[&Link],
        shop: &mut ShopShelf,
        gathered: &mut Gathered,
        book: &mut Book,
    ) -> Result<(), RunError> {
        let ids: Vec<ErpId> = links.iter().map(|link| link.erp_id).collect();
        let standings = self.ask(self.context.erp.order_standings(&ids)).await?;
        book.looked.in_erp += standings.len() as u64;
        let references: Vec<String> = standings
            .iter()
            .filter(|standing| standing.state != OrderState::Cancelled)
            .filter_map(|standing| standing.reference.clone())
            .collect();
        let standings: BTreeMap<ErpId, _> = standings
            .into_iter()
            .map(|standing| (standing.id, standing))
            .collect();
        let is_carried = !self.context.not_in.contains(&Object::Order);
        let mut moved = self.fields_moved(links, &standings).await?;
        for link in links {
            let Some(source) = source_of(link) else { continue };
            let ours = shop.linked(source);
            let theirs = standings.get(&link.erp_id);
            if ours.is_none() && self.is_hidden(link, theirs, Some(&*shop), book).await? {
                // They are many, always the same, and no sign of damage: counted, not listed.
                book.tally(DriftClass::Deleted, DriftFate::LeftAlone, 1);
                let suspect = hidden(link, theirs);
                gathered.gone_from_erp += u64::from(theirs.is_none());
                gathered.suspects.extend(suspect);
                continue;
            }
            let Some(suspect) = self.presence(link, ours, theirs.is_some(), gathered) else {
                continue;
            };
            let is_by_hand = is_entered_by_hand(link);
            let is_cancelled = theirs.is_some_and(|theirs| theirs.state == OrderState::Cancelled);
            let is_off = ours.is_some_and(|ours| ours.is_away);
            let suspect = Suspect {
                is_away: is_cancelled && !is_off && !is_by_hand,
                ..suspect
            };
            let moved = moved.remove(&link.erp_id).unwrap_or_default();
            let moves = theirs.filter(|_| moved.is_anything()).map(|theirs| {
                let is_line_missing = !moved.missing_lines.is_empty();
                let fields = moved.own.len() + moved.lines.len() + usize::from(is_line_missing);
                let what = format!("{:?}\0{moved:?}", theirs.state);
                self.moves(suspect.updated_at, fields, &what)
            });
            let told = match moves.filter(|_| !suspect.is_away) {
                Some(moves) => self.told(source, moves).await?,
                None => None,
            };
            if told.is_none() {
                self.may_correct(link, source, &moved, book);
            }
            let suspect = Suspect {
                moves,
                told,
                ..suspect
            };
            if theirs.is_some_and(|theirs| has_other_amounts(link, theirs)) && !is_cancelled && !is_by_hand {
                gathered.suspects.push(Suspect {
                    sign: Sign::Total,
                    ..suspect
                });
            } else if is_off && !is_cancelled && !is_by_hand && is_carried {
                // What cannot be cancelled there is an open problem, or one that a person gave up.
                gathered.suspects.push(Suspect {
                    sign: Sign::Alive,
                    ..suspect
                });
            } else {
                let has_moved = suspect.is_away || moved.is_anything();
                let before = gathered.suspects.len();
                self.suspect(link, suspect, has_moved, gathered, book).await?;
                let is_known = is_by_hand || is_cancelled || booked_fields(link).is_some();
                if is_carried && !is_known && gathered.suspects.len() == before {
                    gathered.unnoted.push(Suspect {
                        sign: Sign::Unnoted,
                        ..suspect
                    });
                }
            }
        }
        self.order_twins(links, &references, &standings.keys().copied().collect(), gathered)
            .await
    }

    /// Which of the mapped fields of these orders, and of their lines, are not as they were agreed on. Orders that are
    /// cancelled there are not asked about, nor those that people entered.
    async fn fields_moved(
        &self,
        links: &[&Link],
        standings: &BTreeMap<ErpId, OrderStanding>,
    ) -> Result<BTreeMap<ErpId, OrderMoved>, RunError> {
        let stands = |link: &&&Link| {
            let standing = standings.get(&link.erp_id);
            standing.is_some_and(|standing| standing.state != OrderState::Cancelled)
                && !is_entered_by_hand(link)
        };
        let known: BTreeMap<ErpId, BookedFields> = links
            .iter()
            .filter(stands)
            .filter_map(|link| Some((link.erp_id, booked_fields(link)?)))
            .collect();
        let (Some(model), Some(first)) = (
            links.first().map(|link| link.model.as_str()),
            known.values().next(),
        ) else {
            return Ok(BTreeMap::new());
        };
        // The mapping's groups name them: they are the same for all orders of a shop, or else that order is read whole.
        let (field, lines_model) = first.lines_at();
        let mut names: BTreeSet<String> = known
            .values()
            .flat_map(|known| known.own().map(str::to_owned))
            .collect();
        names.insert(field.to_owned());
        let ids: Vec<ErpId> = known.keys().copied().collect();
        let own = self.read(model, &ids, names).await?;
        let names: BTreeSet<String> = known
            .values()
            .flat_map(|known| known.of_lines().map(str::to_owned))
            .collect();
        let numbers: Vec<ErpId> = own
            .values()
            .filter_map(|own| match own.get(field) {
                Some(FieldValue::Records(lines)) => Some(lines.clone()),
                _ => None,
            })
            .flatten()
            .collect();
        let mut lines = BTreeMap::new();
        let mut named: BTreeMap<String, ErpId> = BTreeMap::new();
        for some in numbers.chunks(PAGE as usize) {
            lines.extend(self.read(lines_model, some, names.clone()).await?);
            let of = self.ask(self.context.erp.external_ids(lines_model, some)).await?;
            let ours = of.into_iter().filter(|(_, name)| name.shop == self.shop.name);
            named.extend(ours.map(|(id, name)| (name.name, id)));
        }
        let table = self.ask(self.context.erp.fields(model)).await?;
        let html = |field: &str| table.0.get(field).is_some_and(|info| info.kind == "html");
        let moved = known.iter().filter_map(|(id, known)| {
            let own = own.get(id)?;
            Some((*id, known.moved(own, &named, &lines, &html)))
        });
        Ok(moved.collect())
    }

    /// Notes which values people may have put in place of ours.
    fn may_correct(&self, link: &Link, source: ShopifyId, moved: &OrderMoved, book: &mut Book) {
        let mut note = |model: &str, id: ErpId, moved: &Moved| {
            let correction = Correction {
                shop: self.shop.name.clone(),
                object: Object::Order,
                source_id: source,
                field: moved.field.clone(),
                value: moved.value.clone(),
                mapping: "order.in.toml".to_owned(),
            };
            book.may_correct(model, id, correction);
        };
        for one in &moved.own {
            note(&link.model, link.erp_id, one);
        }
        let known = booked_fields(link);
        let model = known.as_ref().map_or("", |known| known.lines_at().1);
        for (id, one) in &moved.lines {
            note(model, *id, one);
        }
    }

    /// Orders of the ERP that carry the number of a linked one, and that no link leads to.
    async fn order_twins(
        &self,
        links: &[&Link],
        references: &[String],
        ours: &BTreeSet<ErpId>,
        gathered: &mut Gathered,
    ) -> Result<(), RunError> {
        let erp = &self.context.erp;
        let found = self.ask(erp.orders_of_references(references)).await?;
        let others: Vec<ErpId> = found
            .iter()
            .map(|(id, _)| *id)
            .filter(|id| !ours.contains(id))
            .collect();
        if others.is_empty() {
            return Ok(());
        }
        let linked = self
            .context
            .store
            .links_of_erp(&self.shop.name, LinkKind::Order, &others)
            .await?;
        let mut known: BTreeSet<ErpId> = linked.into_iter().map(|link| link.erp_id).collect();
        let model = links.first().map(|link| link.model.as_str()).unwrap_or_default();
        let others: Vec<ErpId> = others.into_iter().filter(|id| !known.contains(id)).collect();
        known.extend(self.of_other_shops(model, &others, &found).await?);
        for other in others.into_iter().filter(|id| !known.contains(id)) {
            let reference = found.iter().find(|(id, _)| *id == other).map(|(_, name)| name);
            let beside = found
                .iter()
                .find(|(id, name)| ours.contains(id) && Some(name) == reference)
                .map(|(id, _)| *id);
            gathered.suspects.push(Suspect {
                beside,
                ..Suspect::new(Sign::ErpTwin, None, Some(other))
            });
        }
        Ok(())
    }

    /// Those of these orders that are another shop's: two shops that are booked in one company may both have a number.
    async fn of_other_shops(
        &self,
        model: &str,
        ids: &[ErpId],
        references: &[(ErpId, String)],
    ) -> Result<BTreeSet<ErpId>, RunError> {
        if ids.is_empty() {
            return Ok(BTreeSet::new());
        }
        let named = self.ask(self.context.erp.external_ids(model, ids)).await?;
        let named = named.into_iter().filter(|(_, name)| name.shop != self.shop.name);
        let mut theirs: BTreeSet<ErpId> = named.map(|(id, _)| id).collect();
        for shop in self.shop.shops.iter().filter(|name| **name != self.shop.name) {
            let links = self.context.store.links_of_erp(shop, LinkKind::Order, ids);
            for link in self.life.with(links).await?? {
                let reference = references.iter().find(|(id, _)| *id == link.erp_id);
                let reference = reference.map(|(_, reference)| reference.as_str());
                // The shop may be booked in another ERP, where the same record number is another order.
                if is_entered_by_hand(&link) || reference_of(&link) == reference {
                    theirs.insert(link.erp_id);
                }
            }
        }
        Ok(theirs)
    }
}

/// Whether the ERP's order comes to something else than what was booked and proven.
pub(super) fn has_other_amounts(link: &Link, theirs: &OrderStanding) -> bool {
    expected(link).is_some_and(|expected| {
        expected.total != theirs.total || expected.tax.is_some_and(|tax| tax != theirs.tax)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::{LinkState, parse_decimal};

    #[test]
    fn an_order_is_looked_at_where_its_total_or_its_tax_is_another_one() {
        let both = json!({ "total": "119.00", "tax": "19.00" });
        for (agreed, total, tax, expected) in [
            (both.clone(), "119", "19", false),
            (both.clone(), "118.99", "19", true),
            (both, "119", "18.99", true),
            // Booked by a version that noted no tax.
            (json!({ "total": "119.00" }), "119", "0", false),
            (json!({ "total": "119.00" }), "120", "0", true),
            (json!({}), "1", "1", false),
        ] {
            let link = Link {
                shop: "main".parse().unwrap(),
                kind: LinkKind::Order,
                source_id: "1".to_owned(),
                model: "sale.order".to_owned(),
                erp_id: ErpId(7),
                erp_name: None,
                state: LinkState::Linked,
                source_updated_at: None,
                agreed,
                agreed_out: serde_json::Value::Null,
                writes: serde_json::Value::Null,
            };
            let theirs = OrderStanding {
                id: ErpId(7),
                name: "S00007".to_owned(),
                reference: None,
                state: OrderState::Confirmed,
                ordered_at: None,
                tax: parse_decimal(tax).unwrap(),
                total: parse_decimal(total).unwrap(),
            };
            let found = has_other_amounts(&link, &theirs);
            assert_eq!(found, expected, "{} against {total} and {tax}", link.agreed);
        }
    }
}
