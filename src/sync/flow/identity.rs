//! Whether a record of the ERP is still the one that was linked.

use serde_json::json;

use super::super::agree::{Agreement, hash};
use super::super::stop::Stop;
use super::Flow;
use crate::domain::{ErpId, FieldValue, Link, LinkState};
use crate::erp::Row;
use crate::mapping::Mapped;

impl Flow<'_> {
    /// Makes sure that a record is still the one that it was, before it is written to: an ERP that was restored or
    /// exchanged holds strangers under the numbers that we know. `held` are the record and what belongs to it, each with
    /// what was agreed on before.
    ///
    /// A record that we made carries our name for it (`own`). An adopted one has none: it must still match by one of the
    /// mapping's keys, or hold most of what was agreed on.
    pub(in crate::sync) async fn check_identity(
        &self,
        mapped: &Mapped,
        own: &str,
        held: &[(&Agreement, &Row)],
    ) -> Result<(), Stop> {
        let Some((_, record)) = held.first() else {
            return Ok(());
        };
        let named = self.shop.erp.identify(&self.external_id(own)?).await?;
        if named.is_some_and(|found| found.id == record.id && found.model == mapped.model) {
            return Ok(());
        }
        let holds = |(field, value): &(String, FieldValue)| {
            record
                .fields
                .get(field)
                .is_some_and(|now| hash(now) == hash(value))
        };
        if mapped.match_keys.iter().any(|key| key.equal.iter().all(holds)) || resembles(held) {
            return Ok(());
        }
        Err(self
            .subject
            .problem(
                "erp_record_is_a_stranger",
                &mapped.model,
                format!(
                    "The ERP record {} is not the one that was linked: it carries neither our external id nor the values that it had.",
                    record.id
                ),
                "Find out whether the ERP was restored or exchanged, and pause the shop until then. If the record is right, give it back a value that it is recognised by (e-mail address, SKU), then retry.",
            )
            .into())
    }

    /// Retires those links whose ERP records do not exist any more, and says which.
    pub(in crate::sync) async fn retire_dead(&self, links: Vec<Link>) -> Result<Vec<Link>, Stop> {
        let dead = self.dead_among(&links).await?;
        for link in &dead {
            self.note(
                "link_is_dead",
                json!({ "kind": link.kind, "model": link.model, "id": link.erp_id }),
            );
        }
        if !dead.is_empty() {
            self.commit_links(dead.clone()).await?;
        }
        Ok(dead)
    }

    /// Those links whose ERP records do not exist any more, as retired ones. Nothing is written.
    pub(in crate::sync) async fn dead_among(&self, links: &[Link]) -> Result<Vec<Link>, Stop> {
        let mut dead = Vec::new();
        let mut models: Vec<String> = links.iter().map(|link| link.model.clone()).collect();
        models.sort();
        models.dedup();
        for model in models {
            let of_model = || links.iter().filter(|link| link.model == model);
            let ids: Vec<ErpId> = of_model().map(|link| link.erp_id).collect();
            let there = self.shop.erp.read(&model, &ids, &[]).await?;
            dead.extend(
                of_model()
                    .filter(|link| there.iter().all(|row| row.id != link.erp_id))
                    .map(|link| Link {
                        state: LinkState::Retired,
                        ..link.clone()
                    }),
            );
        }
        Ok(dead)
    }
}

/// Whether more than half of what was agreed on is still there. Empty fields are alike everywhere and tell nothing.
fn resembles(held: &[(&Agreement, &Row)]) -> bool {
    let nothing = hash(&FieldValue::Clear);
    let mut same = 0_usize;
    let mut known = 0_usize;
    for (agreed, row) in held {
        for (field, agreed) in *agreed {
            let (Some(target), Some(now)) = (&agreed.target, row.fields.get(field)) else {
                continue;
            };
            if *target != nothing {
                known += 1;
                same += usize::from(hash(now) == *target);
            }
        }
    }
    known == 0 || same * 2 > known
}
