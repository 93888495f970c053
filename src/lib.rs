//! jempp: joint energy-based models (JEM++) that train and sample on any GPU.
//!
//! A map of the house, arrows pointing one way:
//! `main → cli → worker → trainer → {objective, sampler, replay_buffer, data, eval} → energy →
//! {model, kernels}`.

pub mod class_centers;
pub mod config;
pub mod data;
pub mod energy;
pub mod kernels;
pub mod model;
pub mod objective;
pub mod replay_buffer;
pub mod sampler;
pub mod checkpoint;
pub mod device;
pub mod eval;
pub mod trainer;
pub mod picture;
pub mod run_folder;
pub mod sampling;
pub mod worker;
pub mod bench;
pub mod cli;
