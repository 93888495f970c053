//! The messages between the window and the worker about the lab.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    config::LabState,
    diagnostics::cells::{Cells, EXTENT, NoMasses},
};

/// The number of chains of each rule whose every step is reported.
pub(crate) const NUM_TRACED: usize = 32;

/// A command from the window to the lab.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum LabCommand {
    /// Change the state of the lab. Parts that do not change continue.
    Set(Box<LabState>),
    /// Start or continue the chains.
    Play,
    /// Pause the chains.
    Pause,
    /// Move the chains by one step, if they are paused.
    Step,
    /// Restart the chains with the same starts and the same noise.
    Restart,
    /// Continue from the last step of an earlier run with these settings.
    Branch {
        /// The number of steps of that run.
        step: u64,
        /// The positions of the chains of each rule after them, (N, 2) flattened.
        x: Vec<Vec<f32>>,
    },
    /// Report every step of this chain.
    Track(usize),
    /// Continue training (true) or pause it (false).
    Learn(bool),
    /// Restart training with initial weights from this seed.
    StartOver(u64),
    /// Compute the energy of the open model on the plane through a path. Answered by [`LabUpdate::Slice`].
    Slice {
        /// The positions of a chain (K, C, H, W), flattened.
        path: Vec<f32>,
    },
}

/// An update of the lab, from the worker to the window.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum LabUpdate {
    /// The energies over the plane.
    Surface(LabSurface),
    /// The chains were moved to new starts: the class of each chain, for each rule.
    Started(Vec<Vec<u8>>),
    /// The chains at one step.
    Frame(LabFrame),
    /// The chains stopped at their last step, or they cannot run.
    Stopped,
    /// The training data: points (N, 2) and their classes.
    Data {
        /// The points (N, 2), flattened.
        points: Vec<f32>,
        /// The class of each point.
        labels: Vec<u8>,
    },
    /// The progress of training.
    Learning(LearningFrame),
    /// Training failed and stopped; the text is the reason.
    Diverged(String),
    /// A new state was refused; the lab keeps the old one.
    Kept {
        /// The state that the lab keeps.
        shown: Box<LabState>,
        /// The state that was refused.
        refused: Box<LabState>,
    },
    /// A command could not be carried out; nothing changed. The text is the reason.
    Refused(String),
    /// The answer to [`LabCommand::Slice`].
    Slice(Slice),
}

#[cfg(not(target_arch = "wasm32"))]
impl LabUpdate {
    /// The approximate size of the event in bytes; parts that are always small are not counted.
    pub(in crate::worker) fn num_bytes(&self) -> usize {
        match self {
            Self::Surface(surface) => size_of_val(&*surface.energy),
            Self::Slice(slice) => {
                size_of_val(&*slice.energy) + 3 * size_of_val(slice.origin.as_slice())
            }
            Self::Frame(frame) => {
                let of_lane = |lane: &LabLaneFrame| lane.x.len() + lane.traces.len();
                size_of::<f32>() * frame.lanes.iter().map(of_lane).sum::<usize>()
            }
            _ => 0,
        }
    }
}

/// The energies over the plane, on the squares of [`crate::diagnostics::cells::grid`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LabSurface {
    /// The energies, shape (side, side), with the rows from bottom to top.
    pub energy: Arc<[f32]>,
    /// The energies on [`crate::diagnostics::cells::surroundings`] for a formula; empty for a network, whose density is
    /// only defined within the plane.
    pub around: Arc<[f32]>,
    /// The most probable class of each square.
    pub classes: Vec<u8>,
    /// The number of classes.
    pub num_classes: u32,
}

impl LabSurface {
    /// The exact masses of p ∝ exp(-β E).
    ///
    /// # Errors
    /// The same errors as [`Cells::of_energy`].
    pub fn masses(&self, inverse_temperature: f64) -> Result<Cells, NoMasses> {
        Cells::of_energy(&self.energy, &self.around, inverse_temperature)
    }

    /// The class of the square that a point is in; `None` outside the plane.
    pub(crate) fn class_at(&self, point: [f32; 2]) -> Option<usize> {
        let side = self.classes.len().isqrt();
        let place = point.map(|value| (value / EXTENT + 1.0) * 0.5 * side as f32);
        let is_in = place.iter().all(|value| (0.0..side as f32).contains(value));
        is_in.then(|| self.classes[place[1] as usize * side + place[0] as usize].into())
    }
}

/// All chains of the lab at one step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LabFrame {
    /// The number of steps done since the start.
    pub step: u64,
    /// One entry per rule.
    pub lanes: Vec<LabLaneFrame>,
}

/// The chains of one rule of the lab at one step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LabLaneFrame {
    /// The positions of the chains (N, 2), flattened.
    pub x: Vec<f32>,
    /// Mean energy of the chains before the last step.
    pub mean_energy: f32,
    /// Mean share of clamped gradient components in the last step.
    pub clamp_rate: f32,
    /// Mean acceptance probability of MALA; `None` for other rules.
    pub acceptance: Option<f32>,
    /// (x0, x1, energy) of the first chains, at most `NUM_TRACED`, for each step since the previous frame.
    pub traces: Vec<f32>,
    /// The last step of the tracked chain.
    pub tracked: Option<LabMove>,
}

/// The parts of one step of one chain: gradient, noise, clamp and result.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabMove {
    /// The index of the chain.
    pub chain: usize,
    /// The position before the step.
    pub from: [f32; 2],
    /// ∂E/∂x at the position before the step.
    pub gradient: [f32; 2],
    /// σ ξ, the noise that was added.
    pub noise: [f32; 2],
    /// σ, the standard deviation of the noise.
    pub noise_std: f32,
    /// The bound on each component of the gradient, if the rule clamps it.
    pub proximal_radius: Option<f32>,
    /// Whether the step follows the gradient divided by its norm.
    pub is_normalized: bool,
    /// Whether the step consists of inner steps, whose gradients differ from this one.
    pub has_inner_steps: bool,
    /// The position after the step, with the projection or the acceptance applied.
    pub to: [f32; 2],
    /// α, the step size.
    pub step_size: f32,
    /// For MALA: whether the proposal was accepted, and the acceptance probability.
    pub accepted: Option<(bool, f32)>,
}

/// The progress of training.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LearningFrame {
    /// The number of training steps done.
    pub step: u64,
    /// The gap d = mean E(x_data) - mean E(x_model) of every step since the previous frame.
    pub gaps: Vec<f32>,
    /// The cross entropy of p(y|x) of every step since the previous frame.
    pub cross_entropies: Vec<f32>,
    /// A selection of the chains of the replay buffer (N, 2), flattened.
    pub buffer: Vec<f32>,
}

/// The energy on a plane through the space of images.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Slice {
    /// The energies, shape (side, side), with the rows from bottom to top.
    pub energy: Arc<[f32]>,
    /// The coordinates of the ends of the first axis of the plane, then of the second axis, in units of x.
    pub range: [[f32; 2]; 2],
    /// The path of the chain, projected onto the plane, (K, 2), flattened.
    pub path: Vec<f32>,
    /// The energy at each point of the path in the full space, not on the plane.
    pub path_energy: Vec<f32>,
    /// The share of the variance of the path that each axis explains.
    pub explained: [f32; 2],
    /// The image at the coordinates (0, 0), flattened.
    pub origin: Vec<f32>,
    /// The unit vectors along the two axes, flattened like an image.
    pub axes: [Vec<f32>; 2],
}

impl Slice {
    /// The image at a point of the plane.
    pub(crate) fn image_at(&self, point: [f32; 2]) -> Vec<f32> {
        let [first, second] = &self.axes;
        let along = first.iter().zip(second).map(|(a, b)| point[0] * a + point[1] * b);
        self.origin.iter().zip(along).map(|(origin, along)| origin + along).collect()
    }

    /// The point of the plane that is nearest to an image.
    pub(crate) fn nearest_to(&self, image: &[f32]) -> [f32; 2] {
        let from_origin = || image.iter().zip(&self.origin).map(|(x, origin)| x - origin);
        [0, 1].map(|axis| from_origin().zip(&self.axes[axis]).map(|(x, along)| x * along).sum())
    }

    /// The energy at a point of the plane; `None` outside the square.
    pub(crate) fn energy_at(&self, point: [f32; 2]) -> Option<f32> {
        let side = self.energy.len().isqrt();
        let place = [0, 1].map(|axis| {
            let [low, high] = self.range[axis];
            (point[axis] - low) / (high - low) * side as f32
        });
        let is_in = place.iter().all(|value| (0.0..side as f32).contains(value));
        is_in.then(|| self.energy[place[1] as usize * side + place[0] as usize])
    }
}
