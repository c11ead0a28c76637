//! Which warehouse feeds which location.

use super::*;

#[tokio::test]
async fn each_location_is_fed_by_its_warehouse() {
    let text = "[tables.locations]\n77 = 2\n";
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
