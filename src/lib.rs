//! Train a classifier that is also a generative model, and sample from it: joint energy-based models (JEM++,
//! [arXiv:2109.09032]), on any GPU that Vulkan, Metal or DX12 reaches, or on the CPU alone.
//!
//! The logits f(x) of any classifier give an energy, and with it a density over images:
//!
//! ```text
//! energy(x) = -log_sum_exp(f(x))      p(x) ∝ exp(-energy(x))      p(y|x) = softmax(f(x))
//! ```
//!
//! This crate trains such classifiers, draws images from them with Langevin chains, and measures both. It is a library and
//! the program `jempp`, whose window shows the chains while they run.
//!
//! # First steps
//!
//! ```
//! # fn main() -> Result<(), jempp::Error> {
//! // A model that travels inside the crate, on the best device of this machine.
//! let model = jempp::Model::bundled("fashion")?;
//!
//! // Ten chains of five steps; the third number is the seed. They look like garments after 100 steps.
//! let samples = model.sample(10, 5, 0)?;
//! for (label, energy) in samples.labels().iter().zip(samples.energies()) {
//!     println!("{:12} energy {energy:.2}", model.class_names()[*label as usize]);
//! }
//!
//! // What the model sees in them: p(y|x).
//! println!("{:?}", model.classify(samples.images())?[0]);
//! # Ok(())
//! # }
//! ```
//!
//! # What to use for what
//!
//! | I want to … | use |
//! |---|---|
//! | sample from a model, bundled or trained | [`Model::sample`], [`Model::sample_with`] |
//! | know energy, logits or class of my own images | [`Model::energy`], [`Model::logits`], [`Model::classify`] |
//! | measure accuracy and calibration | [`Model::evaluate`] |
//! | train a model, on bundled data or my own | [`RunConfig::preset`], [`Trainer`], [`data::load`], [`data::Dataset`] |
//! | sample from an energy of my own | [`Energy`], [`EnergyFn`], [`Sampler`], [`ChainState`] |
//! | save a model, load it, train on from it | [`Checkpoint`], [`Model::save`], [`Trainer::resume`] |
//! | know whether chains converge (R̂, effective sample sizes) | [`diagnostics`] |
//! | build the network alone | [`model::Network`], [`JointEnergy`] |
//! | choose a GPU | [`ComputeDevice::open`], [`device::list`] |
//!
//! Whole programs to begin from are in the folder `examples` of the repository: `sample_bundled`, `train_two_moons`,
//! `own_energy` and `evaluate_checkpoint`. Tensors are those of [`burn`], which is exported here: use `jempp::burn`, and
//! the versions agree.
//!
//! # Devices
//!
//! Everything runs on every device: a GPU through wgpu, with kernels of our own, or the CPU. [`Model::bundled`] and
//! [`Model::load`] take the best there is; [`ComputeDevice::open`] opens one by name, and its field `device` goes wherever
//! a [`burn::tensor::Device`] is asked for. A program that only imitates a GPU counts as none, as the CPU is faster.
//! Random numbers are counted, not drawn one after the other: a seed gives the same noise on every device.
//!
//! # Features
//!
//! | feature | what it adds | on by default |
//! |---|---|---|
//! | `gui` | the window of `jempp` and `jempp view` | yes |
//! | `report` | the page of figures that `jempp eval` writes | yes |
//! | `fetch` | `jempp fetch`, which downloads data sets | yes |
//! | `pytorch` | `jempp import` and `jempp export` | yes |
//!
//! The library needs none of them: `jempp = { version = "0.1", default-features = false }` is all above.
//!
//! [arXiv:2109.09032]: https://arxiv.org/abs/2109.09032
//!
//! # For those who work on the crate
//!
//! A map of the house, arrows pointing one way:
//! `main → {cli, web} → app → worker → trainer → {objective, sampler, replay_buffer, data, eval} → energy →
//! {model, kernels}`, `cli → interop → {checkpoint, replay_buffer, data, class_centers, model}`, and `cli → eval::evaluate →
//! {sampling, sampler, replay_buffer, data, energy}`: what is measured while a model is trained and what is measured of it
//! afterwards share one room and its numbers.

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
#[cfg(not(target_arch = "wasm32"))]
mod facade;
mod files;
#[cfg(not(target_arch = "wasm32"))]
pub mod interop;
pub mod kernels;
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
#[cfg(target_arch = "wasm32")]
pub mod web;
pub mod worker;

pub use burn;

pub use checkpoint::Checkpoint;
pub use config::RunConfig;
pub use device::ComputeDevice;
pub use energy::{Energy, EnergyFn, EnergyGradient, JointEnergy};
pub use eval::Accuracy;
#[cfg(not(target_arch = "wasm32"))]
pub use facade::{Error, Model, Prediction, SampleOptions, Samples};
pub use sampler::{ChainState, Sampler, StepInfo};
pub use sampling::SampleStart;
pub use trainer::{StepReport, Trainer, TrainerError};
