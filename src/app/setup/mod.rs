//! `setup`: what a shop's ERP lacks before orders can be booked, and making it once a person agrees.
//!
//! Made are only records that nothing else depends on and that a repetition finds again: service products, price lists,
//! optional fields of orders. Journals, currencies and accounts are an accountant's: they are named, never made.

mod journals;
mod wishes;

use serde::Serialize;

use super::connect;
use crate::config::{Config, Shop};
use crate::domain::{Disposition, SharedClock, SharedEntropy, ShopName};
use crate::erp::{ErpError, SetupState, SetupWish, SharedErp};
use crate::mapping::Mappings;
use crate::transport::BuildError;

pub use wishes::{ORDER_FIELDS, PURPOSES};

/// What a shop's ERP has and lacks.
#[derive(Debug, Serialize)]
pub struct SetupPlan {
    /// The shop.
    pub shop: ShopName,
    /// The server, its database and version, for people.
    pub erp: String,
    /// One row for each thing.
    pub rows: Vec<SetupRow>,
    #[serde(skip)]
    client: Client,
}

/// The ERP's client, which has no `Debug` of its own.
struct Client(SharedErp);

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

/// One thing that the shop needs in the ERP.
#[derive(Clone, Debug, Serialize)]
pub struct SetupRow {
    /// What it is: `currency`, `price list`, `service product`, `gift card account`, `order field`, `journal`.
    pub what: &'static str,
    /// Which one.
    pub name: String,
    /// How it stands.
    pub state: RowState,
    /// What was seen or made, or what is to be made.
    pub note: String,
    /// How a person does it; the same words for all things of a kind.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub how: String,
    /// What is asked of the ERP for it.
    #[serde(skip)]
    wish: Option<SetupWish>,
}

/// How it stands with one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RowState {
    /// It was there before.
    There,
    /// It is missing, and `setup apply` makes it.
    Missing,
    /// It was made just now.
    Made,
    /// It is missing, and the API user may not make it.
    NeedsAdministrator,
    /// It is missing, and a person has to see to it.
    ByHand,
    /// It could not be looked at or made.
    Failed,
    /// Nothing has to be done now; it is told for a decision of your own.
    Named,
}

impl RowState {
    /// Whether something is left to be done.
    pub const fn is_open(self) -> bool {
        matches!(
            self,
            Self::Missing | Self::NeedsAdministrator | Self::ByHand | Self::Failed
        )
    }
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum SetupFailure {
    /// A client cannot be made.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The ERP does not answer us.
    #[error(transparent)]
    Erp(#[from] ErpError),
}

impl SetupPlan {
    /// How many rows are in this state.
    pub fn count(&self, state: RowState) -> usize {
        self.rows.iter().filter(|row| row.state == state).count()
    }

    /// Whether nothing is left to be done.
    pub fn is_complete(&self) -> bool {
        !self.rows.iter().any(|row| row.state.is_open())
    }

    /// Makes what is missing and can be made, one after the other; what fails does not stop the rest.
    pub async fn apply(&mut self) {
        let erp = &self.client.0;
        for row in self.rows.iter_mut().filter(|row| row.state == RowState::Missing) {
            let Some(wish) = &row.wish else { continue };
            let made = erp.setup_make(wish).await;
            match made {
                Ok(()) => match erp.setup_state(wish).await {
                    Ok(SetupState::There(note)) => {
                        (row.state, row.note) = (RowState::Made, note);
                        row.how.clear();
                    }
                    Ok(_) => {
                        row.state = RowState::Failed;
                        row.note = "it was made, and still cannot be found".to_owned();
                    }
                    Err(error) => (row.state, row.note) = (RowState::Failed, error.to_string()),
                },
                // Rights on single records are seen only now.
                Err(ErpError::Forbidden { .. }) => row.state = RowState::NeedsAdministrator,
                Err(error) => (row.state, row.note) = (RowState::Failed, error.to_string()),
            }
        }
        // Something that was made may be what another row waited for.
        for row in self.rows.iter_mut().filter(|row| row.state == RowState::ByHand) {
            if let Some(wish) = &row.wish
                && let Ok(state) = erp.setup_state(wish).await
            {
                row.take(state);
            }
        }
    }
}

impl SetupRow {
    fn new(what: &'static str, name: impl Into<String>, state: RowState, note: impl Into<String>) -> Self {
        Self {
            what,
            name: name.into(),
            state,
            note: note.into(),
            wish: None,
            how: String::new(),
        }
    }

    fn take(&mut self, state: SetupState) {
        (self.state, self.note, self.how) = match state {
            SetupState::There(note) => (RowState::There, note, String::new()),
            SetupState::Missing { note, how } => (RowState::Missing, note, how),
            SetupState::Administrator { note, how } => (RowState::NeedsAdministrator, note, how),
            SetupState::ByHand(note) => (RowState::ByHand, note, String::new()),
            SetupState::Unneeded(note) => (RowState::Named, note, String::new()),
        };
    }
}

/// Looks at the shop's ERP. Changes nothing.
///
/// # Errors
/// When the ERP does not answer us at all; what only one row is about is told in that row.
pub async fn plan(
    config: &Config,
    shop: &Shop,
    mappings: &Mappings,
    clock: &SharedClock,
    entropy: &SharedEntropy,
) -> Result<SetupPlan, SetupFailure> {
    let shopify = connect::shopify(shop, clock, entropy)?;
    let erp = connect::erp(shop, clock)?;
    let about = erp.about().await?;
    let mut rows = Vec::new();
    let currencies = match shopify.currencies().await {
        Ok(currencies) => currencies,
        Err(error) => {
            let note = format!("Shopify did not say which: {error}. {}", error.fix());
            rows.push(SetupRow::new("currency", "of the shop", RowState::Failed, note));
            Vec::new()
        }
    };
    for wish in wishes::wishes(config, shop, mappings, &currencies) {
        let (what, name) = wishes::named(&wish);
        let mut row = SetupRow::new(what, name, RowState::Failed, "");
        match erp.setup_state(&wish).await {
            Ok(state) => row.take(state),
            Err(error) if matches!(error.disposition(), Disposition::SystemDown { .. }) => {
                return Err(error.into());
            }
            Err(error) => row.note = error.to_string(),
        }
        row.wish = Some(wish);
        rows.push(row);
    }
    rows.extend(journals::rows(shop, mappings, &shopify, &erp, clock.now()).await);
    Ok(SetupPlan {
        shop: shop.name.clone(),
        erp: format!(
            "{} {} at {}, database {}",
            about.product, about.version, shop.odoo.server.url, shop.odoo.server.database
        ),
        rows,
        client: Client(erp),
    })
}
