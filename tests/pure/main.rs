//! What needs no device, no display and no other process: numbers, decoders, shaders' texts, the rooms of the house.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests may")]

mod architecture;
mod diagnostics;
mod eval_metrics;
mod eval_page;
mod flags;
mod house_rules;
mod links;
mod shaders;
mod svhn;
mod uniforms;
