//! Tests that need no GPU, no display and no other process: numerics, decoders, shader sources, the library's public
//! interface, and the module structure.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests may")]

mod architecture;
mod barriers;
mod config;
mod diagnostics;
mod eval_metrics;
#[cfg(feature = "report")]
mod eval_page;
mod flags;
mod front_door;
mod house_rules;
mod links;
mod model_card;
mod shaders;
mod svhn;
mod uniforms;
mod wording;
