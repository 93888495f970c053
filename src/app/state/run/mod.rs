//! The open model and its chains.

mod lanes;
mod model;
mod playback;
mod run_state;
mod undo;

pub(super) use run_state::next_seed;
pub(crate) use run_state::{Classified, RunState};
pub use run_state::{Overlay, Selection};
