//! Tests that compute on a device: kernels compared with their CPU twins, layers, samplers, training.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests may")]

mod blocks;
mod broken_chains;
mod chain_run;
mod checks;
mod class_centers;
#[path = "../common/mod.rs"]
mod common;
mod layers;
mod near_data;
mod norms;
mod ranks;
mod sampler;
mod training;
mod twins;
