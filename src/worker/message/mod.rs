//! What the viewer and its worker say to each other. No tensor crosses this line.

pub(super) mod lab;

use std::{path::PathBuf, sync::Arc};

use half::f16;
use serde::{Deserialize, Serialize};

use self::lab::{LabCommand, LabNews};
use crate::{
    config::{LaneConfig, Norm, RunConfig, SamplerConfig},
    data::Dataset,
    numbers::argmax,
};

/// What the viewer asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Command {
    /// Load a model: a bundled one by name, or a checkpoint by path. Answered by [`Event::Opened`].
    Open(String),
    /// A file as bytes: [`Command::Open`] finds it by this name from now on.
    Attach {
        /// Its name.
        name: String,
        /// What is in it.
        bytes: Arc<[u8]>,
    },
    /// Draw the starts anew and evaluate them. Answered by [`Event::Started`] and step 0.
    Restart(RunRequest),
    /// From the next step on, move by these rules. The starts stay.
    SetLanes(Vec<LaneConfig>),
    /// Run until this step, at most so many steps a second (0: no limit).
    Run {
        /// A number, which [`Event::Paused`] tells again.
        run: u64,
        /// Where to stop.
        until: u64,
        /// Steps per second at most; 0 is no limit.
        max_steps_per_sec: f64,
    },
    /// Stop after the step that is being computed.
    Pause,
    /// Go on from a recorded step: the chains of each lane, (N, C, H, W) flattened.
    Branch {
        /// The step they stood at.
        step: u64,
        /// Chains of each lane.
        x: Vec<Arc<[f32]>>,
    },
    /// Put an image in the place of one chain, in one lane.
    Replace {
        /// Which lane.
        lane: usize,
        /// Which chain.
        chain: usize,
        /// The image (C, H, W) in [-1, 1].
        image: Arc<[f32]>,
        /// True where the pixels (H, W) must stay as they are; empty lets all of them move.
        is_fixed: Vec<bool>,
    },
    /// Load and evaluate the images to compare with, where opening a model does not do so itself: in a
    /// browser. Answered by [`Event::References`].
    LoadReferences,
    /// What the model sees in an image (C, H, W). Answered by [`Event::Classified`].
    Classify(Arc<[f32]>),
    /// Train a new model in a folder that must not exist.
    Train {
        /// What to train.
        config: Box<RunConfig>,
        /// Where the run goes.
        out: PathBuf,
    },
    /// Go on with the run in this folder.
    ResumeTraining(PathBuf),
    /// Stop training after this step and save.
    PauseTraining,
    /// Save the model of the running or paused training, or the one that is open, here.
    Save(PathBuf),
    /// Something of the lab. Answered by [`Event::Lab`].
    Lab(LabCommand),
    /// Bring the text of a lesson. Answered by [`Event::Lesson`].
    Lesson {
        /// Its number, from 1.
        number: usize,
        /// A folder of texts of one's own.
        folder: Option<PathBuf>,
    },
    /// Open the device and the model again after a failure.
    Retry,
}

/// A run of the viewer's chains.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRequest {
    /// Seed of starts and noise; every lane gets the same.
    pub seed: u64,
    /// The class of each chain, row by row.
    pub labels: Vec<u32>,
    /// One rule a lane.
    pub lanes: Vec<LaneConfig>,
    /// The image that [`crate::config::ViewStart::Image`] starts from, (C, H, W) in [-1, 1].
    pub image: Option<Arc<[f32]>>,
}

/// What the worker reports.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Event {
    /// The compute device is open.
    Device {
        /// One line for people.
        description: String,
        /// Whether this is the CPU back end.
        is_cpu: bool,
        /// Models that travel inside the program.
        bundled: Vec<String>,
    },
    /// A file that travels with the program is on its way, in a browser: so many of its bytes are here.
    Loading {
        /// Its name.
        name: String,
        /// Bytes that are here.
        num_bytes: u64,
    },
    /// A model is loaded.
    Opened(Box<ModelInfo>),
    /// New chains stand at their starts.
    Started(RunRequest),
    /// Chains were evaluated: the states that step `step` begins with.
    Step(Box<Step>),
    /// The run of that number stopped, as asked or at its end.
    Paused(u64),
    /// The rules in force, after others were refused.
    Lanes(Vec<LaneConfig>),
    /// Energies of test images and the training images, for comparison.
    References(References),
    /// The answer to [`Command::Classify`].
    Classified {
        /// The image asked about.
        image: Arc<[f32]>,
        /// Its energy.
        energy: f32,
        /// p(y|x).
        probabilities: Vec<f32>,
    },
    /// Something of training.
    Training(Box<TrainingNews>),
    /// Something of the lab.
    Lab(Box<LabNews>),
    /// A lesson, in Markdown.
    Lesson {
        /// Its number, from 1.
        number: usize,
        /// Its text.
        text: String,
    },
    /// A file was written.
    Saved(PathBuf),
    /// A file for the person to keep, where the worker cannot write it: in a browser.
    File {
        /// Its name.
        name: String,
        /// What is in it.
        bytes: Vec<u8>,
    },
    /// A request could not be served; everything goes on.
    Refused(String),
    /// The device or the worker failed; [`Command::Retry`] starts again.
    Failed(String),
}

#[cfg(not(target_arch = "wasm32"))]
impl Event {
    /// About how many bytes it takes on its way; what is never large counts nothing.
    pub(super) fn num_bytes(&self) -> usize {
        match self {
            Self::Step(step) => {
                let of_lane = |lane: &LaneStep| lane.images.num_bytes() + lane.numbers.num_bytes();
                step.lanes.iter().map(of_lane).sum()
            }
            Self::Training(news) => match &**news {
                TrainingNews::Buffer { x, .. } => size_of_val(&x[..]),
                _ => 0,
            },
            Self::Lab(news) => news.num_bytes(),
            Self::File { bytes, .. } => bytes.len(),
            _ => 0,
        }
    }
}

/// The open model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// As in [`Command::Open`]; a training run's model is its checkpoint's path.
    pub name: String,
    /// Architecture.
    pub arch: String,
    /// Data set.
    pub dataset: String,
    /// Names of the classes.
    pub class_names: Vec<String>,
    /// Shape (C, H, W) of an input; (2, 1, 1) for points in the plane.
    pub shape: [usize; 3],
    /// The training run's own sampler, the default of every control.
    pub sampler: SamplerConfig,
    /// The training run's norm.
    pub norm: Norm,
    /// Pieces before the head: `split` is 1 to this.
    pub num_pieces: usize,
    /// Whether a replay buffer is there to start from.
    pub has_buffer: bool,
    /// Training steps behind it.
    pub training_steps: u64,
    /// Test accuracy, where it was measured.
    pub test_accuracy: Option<f64>,
}

impl ModelInfo {
    /// Whether inputs are points in the plane and not images.
    pub fn is_planar(&self) -> bool {
        self.shape == [2, 1, 1]
    }

    /// The rule of the training run.
    pub fn lane(&self) -> LaneConfig {
        LaneConfig {
            sampler: self.sampler.clone(),
            norm: if self.norm == Norm::Batch { Norm::Frozen } else { self.norm },
            ..LaneConfig::default()
        }
    }
}

/// All lanes at one step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Step {
    /// Steps done since the start.
    pub step: u64,
    /// One entry a lane.
    pub lanes: Vec<LaneStep>,
}

/// The chains of one lane at one step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LaneStep {
    /// What they look like.
    pub images: LaneImages,
    /// What is measured of them.
    pub numbers: LaneNumbers,
}

/// Chains and energy gradients.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LaneImages {
    /// Chains (N, C, H, W), flattened.
    pub x: Arc<[f32]>,
    /// ∂E/∂x there, in energy per unit of x.
    pub gradient: Vec<f16>,
    /// The radius that clamped each component, where the rule clamps.
    pub proximal_radius: Option<f32>,
}

impl LaneImages {
    /// About how many bytes they take.
    pub fn num_bytes(&self) -> usize {
        size_of_val(&*self.x) + size_of_val(&self.gradient[..])
    }
}

/// Scalars of every chain, each of length N.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LaneNumbers {
    /// Energy of p(x), also where the chain follows p(x|y): comparable with any other image's.
    pub energy: Vec<f32>,
    /// ‖∂E/∂x‖, in energy per unit of x.
    pub gradient_norm: Vec<f32>,
    /// Share of clamped gradient components.
    pub clamp_rate: Vec<f32>,
    /// Share of pixels at the border of the box.
    pub saturation: Vec<f32>,
    /// ‖x - x_0‖.
    pub distance: Vec<f32>,
    /// p(y|x), shape (N, classes).
    pub probabilities: Vec<f16>,
    /// How probable MALA's acceptance of the move from this step to the next is; empty for other rules.
    pub acceptance: Vec<f32>,
    /// Seconds of computing since the start, all chains of the lane together.
    pub seconds: f64,
    /// Full gradients since the start, per chain.
    pub num_gradients: u64,
}

impl LaneNumbers {
    /// About how many bytes they take.
    pub fn num_bytes(&self) -> usize {
        6 * size_of_val(&self.energy[..]) + size_of_val(&self.probabilities[..])
    }

    /// Most probable class of a chain and its probability; `None` where p(y|x) is no number.
    pub fn prediction(&self, chain: usize) -> Option<(usize, f32)> {
        let num_classes = self.probabilities.len() / self.energy.len().max(1);
        let row = self.probabilities.get(chain * num_classes..(chain + 1) * num_classes)?;
        let best = argmax(row)?;
        let probability = row[best].to_f32();
        probability.is_finite().then_some((best, probability))
    }

    /// Whether the chain has left the finite numbers.
    pub fn is_broken(&self, chain: usize) -> bool {
        !self.energy[chain].is_finite() || !self.distance[chain].is_finite()
    }
}

/// Real images to compare chains with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct References {
    /// Energies of test images.
    pub test_energies: Vec<f32>,
    /// Training images.
    pub train: Arc<Dataset>,
}

/// What training has to tell.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum TrainingNews {
    /// Steps are about to begin.
    Started {
        /// The run's folder.
        folder: PathBuf,
        /// Its configuration.
        config: Box<RunConfig>,
        /// Steps done in an earlier session.
        step: u64,
        /// Steps of the whole run.
        num_steps: u64,
    },
    /// A step was done.
    Step(TrainingPoint),
    /// An epoch was evaluated.
    Evaluated {
        /// Steps done.
        step: u64,
        /// Accuracy on the test set.
        test_accuracy: f64,
    },
    /// A diverged run returned to a good state, or something else happened that does not stop it.
    Recovered {
        /// What happened and what was done, for people.
        message: String,
    },
    /// Some chains of the replay buffer.
    Buffer {
        /// Chains (N, C, H, W), flattened.
        x: Vec<f32>,
        /// Their classes.
        labels: Vec<u32>,
    },
    /// The run ended or was paused; everything is saved.
    Stopped {
        /// Whether all epochs were done.
        is_complete: bool,
        /// The checkpoint.
        checkpoint: PathBuf,
    },
    /// The run failed; what was there before is untouched.
    Failed(String),
}

/// One training step for the plots.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingPoint {
    /// Steps done, this one included.
    pub step: u64,
    /// The loss.
    pub loss: f64,
    /// Cross entropy of p(y|x).
    pub cross_entropy: f64,
    /// d = mean E(x_data) - mean E(x_model).
    pub gap: f64,
    /// r, the mean gradient norm along the chains.
    pub gradient_norm: f64,
    /// Mean share of clamped gradient components.
    pub clamp_rate: f64,
    /// Training steps per second.
    pub steps_per_sec: f64,
}
