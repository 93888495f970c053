//! jempp: joint energy-based models (JEM++) that train and sample on any GPU.
//!
//! A map of the house, arrows pointing one way:
//! `main → {cli, web} → app → worker → trainer → {objective, sampler, replay_buffer, data, eval} → energy →
//! {model, kernels}`, `cli → interop → {checkpoint, replay_buffer, data, class_centers, model}`, and `cli → eval::evaluate →
//! {sampling, sampler, replay_buffer, data, energy}`: what is measured while a model is trained and what is measured of it
//! afterwards share one room and its numbers.

#[cfg(feature = "gui")]
pub mod app;
pub mod assets;
#[cfg(not(target_arch = "wasm32"))]
pub mod bench;
#[cfg(target_arch = "wasm32")]
mod browser;
pub mod bundled;
pub mod checkpoint;
pub mod class_centers;
#[cfg(not(target_arch = "wasm32"))]
pub mod cli;
pub mod config;
pub mod data;
pub mod device;
pub mod diagnostics;
pub mod divergence;
mod eigen;
pub mod energy;
pub mod eval;
mod files;
#[cfg(feature = "pytorch")]
pub mod interop;
pub mod kernels;
#[cfg(feature = "gui")]
pub mod lessons;
pub mod memory;
pub mod model;
pub mod objective;
mod optimizer;
pub mod picture;
#[cfg(not(target_arch = "wasm32"))]
mod progress;
pub mod replay_buffer;
#[cfg(not(target_arch = "wasm32"))]
pub mod results_folder;
pub mod run_folder;
pub mod sampler;
pub mod sampling;
#[cfg_attr(target_arch = "wasm32", allow(dead_code, unused_imports, unused_macros))]
mod say;
#[cfg(not(target_arch = "wasm32"))]
mod signals;
pub mod trainer;
#[cfg(all(feature = "gui", target_arch = "wasm32"))]
pub mod web;
pub mod worker;
