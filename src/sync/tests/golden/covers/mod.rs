//! Whether the golden orders cover what was demanded of them: every kind of order must be declared by a fixture whose own data,
//! settings and expectations show it, and none may declare a kind that it does not show.

mod facts;
mod kinds;

use super::fixture;
use facts::Facts;
use kinds::{BOUGHT, COST, HAPPENED, Kind, PAID};

/// Lower case words with one space between them.
fn words(text: &str) -> String {
    let spaced: String = text
        .to_lowercase()
        .chars()
        .map(|c| if c.is_alphanumeric() { c } else { ' ' })
        .collect();
    format!(" {} ", spaced.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn declares(covers: &[String], name: &str) -> bool {
    covers.iter().any(|cover| words(cover).contains(&words(name)))
}

fn kinds() -> impl Iterator<Item = &'static Kind> {
    [BOUGHT, COST, PAID, HAPPENED].into_iter().flatten()
}

#[test]
fn there_are_sixty_golden_orders_and_each_demand_is_covered() {
    let (fixtures, wrong) = fixture::all();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(fixtures.len() >= 60, "only {}", fixtures.len());
    let facts: Vec<Facts> = fixtures.iter().map(Facts::of).collect();
    let mut wrong = Vec::new();
    for (name, shows) in kinds() {
        let declaring: Vec<&Facts> = facts
            .iter()
            .filter(|facts| declares(&facts.fixture.covers, name))
            .collect();
        if declaring.is_empty() {
            wrong.push(format!("no golden order covers `{name}`"));
        }
        for facts in declaring.iter().filter(|facts| !shows(facts)) {
            wrong.push(format!(
                "{} declares `{name}` and does not show it",
                facts.fixture.name
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_kind_is_shown_by_the_data_alone() {
    let plain = fixture::Fixture::parse("plain", &super::sample()).unwrap();
    let facts = Facts::of(&plain);
    let shown: Vec<&str> = kinds()
        .filter(|(_, shows)| shows(&facts))
        .map(|(name, _)| *name)
        .collect();
    // Three mugs for a new customer, paid by card, tax included: nothing odd about it.
    assert_eq!(
        shown,
        ["customer not yet in the erp", "tax included", "per line rounding"]
    );
}
