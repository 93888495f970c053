//! jempp: joint energy-based models (JEM++) that train and sample on any GPU.
//!
//! # The rooms of the house, each importing only rooms named before it
//!
//! * `config`: the configuration: every key with its default, range and help, and the presets
//! * `diagnostics`: whether chains agree and how many independent draws they are worth
//! * `kernels::reference`: the CPU twin of every WGSL kernel; it defines what the kernel computes
//! * `kernels`: the WGSL kernels, and one function for each that takes tensors
//! * `eigen`: eigenvectors of symmetric matrices
//! * `principal_axes`: the directions along which points differ most
//! * `browser`: what the browser gives the page: time and files
//! * `files`: files that are either whole or not there, and folders with one owner
//! * `assets`: the files that travel with the program
//! * `say`: what the program prints, safe on any terminal
//! * `signals`: requests to stop: Ctrl-C, SIGTERM and SIGHUP
//! * `lessons`: the texts of the lessons
//! * `picture`: pictures of chains, and a person's own pictures as starts
//! * `results_folder`: where a command puts its results; nothing is replaced unasked
//! * `device`: which device computes: a GPU or the CPU
//! * `data`: data sets: reading, fetching, batches
//! * `model`: the networks that give class logits
//! * `energy`: the energy of a classifier and its gradient by the input; the sign lives here
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
//! * `run_folder`: the folder of a training run
//! * `training`: a training run from its start to its end, with evaluations, checkpoints and recoveries
//! * `starts`: where chains of a checkpoint start
//! * `chains`: runs of chains, one step at a time
//! * `convergence`: whether the chains of a run converge
//! * `interop`: checkpoints from PyTorch and tensors for it
//! * `eval`: the report of `jempp eval`
//! * `bench`: what the work costs on a device
//! * `worker`: the viewer's service: it computes what a window or a page shows
//! * `app`: the window, which knows no tensor and no device
//! * `web`: the window as a page in a browser, and its web worker
//! * `cli`: the commands of the program
//! * `main`: the program
//!
//! What each imports is in `tests/pure/architecture.rs`, which holds the code to it.

#[cfg(all(
    target_arch = "wasm32",
    any(feature = "report", feature = "fetch", feature = "pytorch")
))]
compile_error!(
    "a browser has none of what these features need: --no-default-features --features gui"
);

pub mod accuracy;
#[cfg(feature = "gui")]
pub mod app;
pub mod assets;
#[cfg(not(target_arch = "wasm32"))]
pub mod bench;
#[cfg(target_arch = "wasm32")]
mod browser;
pub mod bundled;
#[cfg(not(target_arch = "wasm32"))]
pub mod chains;
pub mod checkpoint;
pub mod class_centers;
#[cfg(not(target_arch = "wasm32"))]
pub mod cli;
pub mod config;
#[cfg(not(target_arch = "wasm32"))]
pub mod convergence;
pub mod data;
pub mod device;
pub mod diagnostics;
mod eigen;
pub mod energy;
#[cfg(not(target_arch = "wasm32"))]
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
pub mod principal_axes;
pub mod replay_buffer;
#[cfg(not(target_arch = "wasm32"))]
pub mod results_folder;
pub mod run_folder;
pub mod sampler;
#[cfg_attr(target_arch = "wasm32", allow(dead_code, unused_imports, unused_macros))]
mod say;
#[cfg(not(target_arch = "wasm32"))]
mod signals;
pub mod starts;
pub mod trainer;
pub mod training;
#[cfg(all(feature = "gui", target_arch = "wasm32"))]
pub mod web;
#[cfg(feature = "gui")]
pub mod worker;
