//! A stand-in shop and a stand-in ERP that speak the real protocols on loopback and use nothing of ours.

pub mod odoo;
pub mod shopify;
