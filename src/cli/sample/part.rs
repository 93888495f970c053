//! What a part of a sampling job keeps for the whole.

use serde::{Deserialize, Serialize};

use crate::convergence::Recorded;

/// What a part of a sampling job knows beside its tables and frames.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SamplePart {
    /// The shape (C, H, W) of an image.
    pub(super) shape: [usize; 3],
    /// The names of the rows of the picture, if the rows are all classes.
    pub(super) rows: Option<Vec<String>>,
    /// The number of chains per class: the columns of the picture.
    pub(super) per_class: usize,
    pub(super) num_steps: usize,
    pub(super) num_frames: usize,
    /// The class of each chain of the part.
    pub(super) labels: Vec<u32>,
    /// What the diagnosis needs, if there is one.
    pub(super) recorded: Option<Recorded>,
}
