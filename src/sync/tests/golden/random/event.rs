//! What may happen to an order after it was booked.

use proptest::prelude::*;

use super::order::Line;

/// Something that happens on Shopify.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// Units that were not sent are taken off; their money goes back, or stays to be settled.
    Remove {
        line: usize,
        units: u32,
        paid_back: bool,
    },
    /// A line is added and paid.
    Add(Line),
    /// A parcel leaves with so many units of each line.
    Send { units: u32 },
    /// Units that were sent come back and are paid back.
    Return {
        line: usize,
        units: u32,
        restocked: bool,
    },
    /// A shipping line is paid back.
    Shipping { line: usize },
    /// So many of the smallest units are given back without any line.
    Goodwill(u32),
    /// Everything is called off, if nothing was sent.
    Cancel,
}

pub(super) fn events(line: impl Strategy<Value = Line> + 'static) -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        4 => (0usize..6, 1u32..=3, any::<bool>())
            .prop_map(|(line, units, paid_back)| Event::Remove { line, units, paid_back }),
        3 => line.prop_map(Event::Add),
        3 => (1u32..=1000).prop_map(|units| Event::Send { units }),
        3 => (0usize..6, 1u32..=3, any::<bool>())
            .prop_map(|(line, units, restocked)| Event::Return { line, units, restocked }),
        1 => (0usize..2).prop_map(|line| Event::Shipping { line }),
        1 => (1u32..=50).prop_map(Event::Goodwill),
        1 => Just(Event::Cancel),
    ];
    prop::collection::vec(event, 1..=4)
}
