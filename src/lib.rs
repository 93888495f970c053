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
//! | sample from a model, bundled or trained | [`Model::sample`], [`Model::sample_with`], [`Model::sample_while`], and [`Model::chains`] step by step |
//! | know energy, gradient, logits or class of my own images | [`Model::energy`], [`Model::gradient`], [`Model::logits`], [`Model::classify`] |
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
//! | `report` | `jempp report`, and the page of figures that `jempp eval` writes | yes |
//! | `fetch` | `jempp fetch`, which downloads data sets | yes |
//! | `pytorch` | `jempp import` and `jempp export` | yes |
//! | `mpi` | training on several ranks with `mpirun`; it takes an MPI library | no |
//! | `static-dxc` | on Windows (x86-64): a newer shader compiler inside the program, which the build downloads | no |
//!
//! The library needs none of them: `jempp = { version = "0.1", default-features = false }` is all above.
//!
//! [arXiv:2109.09032]: https://arxiv.org/abs/2109.09032
//!
//! # The rooms of the house, each importing only rooms named before it
//!
//! * `config`: the configuration: every key with its default, range and help, and the presets
//! * `diagnostics`: whether chains agree and how many independent draws they are worth
//! * `numbers`: softmax, log-sum-exp and argmax of rows of numbers on the host
//! * `counts`: counts in words
//! * `shard`: the part of a job that one process does
//! * `kernels`: the WGSL kernels, and one function for each that takes tensors
//! * `streams`: every stream of random numbers, by its number
//! * `kernel_check`: every kernel compared with its CPU twin on one device
//! * `eigen`: eigenvectors of symmetric matrices
//! * `principal_axes`: the directions along which points differ most
//! * `browser`: what the browser gives the page: time and files
//! * `files`: files that are either whole or not there, and folders with one owner
//! * `kernel_choices`: the measured choices between the variants of a kernel, kept in the user's cache folder
//! * `assets`: the files that travel with the program
//! * `say`: what the program prints, safe on any terminal
//! * `signals`: requests to stop: Ctrl-C, SIGTERM, SIGHUP and SIGUSR1
//! * `ranks`: the processes that train one model together, and what they exchange
//! * `lessons`: the texts of the lessons
//! * `picture`: pictures of chains, and a person's own pictures as starts
//! * `page`: pages of figures that need no other file
//! * `results_folder`: where a command puts its results; nothing is replaced unasked
//! * `device`: which device computes: a GPU or the CPU
//! * `data`: data sets: reading, fetching, batches
//! * `model`: the networks that give class logits
//! * `energy`: the energy of a classifier and its gradient by the input; the sign lives here
//! * `pgd`: attacks on a classifier within a ball around each image
//! * `network_check`: networks on one device compared with the CPU back end
//! * `sampler`: Langevin samplers, one pure step at a time
//! * `objective`: the terms of the loss
//! * `optimizer`: the optimiser of the weights, its schedule, and averages of the weights
//! * `memory`: how much memory a run will need, before any of it is taken
//! * `class_centers`: the Gaussian of each class that chains start from
//! * `replay_buffer`: the persistent chains, on the device
//! * `checkpoint`: a run's whole state in one file
//! * `bundled`: the models inside the program
//! * `accuracy`: accuracy and calibration of a network on a data set
//! * `trainer`: a run in memory: one training step, and the return to a good state after a divergence
//! * `recipe`: the recipe that fits a data set and a device
//! * `run_folder`: the folder of a training run
//! * `run_report`: training runs beside each other
//! * `training`: a training run from its start to its end, with evaluations, checkpoints and recoveries
//! * `tensorboard`: event files of TensorBoard
//! * `starts`: where chains of a checkpoint start
//! * `chains`: runs of chains, one step at a time
//! * `convergence`: whether the chains of a run converge
//! * `facade`: the door for users of the library: a model in one value
//! * `interop`: checkpoints from PyTorch and tensors for it
//! * `eval`: the report of `jempp eval`
//! * `model_card`: the text beside a model file that says what the model is
//! * `bench`: what the work costs on a device
//! * `worker`: the viewer's service: it computes what a window or a page shows
//! * `app`: the window, which knows no tensor and no device
//! * `web`: the window as a page in a browser, and its web worker
//! * `cli`: the commands of the program
//! * `main`: the program
//!
//! What each imports is in `tests/pure/architecture.rs`, which holds the code to it.

// The page uses a part of the library.
#![cfg_attr(target_arch = "wasm32", allow(dead_code))]

#[cfg(all(
    target_arch = "wasm32",
    any(feature = "report", feature = "fetch", feature = "pytorch")
))]
compile_error!(
    "a browser has none of what these features need: cargo build --no-default-features --features gui"
);

// The library.
pub mod accuracy;
pub mod bundled;
#[cfg(not(target_arch = "wasm32"))]
pub mod chains;
pub mod checkpoint;
pub mod class_centers;
pub mod config;
#[cfg(not(target_arch = "wasm32"))]
pub mod convergence;
pub mod data;
pub mod device;
pub mod diagnostics;
pub mod energy;
pub mod model;
pub mod objective;
mod pgd;
pub mod recipe;
pub mod replay_buffer;
pub mod sampler;
pub mod shard;
pub mod trainer;

// Public for the program, its tests and its benchmarks alone: these modules may change with any version.
#[cfg(feature = "gui")]
#[doc(hidden)]
pub mod app;
#[doc(hidden)]
pub mod assets;
#[cfg(not(target_arch = "wasm32"))]
#[doc(hidden)]
pub mod bench;
#[cfg(not(target_arch = "wasm32"))]
#[doc(hidden)]
pub mod cli;
#[cfg(not(target_arch = "wasm32"))]
#[doc(hidden)]
pub mod eval;
#[cfg(feature = "pytorch")]
#[doc(hidden)]
pub mod interop;
#[doc(hidden)]
pub mod kernel_check;
#[cfg(not(target_arch = "wasm32"))]
#[doc(hidden)]
pub mod kernel_choices;
#[doc(hidden)]
pub mod kernels;
#[cfg(feature = "gui")]
#[doc(hidden)]
pub mod lessons;
#[doc(hidden)]
pub mod memory;
#[cfg(not(target_arch = "wasm32"))]
#[doc(hidden)]
pub mod model_card;
#[doc(hidden)]
pub mod network_check;
#[doc(hidden)]
pub mod numbers;
#[doc(hidden)]
pub mod picture;
#[doc(hidden)]
pub mod principal_axes;
#[doc(hidden)]
pub mod ranks;
#[cfg(not(target_arch = "wasm32"))]
#[doc(hidden)]
pub mod results_folder;
#[doc(hidden)]
pub mod run_folder;
#[cfg(feature = "report")]
#[doc(hidden)]
pub mod run_report;
#[doc(hidden)]
pub mod starts;
#[doc(hidden)]
pub mod streams;
#[doc(hidden)]
pub mod training;
#[cfg(all(feature = "gui", target_arch = "wasm32"))]
#[doc(hidden)]
pub mod web;
#[cfg(feature = "gui")]
#[doc(hidden)]
pub mod worker;

#[cfg(target_arch = "wasm32")]
mod browser;
mod counts;
mod eigen;
#[cfg(not(target_arch = "wasm32"))]
mod facade;
mod files;
mod optimizer;
#[cfg(feature = "report")]
mod page;
#[cfg_attr(target_arch = "wasm32", allow(dead_code, unused_imports, unused_macros))]
mod say;
#[cfg(not(target_arch = "wasm32"))]
mod signals;
#[cfg(not(target_arch = "wasm32"))]
mod tensorboard;

pub use burn;

#[doc(inline)]
pub use {
    accuracy::Accuracy,
    checkpoint::Checkpoint,
    config::RunConfig,
    device::ComputeDevice,
    energy::{Energy, EnergyFn, EnergyGradient, JointEnergy},
    sampler::{ChainState, Sampler, StepInfo},
    shard::Shard,
    starts::SampleStart,
    trainer::{StepReport, Trainer, TrainerError},
};
#[cfg(not(target_arch = "wasm32"))]
#[doc(inline)]
pub use {
    chains::{ChainRun, ChainSettings, ChainStep},
    facade::{Error, Model, Prediction, Samples},
};
