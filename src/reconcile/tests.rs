//! Runs against a scripted shop.
