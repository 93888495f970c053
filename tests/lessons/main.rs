//! Tests of the lessons' claims, and of the viewer's worker and the lab that the lessons use.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests may")]

mod claims;
#[path = "../common/mod.rs"]
mod common;
mod lab;
mod training;
mod worker;
