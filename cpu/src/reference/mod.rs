//! CPU twins of the WGSL kernels: one function per kernel, same name, same arithmetic. Each file in `shaders/` names its
//! twin; the variants of a convolution share theirs.
//!
//! They define the correct results of the kernels, and they are the kernels of the CPU back end. Their files import
//! nothing, so that each file can be read next to its shader without other code.

mod density_energy;
mod layers;
mod norms;
mod sampling;

pub use density_energy::*;
pub use layers::*;
pub use norms::*;
pub use sampling::*;
