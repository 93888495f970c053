//! What the window and the worker say to each other about the lab.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    config::LabState,
    diagnostics::cells::{Cells, NoMasses},
};

/// Chains of each rule whose every step is told.
pub const NUM_TRACED: usize = 32;

/// What the window asks of the lab.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum LabCommand {
    /// Show this. What does not differ from before goes on.
    Set(Box<LabState>),
    /// Run, from now on.
    Play,
    /// Stop the chains.
    Pause,
    /// One step, if they stand still.
    Step,
    /// Start the chains again, with the same starts and the same noise.
    Restart,
    /// Tell every step of this chain.
    Track(usize),
    /// Go on learning, or stop.
    Learn(bool),
    /// Begin to learn anew, from weights of this seed.
    StartOver(u64),
    /// The energy of the open model on the plane through a path.
    Slice {
        /// Where a chain was, (K, C, H, W), flattened.
        path: Vec<f32>,
    },
}

/// What the worker tells of the lab.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum LabNews {
    /// Energies over the plane.
    Surface(LabSurface),
    /// Chains stand at new starts: the class of each, rule by rule.
    Started(Vec<Vec<u8>>),
    /// Where the chains are.
    Frame(LabFrame),
    /// The chains stopped at their last step, or cannot run.
    Stopped,
    /// What is learned from: points (N, 2) and their classes.
    Data {
        /// Points, flattened.
        points: Vec<f32>,
        /// One class a point.
        labels: Vec<u8>,
    },
    /// How learning goes.
    Learning(LearningFrame),
    /// Learning went wrong and stopped.
    Diverged(String),
    /// The lab shows what it showed before: the other state was refused.
    Kept {
        /// What it shows.
        shown: Box<LabState>,
        /// What was asked for.
        refused: Box<LabState>,
    },
    /// A request could not be served; everything is as it was.
    Refused(String),
    /// The answer to [`LabCommand::Slice`].
    Slice(Slice),
}

#[cfg(not(target_arch = "wasm32"))]
impl LabNews {
    /// About how many bytes it takes on its way; what is never large counts nothing.
    pub(in crate::worker) fn num_bytes(&self) -> usize {
        match self {
            Self::Surface(surface) => size_of_val(&*surface.energy),
            Self::Slice(slice) => size_of_val(&*slice.energy),
            Self::Frame(frame) => {
                let of_lane = |lane: &LabLaneFrame| lane.x.len() + lane.traces.len();
                size_of::<f32>() * frame.lanes.iter().map(of_lane).sum::<usize>()
            }
            _ => 0,
        }
    }
}

/// Energies over the plane, on the squares of [`crate::diagnostics::cells::grid`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LabSurface {
    /// Shape (side, side), rows from below.
    pub energy: Arc<[f32]>,
    /// Energies on [`crate::diagnostics::cells::surroundings`] of a formula; empty for a network, whose density
    /// is meant within the plane.
    pub around: Arc<[f32]>,
    /// The most probable class of each square.
    pub classes: Vec<u8>,
    /// How many classes there are.
    pub num_classes: u32,
}

impl LabSurface {
    /// The exact masses of p ∝ exp(-β E).
    ///
    /// # Errors
    /// As [`Cells::of_energy`].
    pub fn masses(&self, inverse_temperature: f64) -> Result<Cells, NoMasses> {
        Cells::of_energy(&self.energy, &self.around, inverse_temperature)
    }
}

/// All chains at one step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LabFrame {
    /// Steps done since the start.
    pub step: u64,
    /// One entry a rule.
    pub lanes: Vec<LabLaneFrame>,
}

/// The chains of one rule.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LabLaneFrame {
    /// Chains (N, 2), flattened.
    pub x: Vec<f32>,
    /// Mean energy of the chains before the last step.
    pub mean_energy: f32,
    /// Mean share of clamped gradient components in the last step.
    pub clamp_rate: f32,
    /// How probable MALA's acceptance was, on average; `None` for other rules.
    pub acceptance: Option<f32>,
    /// (x0, x1, energy) of the first [`NUM_TRACED`] chains, step by step since the frame before.
    pub traces: Vec<f32>,
    /// The last step of the tracked chain.
    pub tracked: Option<LabMove>,
}

/// One step of one chain, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabMove {
    /// Which chain.
    pub chain: usize,
    /// Where it was.
    pub from: [f32; 2],
    /// ∂E/∂x there.
    pub gradient: [f32; 2],
    /// σ ξ, the noise that was added.
    pub noise: [f32; 2],
    /// σ.
    pub noise_std: f32,
    /// What clamped each component of the gradient, where the rule clamps.
    pub proximal_radius: Option<f32>,
    /// Whether inner steps led there, whose gradients are not all this one.
    pub has_inner_steps: bool,
    /// Where it is now: after projection, or after acceptance.
    pub to: [f32; 2],
    /// α: how far the step goes along the gradient.
    pub step_size: f32,
    /// Of MALA: whether the proposal was accepted, and how probable that was.
    pub accepted: Option<(bool, f32)>,
}

/// How learning goes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LearningFrame {
    /// Training steps done.
    pub step: u64,
    /// d = mean E(x_data) - mean E(x_model) of every step since the frame before.
    pub gaps: Vec<f32>,
    /// Cross entropy of p(y|x) of every step since the frame before.
    pub cross_entropies: Vec<f32>,
    /// Chains of the replay buffer (N, 2), flattened; thinned out.
    pub buffer: Vec<f32>,
}

/// The energy on a plane through the space of images.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Slice {
    /// Energies (side, side), rows from below.
    pub energy: Arc<[f32]>,
    /// The plane's coordinates at the left and right ends of the first axis, then of the second, in units of x.
    pub range: [[f32; 2]; 2],
    /// Where the chain was, in the plane, (K, 2), flattened.
    pub path: Vec<f32>,
    /// Energy of each of these points in full space.
    pub path_energy: Vec<f32>,
    /// Which share of the path's spread each axis has.
    pub explained: [f32; 2],
}
