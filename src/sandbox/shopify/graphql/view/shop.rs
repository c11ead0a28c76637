//! The shop itself, its places and the app's installation.

use super::{id, legacy, strings};
use crate::sandbox::shopify::facts::country_name;
use crate::sandbox::shopify::graphql::node::{Args, Node, Out};
use crate::sandbox::shopify::shop::Shop;

/// The shop.
pub(super) struct ShopNode<'a>(pub(super) &'a Shop);

impl<'a> Node<'a> for ShopNode<'a> {
    fn type_name(&self) -> &'static str {
        "Shop"
    }

    fn field(&self, name: &str, _: &Args) -> Out<'a> {
        let shop = self.0;
        match name {
            "id" => id("Shop", shop.id),
            "name" => Out::leaf(shop.name.clone()),
            "myshopifyDomain" => Out::leaf(shop.domain.clone()),
            "url" => Out::leaf(format!("https://{}", shop.domain)),
            "email" | "contactEmail" => Out::leaf(format!("owner@{}", shop.domain)),
            "currencyCode" => Out::leaf(shop.currency.clone()),
            "enabledPresentmentCurrencies" => strings([&shop.currency]),
            "ianaTimezone" => Out::leaf(shop.zone.name()),
            "timezoneAbbreviation" => {
                Out::leaf(shop.now().with_timezone(&shop.zone).format("%Z").to_string())
            }
            "timezoneOffset" => Out::leaf(shop.now().with_timezone(&shop.zone).format("%z").to_string()),
            "weightUnit" => Out::leaf("KILOGRAMS"),
            "unitSystem" => Out::leaf("METRIC_SYSTEM"),
            "orderNumberFormatPrefix" => Out::leaf("#"),
            "orderNumberFormatSuffix" => Out::leaf(""),
            "primaryDomain" => Out::record(
                "Domain",
                vec![
                    ("id", id("Domain", shop.id)),
                    ("host", Out::leaf(shop.domain.clone())),
                    ("url", Out::leaf(format!("https://{}", shop.domain))),
                    ("sslEnabled", Out::leaf(true)),
                ],
            ),
            "plan" => Out::record(
                "ShopPlan",
                vec![
                    ("displayName", Out::leaf("Basic")),
                    ("publicDisplayName", Out::leaf("Basic")),
                ],
            ),
            "shopAddress" | "billingAddress" => Out::record(
                "ShopAddress",
                vec![
                    ("id", id("ShopAddress", shop.id)),
                    ("country", Out::leaf(country_name(&shop.country))),
                    ("countryCodeV2", Out::leaf(shop.country.clone())),
                ],
            ),
            _ => Out::Absent,
        }
    }
}

/// A place that stocks goods; null when there is no such place.
pub(super) fn location<'a>(shop: &Shop, number: u64) -> Out<'a> {
    shop.location(number).map_or(Out::Absent, |place| {
        let address = Out::record(
            "LocationAddress",
            vec![
                ("city", Out::leaf(place.city.clone())),
                ("countryCode", Out::leaf(place.country_code.clone())),
                ("country", Out::leaf(country_name(&place.country_code))),
            ],
        );
        Out::record(
            "Location",
            vec![
                ("id", id("Location", place.id)),
                ("legacyResourceId", legacy(place.id)),
                ("name", Out::leaf(place.name.clone())),
                ("isActive", Out::leaf(place.active)),
                ("isPrimary", Out::leaf(place.id == shop.main_location())),
                (
                    "fulfillsOnlineOrders",
                    Out::leaf(place.fulfills_online && place.active),
                ),
                ("shipsInventory", Out::leaf(true)),
                ("address", address),
            ],
        )
    })
}

/// The installation of the app that asks.
pub(super) fn installation<'a>(shop: &Shop) -> Out<'a> {
    let scopes = shop.scopes.iter().map(|handle| {
        let fields = vec![
            ("handle", Out::leaf(handle.clone())),
            ("description", Out::leaf(handle.clone())),
        ];
        Out::record("AccessScope", fields)
    });
    let app = Out::record(
        "App",
        vec![
            ("id", id("App", 1)),
            ("title", Out::leaf("Connector")),
            ("handle", Out::leaf("connector")),
        ],
    );
    Out::record(
        "AppInstallation",
        vec![
            ("id", id("AppInstallation", 1)),
            ("accessScopes", Out::list(scopes)),
            ("app", app),
        ],
    )
}

/// A version of the API.
pub(super) fn version<'a>(handle: &str) -> Out<'a> {
    Out::record(
        "ApiVersion",
        vec![
            ("handle", Out::leaf(handle)),
            ("displayName", Out::leaf(handle)),
            ("supported", Out::leaf(true)),
        ],
    )
}
