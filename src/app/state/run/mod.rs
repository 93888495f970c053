//! The open model and its chains.

mod lanes;
mod model;
mod playback;
mod run_state;

pub(super) use run_state::next_seed;
pub use run_state::{Classified, Overlay, RunState, Selection};
