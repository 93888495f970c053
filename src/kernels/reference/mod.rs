//! CPU twins of the WGSL kernels: one function per file in `shaders/`, same name, same arithmetic.
//!
//! They define what a kernel must compute, and they are the kernels of the CPU back end. Their files import
//! nothing, so that each can be read beside a shader and nothing else.

mod chains;
mod densities;
mod layers;

pub use chains::*;
pub use densities::*;
pub use layers::*;
