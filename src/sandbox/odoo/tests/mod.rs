//! The stand-in held to what was observed on the real servers: each table names the section of the reference notes
//! (`odoo.md`) that it plays.

mod basics;
mod deliveries;
mod errors;
mod invoices;
mod loading;
mod order_lines;
mod orders;
mod partners;
mod payments;
mod products;
mod protocol;
mod reading;
mod setup;
mod stock;
mod support;
mod taxes;
mod trouble;
mod values;
