//! The open model and its chains.

mod lanes;
mod model;
mod overlay;
mod playback;
mod run_state;
mod shown;
mod undo;

pub(in crate::app) use lanes::IDENTICAL;
pub use overlay::Overlay;
pub use run_state::Selection;
pub(super) use run_state::next_seed;
pub(crate) use run_state::{Classified, RunState};
