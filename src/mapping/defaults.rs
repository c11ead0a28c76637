//! The mappings that are shipped, compiled into the program.

/// Name and text of every shipped mapping. A file of the same name in the mappings folder takes its place.
pub const DEFAULTS: &[(&str, &str)] = &[
    (
        "customer.in.toml",
        include_str!("../../mappings/customer.in.toml"),
    ),
    (
        "customer.out.toml",
        include_str!("../../mappings/customer.out.toml"),
    ),
    (
        "inventory.out.toml",
        include_str!("../../mappings/inventory.out.toml"),
    ),
    ("order.in.toml", include_str!("../../mappings/order.in.toml")),
    ("product.in.toml", include_str!("../../mappings/product.in.toml")),
    (
        "product.out.toml",
        include_str!("../../mappings/product.out.toml"),
    ),
];
