//! Products, variants and stock.

use serde_json::Value as Json;

use super::shop::location;
use super::{count, float, id, legacy, maybe_time, metafield, metafields, money, strings, time};
use crate::sandbox::shopify::facts::{Image, Level, Product, Variant};
use crate::sandbox::shopify::graphql::node::{Args, Failure, Node, Out};
use crate::sandbox::shopify::graphql::page::page_of_list;
use crate::sandbox::shopify::ids::{gid, parse_gid};
use crate::sandbox::shopify::money::graphql_text;
use crate::sandbox::shopify::shop::Shop;

/// One product.
pub(super) struct ProductNode<'a> {
    pub(super) shop: &'a Shop,
    pub(super) product: &'a Product,
}

impl<'a> Node<'a> for ProductNode<'a> {
    fn type_name(&self) -> &'static str {
        "Product"
    }

    fn field(&self, name: &str, args: &Args) -> Out<'a> {
        let (shop, product) = (self.shop, self.product);
        let prices = || product.variants.iter().map(|v| v.price);
        match name {
            "id" => id("Product", product.id),
            "legacyResourceId" => legacy(product.id),
            "title" => Out::leaf(product.title.clone()),
            "handle" => Out::leaf(product.handle.clone()),
            "descriptionHtml" | "bodyHtml" => Out::leaf(product.description_html.clone()),
            "description" => Out::leaf(without_tags(&product.description_html)),
            "vendor" => Out::leaf(product.vendor.clone()),
            "productType" => Out::leaf(product.product_type.clone()),
            "status" => Out::leaf(product.status.name()),
            "tags" => strings(&product.tags),
            "isGiftCard" => Out::leaf(product.gift_card),
            "hasOnlyDefaultVariant" => Out::leaf(product.only_default_variant()),
            "createdAt" => time(product.created_at),
            "updatedAt" => time(product.updated_at),
            "publishedAt" => maybe_time(product.published_at),
            "tracksInventory" => Out::leaf(product.variants.iter().any(|v| v.item.tracked)),
            "totalInventory" => Out::leaf(
                product
                    .variants
                    .iter()
                    .filter(|v| v.item.tracked)
                    .map(|v| v.item.available())
                    .sum::<i64>(),
            ),
            "hasVariantsThatRequiresComponents" => Out::leaf(false),
            "category" => product.category.as_ref().map_or(Out::Absent, |(id, name)| {
                let fields = vec![
                    ("id", Out::leaf(id.clone())),
                    ("fullName", Out::leaf(name.clone())),
                ];
                Out::record("TaxonomyCategory", fields)
            }),
            "options" => Out::list(product.options.iter().enumerate().map(|(index, option)| {
                Out::record(
                    "ProductOption",
                    vec![
                        ("id", id("ProductOption", option.id)),
                        ("name", Out::leaf(option.name.clone())),
                        ("position", Out::leaf(index + 1)),
                        ("values", strings(option.values.iter().map(|v| &v.name))),
                        (
                            "optionValues",
                            Out::list(option.values.iter().map(|v| {
                                Out::record(
                                    "ProductOptionValue",
                                    vec![
                                        ("id", id("ProductOptionValue", v.id)),
                                        ("name", Out::leaf(v.name.clone())),
                                        ("hasVariants", Out::leaf(true)),
                                    ],
                                )
                            })),
                        ),
                    ],
                )
            })),
            "totalVariants" => Out::leaf(product.variants.len()),
            "variantsCount" => count(product.variants.len()),
            "variants" => page_of_list(args, product.variants.iter().collect(), |variant| {
                Out::node(VariantNode {
                    shop,
                    product,
                    variant,
                })
            }),
            "mediaCount" => count(product.images.len()),
            "media" => page_of_list(args, product.images.iter().collect(), |image| media(image)),
            "featuredMedia" => product.images.first().map_or(Out::Absent, media),
            "priceRangeV2" => Out::record(
                "ProductPriceRangeV2",
                vec![
                    (
                        "minVariantPrice",
                        money(prices().min().unwrap_or_default(), &shop.currency),
                    ),
                    (
                        "maxVariantPrice",
                        money(prices().max().unwrap_or_default(), &shop.currency),
                    ),
                ],
            ),
            "metafield" => metafield(
                Out::node(ProductNode { shop, product }),
                &product.metafields,
                args,
            ),
            "metafields" => metafields(
                &Out::node(ProductNode { shop, product }),
                &product.metafields,
                args,
            ),
            _ => Out::Absent,
        }
    }
}

fn without_tags(html: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for c in html.chars() {
        match c {
            '<' => inside = true,
            '>' => inside = false,
            c if !inside => text.push(c),
            _ => {}
        }
    }
    text
}

fn media<'a>(image: &Image) -> Out<'a> {
    let picture = Out::record(
        "Image",
        vec![
            ("id", id("ImageSource", image.id)),
            ("url", Out::leaf(image.url.clone())),
            ("altText", Out::leaf(image.alt.clone())),
        ],
    );
    Out::record(
        "MediaImage",
        vec![
            ("id", id("MediaImage", image.id)),
            ("mediaContentType", Out::leaf("IMAGE")),
            ("alt", Out::leaf(image.alt.clone())),
            ("status", Out::leaf("READY")),
            ("fileStatus", Out::leaf("READY")),
            ("image", picture),
        ],
    )
}

/// One variant.
pub(super) struct VariantNode<'a> {
    pub(super) shop: &'a Shop,
    pub(super) product: &'a Product,
    pub(super) variant: &'a Variant,
}

impl<'a> Node<'a> for VariantNode<'a> {
    fn type_name(&self) -> &'static str {
        "ProductVariant"
    }

    fn field(&self, name: &str, args: &Args) -> Out<'a> {
        let (shop, product, variant) = (self.shop, self.product, self.variant);
        match name {
            "id" => id("ProductVariant", variant.id),
            "legacyResourceId" => legacy(variant.id),
            "title" => Out::leaf(variant.title()),
            "displayName" => Out::leaf(format!("{} - {}", product.title, variant.title())),
            "position" => Out::leaf(
                product
                    .variants
                    .iter()
                    .position(|v| v.id == variant.id)
                    .map(|p| p + 1),
            ),
            "sku" => Out::leaf(variant.sku.clone()),
            "barcode" => Out::leaf(variant.barcode.clone()),
            "price" => Out::leaf(graphql_text(variant.price)),
            "compareAtPrice" => Out::leaf(variant.compare_at_price.map(graphql_text)),
            "taxable" => Out::leaf(variant.taxable),
            "inventoryPolicy" => Out::leaf(if variant.oversell { "CONTINUE" } else { "DENY" }),
            "inventoryQuantity" | "sellableOnlineQuantity" => Out::leaf(variant.item.available()),
            "availableForSale" => {
                Out::leaf(variant.oversell || !variant.item.tracked || variant.item.available() > 0)
            }
            "requiresComponents" => Out::leaf(false),
            "createdAt" => time(variant.created_at),
            "updatedAt" => time(variant.updated_at),
            "selectedOptions" => Out::list(product.options.iter().zip(&variant.option_values).map(
                |(option, value)| {
                    let fields = vec![
                        ("name", Out::leaf(option.name.clone())),
                        ("value", Out::leaf(value.clone())),
                    ];
                    Out::record("SelectedOption", fields)
                },
            )),
            "product" => Out::node(ProductNode { shop, product }),
            "inventoryItem" => Out::node(ItemNode {
                shop,
                product,
                variant,
            }),
            "metafield" => metafield(
                Out::node(VariantNode {
                    shop,
                    product,
                    variant,
                }),
                &variant.metafields,
                args,
            ),
            "metafields" => metafields(
                &Out::node(VariantNode {
                    shop,
                    product,
                    variant,
                }),
                &variant.metafields,
                args,
            ),
            _ => Out::Absent,
        }
    }
}

/// The inventory item of a variant.
pub(super) struct ItemNode<'a> {
    pub(super) shop: &'a Shop,
    pub(super) product: &'a Product,
    pub(super) variant: &'a Variant,
}

impl<'a> Node<'a> for ItemNode<'a> {
    fn type_name(&self) -> &'static str {
        "InventoryItem"
    }

    fn field(&self, name: &str, args: &Args) -> Out<'a> {
        let (shop, variant) = (self.shop, self.variant);
        let item = &variant.item;
        match name {
            "id" => id("InventoryItem", item.id),
            "legacyResourceId" => legacy(item.id),
            "sku" => Out::leaf(variant.sku.clone()),
            "tracked" => Out::leaf(item.tracked),
            "requiresShipping" => Out::leaf(item.requires_shipping),
            "duplicateSkuCount" => Out::leaf(self.same_sku()),
            "countryCodeOfOrigin" => Out::leaf(item.origin.clone()),
            "harmonizedSystemCode" => Out::leaf(item.hs_code.clone()),
            "unitCost" => item.cost.map_or(Out::Absent, |cost| money(cost, &shop.currency)),
            "createdAt" => time(variant.created_at),
            "updatedAt" => time(variant.updated_at),
            "measurement" => {
                let weight = Out::record(
                    "Weight",
                    vec![
                        ("value", Out::leaf(float(item.weight_kg))),
                        ("unit", Out::leaf("KILOGRAMS")),
                    ],
                );
                let fields = vec![
                    ("id", id("InventoryItemMeasurement", item.id)),
                    ("weight", weight),
                ];
                Out::record("InventoryItemMeasurement", fields)
            }
            "locationsCount" => count(item.levels.len()),
            "inventoryLevels" => page_of_list(args, item.levels.iter().collect(), |level| {
                level_node(shop, variant, level)
            }),
            "inventoryLevel" => {
                let wanted = args.get("locationId").and_then(Json::as_str).and_then(parse_gid);
                let found = item
                    .levels
                    .iter()
                    .find(|l| wanted.is_some_and(|(_, id)| id == l.location));
                found.map_or(Out::Absent, |level| level_node(shop, variant, level))
            }
            "variant" => self.variant_node(),
            "variants" => page_of_list(args, vec![()], |()| self.variant_node()),
            _ => Out::Absent,
        }
    }
}

impl<'a> ItemNode<'a> {
    fn variant_node(&self) -> Out<'a> {
        Out::node(VariantNode {
            shop: self.shop,
            product: self.product,
            variant: self.variant,
        })
    }

    /// How many other items carry the same SKU.
    fn same_sku(&self) -> usize {
        let sku = self.variant.sku.as_deref().filter(|s| !s.is_empty());
        let all = self.shop.products.values().flat_map(|p| &p.variants);
        sku.map_or(0, |sku| {
            all.filter(|v| v.sku.as_deref() == Some(sku))
                .count()
                .saturating_sub(1)
        })
    }
}

/// Stock of an item at a place.
pub(super) fn level_node<'a>(shop: &'a Shop, variant: &'a Variant, level: &'a Level) -> Out<'a> {
    Out::node(LevelNode { shop, variant, level })
}

struct LevelNode<'a> {
    shop: &'a Shop,
    variant: &'a Variant,
    level: &'a Level,
}

impl<'a> Node<'a> for LevelNode<'a> {
    fn type_name(&self) -> &'static str {
        "InventoryLevel"
    }

    fn field(&self, name: &str, args: &Args) -> Out<'a> {
        let level = self.level;
        let item = self.variant.item.id;
        match name {
            "id" => Out::leaf(format!(
                "{}?inventory_item_id={item}",
                gid("InventoryLevel", level.location)
            )),
            "updatedAt" => time(level.updated_at),
            "createdAt" => time(self.variant.created_at),
            "isActive" => Out::leaf(true),
            "location" => location(self.shop, level.location),
            "item" => {
                let found = self.shop.inventory_item(item);
                Out::maybe(found.map(|(product, variant)| ItemNode {
                    shop: self.shop,
                    product,
                    variant,
                }))
            }
            "quantities" => {
                let names = args
                    .get("names")
                    .and_then(Json::as_array)
                    .map_or(&[][..], Vec::as_slice);
                let mut quantities = Vec::new();
                for name in names.iter().filter_map(Json::as_str) {
                    let Some(quantity) = level.quantity(name) else {
                        let message = format!("'{name}' is not a valid quantity name");
                        return Out::Failed(Failure::new(message, "INVALID_FIELD_ARGUMENTS"));
                    };
                    quantities.push(Out::record(
                        "InventoryQuantity",
                        vec![
                            (
                                "id",
                                Out::leaf(format!(
                                    "{}-{item}-{name}",
                                    gid("InventoryQuantity", level.location)
                                )),
                            ),
                            ("name", Out::leaf(name)),
                            ("quantity", Out::leaf(quantity)),
                            ("updatedAt", time(level.updated_at)),
                        ],
                    ));
                }
                Out::List(quantities)
            }
            _ => Out::Absent,
        }
    }
}
