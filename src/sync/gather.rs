//! Gathering: the facts that a mapping names, fetched before planning so that planning does no I/O.

use std::collections::HashMap;

use crate::domain::{LinkKind, LinkState, Need, Needed, ShopName};
use crate::erp::{Erp, ErpError};
use crate::store::{Store, StoreError};

/// The answers to a mapping's needs.
pub(super) type Answers = HashMap<Need, Needed>;

/// Failing to gather.
#[derive(Debug, thiserror::Error)]
pub(super) enum GatherError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Erp(#[from] ErpError),
}

impl From<GatherError> for super::stop::Stop {
    fn from(error: GatherError) -> Self {
        match error {
            GatherError::Store(error) => Self::Store(error),
            GatherError::Erp(error) => Self::Erp(error),
        }
    }
}

/// Answers links from the store (one query for each kind) and look-ups from the ERP (cached there).
pub(super) async fn gather(
    shop: &ShopName,
    store: &dyn Store,
    erp: &dyn Erp,
    needs: &[Need],
) -> Result<Answers, GatherError> {
    let mut answers = Answers::with_capacity(needs.len());
    for kind in LinkKind::ALL {
        let ids: Vec<String> = needs
            .iter()
            .filter_map(|need| match need {
                Need::Link {
                    kind: wanted,
                    source_id,
                } if wanted == kind => Some(source_id.clone()),
                _ => None,
            })
            .collect();
        if ids.is_empty() {
            continue;
        }
        let links = store.links(shop, *kind, &ids).await?;
        for id in ids {
            let found = links
                .iter()
                .find(|link| link.source_id == id && link.state != LinkState::Retired)
                .map_or(Needed::Missing, |link| Needed::Found(link.erp_id));
            answers.insert(
                Need::Link {
                    kind: *kind,
                    source_id: id,
                },
                found,
            );
        }
    }
    for need in needs {
        if let Need::LookUp(look_up) = need
            && !answers.contains_key(need)
        {
            answers.insert(need.clone(), erp.look_up(look_up).await?);
        }
    }
    Ok(answers)
}
