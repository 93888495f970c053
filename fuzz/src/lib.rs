//! The bodies of the fuzz targets. A seeded test of the program runs the same ones on the stable compiler.
#![allow(clippy::unwrap_used, reason = "a panic is what a fuzzer looks for")]

#[path = "../../tests/files/mod.rs"]
mod files;
#[path = "../../tests/counted/mutations/targets/mod.rs"]
pub mod targets;
