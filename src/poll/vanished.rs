//! Many records that are gone at once: an ERP that was restored from an older copy, or exchanged for another one, looks like
//! that. Then nothing is done until a person says that it is right, or until the records are there again.

use crate::domain::{ShopName, Timestamp};
use crate::store::{SharedStore, StoreError};

/// Part of the known rows that may be gone at once, in percent.
const PERCENT: u64 = 5;

/// So many may always be gone: a small catalogue has no five percent to speak of.
const ALWAYS: u64 = 20;

/// Rows that are gone, of those that were there when all ids were listed last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vanished {
    /// How many are gone.
    pub gone: u64,
    /// How many were there.
    pub known: u64,
}

impl Vanished {
    /// Whether these are more than may be gone without a word of a person.
    pub fn is_sudden(self) -> bool {
        self.gone > ALWAYS.max(self.known.saturating_mul(PERCENT) / 100)
    }
}

/// What was said of a model's rows that are gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hold {
    /// Nothing: not too many were gone.
    #[default]
    None,
    /// Too many are gone, and a person was asked.
    Held,
    /// A person said that it is right; the next list makes the jobs.
    Accepted,
}

impl Hold {
    fn place(model: &str) -> String {
        format!("erp_vanished/{model}")
    }

    /// As it stands.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn read(store: &SharedStore, shop: &ShopName, model: &str) -> Result<Self, StoreError> {
        let word = store.cursor(shop, &Self::place(model)).await?;
        Ok(match word.as_deref() {
            Some("held") => Self::Held,
            Some("accepted") => Self::Accepted,
            _ => Self::None,
        })
    }

    /// Notes it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn write(
        self,
        store: &SharedStore,
        shop: &ShopName,
        model: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let word = match self {
            Self::None => "",
            Self::Held => "held",
            Self::Accepted => "accepted",
        };
        store.set_cursor(shop, &Self::place(model), word, now).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_percent_and_never_fewer_than_twenty_may_be_gone() {
        for (gone, known, expected) in [
            (0, 0, false),
            (20, 20, false),
            (21, 21, true),
            (21, 400, true),
            (20, 400, false),
            (50, 1_000, false),
            (51, 1_000, true),
        ] {
            assert_eq!(
                Vanished { gone, known }.is_sudden(),
                expected,
                "{gone} of {known}"
            );
        }
    }
}
