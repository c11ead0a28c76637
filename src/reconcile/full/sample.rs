//! A sample: linked records picked at random.

use super::book::Book;
use super::look::{TOGETHER, source_of};
use super::shelf::{Sign, Suspect};
use super::{Run, RunError};

impl Run<'_> {
    /// Linked records picked at random, each as likely as any other.
    pub(super) async fn picked(&self, count: u32, book: &mut Book) -> Result<Vec<Suspect>, RunError> {
        let wanted = usize::try_from(count).unwrap_or(usize::MAX);
        let mut picked: Vec<Suspect> = Vec::new();
        let mut after = None;
        loop {
            let store = &self.context.store;
            let links = store.links_in_order(&self.shop.name, self.kind, after, TOGETHER);
            let links = self.life.with(links).await??;
            for link in links.iter().filter(|link| source_of(link).is_some()) {
                book.looked.linked += 1;
                let suspect = Suspect::new(Sign::Picked, source_of(link), Some(link.erp_id));
                if picked.len() < wanted {
                    picked.push(suspect);
                    continue;
                }
                let place = below(self.shop.entropy.unit(), book.looked.linked);
                if let Some(place) = picked.get_mut(place) {
                    *place = suspect;
                }
            }
            after = links.last().map(|link| link.erp_id);
            if links.len() < TOGETHER as usize {
                return Ok(picked);
            }
        }
    }
}

/// A place below `count`, from an even number between 0 and 1.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::float_arithmetic,
    reason = "a place in a list, drawn by chance"
)]
fn below(unit: f64, count: u64) -> usize {
    (unit * count as f64) as usize
}
