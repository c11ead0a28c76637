//! A stand-in shop, a stand-in ERP and a stand-in receiver of notifications that speak the real protocols on loopback and use
//! nothing of ours.

pub mod odoo;
pub mod receiver;
pub mod shopify;
