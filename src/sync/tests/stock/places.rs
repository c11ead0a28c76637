//! Which warehouse feeds which location.

use super::*;
use crate::domain::NewProblem;
use crate::store::JobFilter;

/// A shop with two locations and an ERP with two warehouses, and a table of what feeds what.
async fn fed_by(text: &str) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let (_, shipped) = crate::mapping::DEFAULTS
        .iter()
        .find(|(name, _)| *name == "inventory.out.toml")
        .unwrap();
    std::fs::write(
        folder.path().join("inventory.out.toml"),
        shipped.replace("[tables.locations]\n", text),
    )
    .unwrap();
    let mappings = crate::app::mappings::load(Some(folder.path())).unwrap();
    let mut options = OdooOptions {
        services: services(),
        warehouses: vec![("Depot".into(), "DEP".into())],
        ..OdooOptions::version(Version::V18)
    };
    options.companies[0].currency = "EUR".to_owned();
    let erp = OdooSandbox::start(options).await.unwrap();
    let bench = Bench::connected(
        ShopOptions::default(),
        erp,
        CurrencyChoice::Shop,
        mappings,
        sends_stock,
    )
    .await;
    bench
        .shop
        .change(|shop| shop.put_location(77, "Depot", "Bonn", "DE"));
    bench
}

/// What a person is asked about an article's stock.
async fn asked_about(bench: &Bench, article: &Article) -> NewProblem {
    let filter = JobFilter {
        source_id: Some(bench.stock_key(article).source_id),
        ..JobFilter::default()
    };
    let job = bench.store.jobs(filter).await.unwrap().remove(0);
    job.problem
        .unwrap_or_else(|| panic!("nothing is asked: {:?}", job.state))
}

#[tokio::test]
async fn what_feeds_a_location_is_asked_for_each_of_them() {
    let bench = fed_by("[tables.locations]\n").await;
    let article = &bench.articles(1).await[0];
    let (state, _) = bench.push(article).await;
    assert_eq!(state, JobState::Problem);
    let asked = asked_about(&bench, article).await;
    assert_eq!(asked.code.0, "location_not_mapped");
    let entries = asked.entries();
    assert_eq!(entries.len(), 2, "{entries:?}");
    assert!(
        entries.iter().all(|entry| entry.table == "locations"),
        "{entries:?}"
    );
    assert!(entries.iter().any(|entry| entry.key == "77"), "{entries:?}");
}

#[tokio::test]
async fn each_location_is_fed_by_its_warehouse() {
    let bench = fed_by("[tables.locations]\n77 = 2\n").await;
    let article = &bench.articles(1).await[0];
    let before = bench.level(article);
    bench.erp.set_stock(article.erp_id, Some(1), 5).unwrap();
    bench.erp.set_stock(article.erp_id, Some(2), 8).unwrap();
    let (state, why) = bench.push(article).await;
    assert_eq!(state, JobState::Completed, "{why:?}");
    let at = bench
        .shop
        .read(|shop| shop.level(article.variant, 77).map(|level| level.available));
    assert_eq!(at, Some(8));
    assert_eq!(
        bench.level(article),
        before,
        "a location that the table does not name is left alone"
    );
}
