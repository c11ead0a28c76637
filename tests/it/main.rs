//! End to end: the built binary between a stand-in shop and a stand-in ERP, over real HTTP, with real crashes.

mod arrival;
mod cli;
mod console;
mod crashes;
mod demo;
mod faults;
mod gaps;
mod imports;
mod matching;
mod notify;
mod orders;
mod people;
mod privacy;
mod review;
mod scenes;
mod setup;
mod support;
mod toggles;
mod way_back;
mod webhooks;
