//! The arithmetic of [jempp] on a CPU: layers of networks forward and backward, and the updates of Langevin chains, on
//! slices of `f32`.
//!
//! It is a crate of its own so that it can be compiled for speed while the rest of jempp is compiled for size, which a page
//! in a browser needs. It knows no network, no sampler and no device. It is made for jempp alone: each version of jempp
//! takes exactly one version of it, and any version may change what is here.
//!
//! * `shape`: the sizes of layers
//! * `parallel`: parallel iterators; plain ones in a browser, which gives the page one thread
//! * `reference`: the CPU twin of every WGSL kernel; it defines what the kernel computes
//! * `layers`: the layers on all threads
//! * `threaded`: the twins on all threads
//!
//! [jempp]: https://docs.rs/jempp

pub mod layers;
pub mod parallel;
pub mod reference;
pub mod shape;
pub mod threaded;
