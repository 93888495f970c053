//! What the lessons claim, and what they and the window stand on: the viewer's worker and the lab.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests may")]

mod claims;
#[path = "../common/mod.rs"]
mod common;
mod lab;
mod worker;
