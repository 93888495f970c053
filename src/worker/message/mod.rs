//! The messages between the viewer and its worker. They contain no tensors.

pub(super) mod data;
pub(super) mod lab;

use std::{ops::Range, path::PathBuf, sync::Arc};

use half::f16;
use serde::{Deserialize, Serialize};

use self::{
    data::{Inspected, Recipe},
    lab::{LabCommand, LabUpdate},
};
use crate::{
    config::{DataConfig, LaneConfig, Norm, RunConfig, SamplerConfig},
    data::{Dataset, OwnFile},
    energy::denoised_value,
    numbers::argmax,
};

/// A command from the viewer to the worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Command {
    /// Load a model: a bundled one by name, or a checkpoint by path. Answered by [`Event::Opened`].
    Open(String),
    /// A file as bytes. From now on, [`Command::Open`] finds it by this name.
    Attach {
        /// The name of the file.
        name: String,
        /// The content of the file.
        bytes: Arc<[u8]>,
    },
    /// Draw new starts and evaluate them. Answered by [`Event::Started`] and step 0.
    Restart(RunRequest),
    /// Use these rules from the next step on. The starts stay the same.
    SetLanes(Vec<LaneConfig>),
    /// Run the chains until a step, with a limit on the speed.
    Run {
        /// A number for this run, which [`Event::Paused`] repeats.
        run: u64,
        /// The step at which the chains stop.
        until: u64,
        /// The largest number of steps per second; 0 means no limit.
        max_steps_per_sec: f64,
    },
    /// Whether the steps hold the gradients of the chains, which are large to read. If so, the current step is sent
    /// again, with them.
    ReadGradients(bool),
    /// Stop the chains after the current step.
    Pause,
    /// Continue from a recorded step, of this run or of one with the same settings.
    Branch {
        /// The recorded step.
        step: u64,
        /// The chains of each lane at that step, (N, C, H, W) flattened.
        x: Vec<Arc<[f32]>>,
        /// The seconds and the gradients that each lane had used at that step.
        spent: Vec<(f64, u64)>,
    },
    /// Replace one chain of one lane with an image.
    Replace {
        /// The index of the lane.
        lane: usize,
        /// The index of the chain.
        chain: usize,
        /// The new image (C, H, W) in [-1, 1].
        image: Arc<[f32]>,
        /// A mask (H, W): true for pixels that stay fixed. If it is empty, no pixel is fixed.
        is_fixed: Vec<bool>,
    },
    /// Load and evaluate the images to compare with. Only needed in a browser, because elsewhere opening a model does
    /// so. Answered by [`Event::References`].
    LoadReferences,
    /// Classify an image (C, H, W). Answered by [`Event::Classified`].
    Classify(Arc<[f32]>),
    /// A person's own data set as a list of files. From now on, `data.dir` finds it by this name.
    GiveData {
        /// The name of the data set.
        name: String,
        /// Its files; a later list with the same name replaces them.
        files: Vec<OwnFile>,
    },
    /// Look what is in a data set. Answered by [`Event::Inspected`] and, if it can be trained on, [`Event::Recipe`].
    InspectData {
        /// The data set; its `dir` is a path, or the name of a list that was given.
        data: Box<DataConfig>,
        /// The seed of the choice of a test part.
        seed: u64,
    },
    /// Train a new model in a folder that must not exist.
    Train {
        /// The configuration of the run.
        config: Box<RunConfig>,
        /// The folder of the new run.
        out: PathBuf,
    },
    /// Resume the training run in this folder.
    ResumeTraining(PathBuf),
    /// Pause training after the current step and save the run.
    PauseTraining,
    /// Save the model in training to this path, or else the one that was trained last, or else the open one.
    Save(PathBuf),
    /// Save the open model to this path.
    SaveOpen(PathBuf),
    /// A command for the lab. Answered by [`Event::Lab`].
    Lab(LabCommand),
    /// Load the text of a lesson. Answered by [`Event::Lesson`] or [`Event::LessonRefused`].
    Lesson {
        /// The number of the lesson, starting at 1.
        number: usize,
        /// A folder with other lesson texts; `None` for the texts of the program.
        folder: Option<PathBuf>,
    },
    /// Open the device and the model again after a failure.
    Retry,
}

/// A request for new chains: seed, classes and rules.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRequest {
    /// Seed of starts and noise; every lane gets the same.
    pub seed: u64,
    /// The class of each chain, in row-major order of the grid.
    pub labels: Vec<u32>,
    /// One rule per lane.
    pub lanes: Vec<LaneConfig>,
    /// The image that [`crate::config::ViewStart::Image`] starts from, (C, H, W) in [-1, 1].
    pub image: Option<Arc<[f32]>>,
}

/// An event, from the worker to the viewer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Event {
    /// The compute device is open.
    Device {
        /// The description of the device, one line for people.
        description: String,
        /// Whether the device is the CPU back end.
        is_cpu: bool,
        /// The names of the bundled models.
        bundled: Vec<String>,
    },
    /// A file of the program is being downloaded; only in a browser.
    Loading {
        /// The name of the file.
        name: String,
        /// The number of bytes downloaded so far.
        num_bytes: u64,
    },
    /// A model is loaded.
    Opened(Box<ModelInfo>),
    /// New chains are at their starts.
    Started(RunRequest),
    /// The chains were evaluated at a step: their states before the step moves them.
    Step(Box<Step>),
    /// The chains stopped, on request or at the last step; the number is the one of [`Command::Run`].
    Paused(u64),
    /// The current rules, sent after other rules were refused.
    Lanes(Vec<LaneConfig>),
    /// The energies of test images, and the training images, for comparison.
    References(References),
    /// The answer to [`Command::Classify`].
    Classified {
        /// The image that was classified.
        image: Arc<[f32]>,
        /// The energy of the image.
        energy: f32,
        /// The class probabilities p(y|x).
        probabilities: Vec<f32>,
    },
    /// The answer to [`Command::InspectData`].
    Inspected(Box<Inspected>),
    /// The recipe for a data set that was inspected.
    Recipe(Box<Recipe>),
    /// An event of the training run.
    Training(Box<TrainingUpdate>),
    /// An event of the lab.
    Lab(Box<LabUpdate>),
    /// The text of a lesson.
    Lesson {
        /// The number of the lesson, starting at 1.
        number: usize,
        /// The text of the lesson, in Markdown.
        text: String,
    },
    /// The text of a lesson cannot be loaded.
    LessonRefused {
        /// The number of the lesson, starting at 1.
        number: usize,
        /// The reason.
        reason: String,
    },
    /// A file was saved at this path.
    Saved(PathBuf),
    /// A file for the user to download; only in a browser, where the worker cannot write files.
    File {
        /// The name of the file.
        name: String,
        /// The content of the file.
        bytes: Vec<u8>,
    },
    /// A command could not be carried out; everything else continues. The text is the reason.
    Refused(String),
    /// The device or the worker failed; [`Command::Retry`] starts them again. The text is the reason.
    Failed(String),
}

#[cfg(not(target_arch = "wasm32"))]
impl Event {
    /// The approximate size of the event in bytes; parts that are always small are not counted.
    pub(super) fn num_bytes(&self) -> usize {
        match self {
            Self::Step(step) => {
                let of_lane = |lane: &LaneStep| lane.images.num_bytes() + lane.numbers.num_bytes();
                step.lanes.iter().map(of_lane).sum()
            }
            Self::Training(update) => match &**update {
                TrainingUpdate::Buffer { x, .. } => size_of_val(&x[..]),
                _ => 0,
            },
            Self::Lab(update) => update.num_bytes(),
            Self::File { bytes, .. } => bytes.len(),
            _ => 0,
        }
    }
}

/// A description of the open model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// The name, as in [`Command::Open`]; for the model of a training run, the path of its checkpoint.
    pub name: String,
    /// The architecture, as in `model.arch`.
    pub arch: String,
    /// The data set that the model was trained on.
    pub dataset: String,
    /// The names of the classes.
    pub class_names: Vec<String>,
    /// The shape (C, H, W) of an input; (2, 1, 1) for 2-D points.
    pub shape: [usize; 3],
    /// The sampler of the training run, the default of all controls.
    pub sampler: SamplerConfig,
    /// The normalisation of the training run.
    pub norm: Norm,
    /// The number of pieces before the head; `split` can be 1 to this number.
    pub num_pieces: usize,
    /// Whether the model has a replay buffer to start chains from.
    pub has_buffer: bool,
    /// The number of training steps done.
    pub training_steps: u64,
    /// The test accuracy, if it was measured.
    pub test_accuracy: Option<f64>,
    /// The temperature of p(y|x), if the model was calibrated after training.
    pub temperature: Option<f64>,
}

impl ModelInfo {
    /// Whether the inputs are 2-D points and not images.
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

/// The chains of all lanes at one step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Step {
    /// The number of steps done since the start.
    pub step: u64,
    /// One entry per lane.
    pub lanes: Vec<LaneStep>,
}

/// The chains of one lane at one step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LaneStep {
    /// The images and the energy gradients of the chains.
    pub images: LaneImages,
    /// The measurements of the chains.
    pub numbers: LaneNumbers,
}

/// The images and the energy gradients of the chains of one lane.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LaneImages {
    /// The chains (N, C, H, W), flattened.
    pub x: Arc<[f32]>,
    /// ∂E/∂x at the chains, in energy per unit of x; empty unless [`Command::ReadGradients`] asks for it.
    pub gradient: Vec<f16>,
    /// The bound on each component of the gradient, if the rule clamps it.
    pub proximal_radius: Option<f32>,
}

impl LaneImages {
    /// The approximate size in bytes.
    pub(crate) fn num_bytes(&self) -> usize {
        size_of_val(&*self.x) + size_of_val(&self.gradient[..])
    }

    /// Some of the chains, [denoised](crate::energy::denoised) by a step; none if their gradients were not read. `part` is a
    /// range of the values of all chains.
    pub(crate) fn denoised(&self, part: Range<usize>, step: f32) -> Option<Vec<f32>> {
        let values = self.x.get(part.clone())?.iter().zip(self.gradient.get(part)?);
        Some(values.map(|(x, slope)| denoised_value(*x, slope.to_f32(), step)).collect())
    }
}

/// Measurements of every chain of a lane, each vector of length N.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LaneNumbers {
    /// The energy of p(x), also if the chain samples p(x|y), so that it is comparable with the energy of any image.
    pub energy: Vec<f32>,
    /// ‖∂E/∂x‖, in energy per unit of x.
    pub gradient_norm: Vec<f32>,
    /// Share of clamped gradient components.
    pub clamp_rate: Vec<f32>,
    /// Share of pixels with a value of -1 or 1, or beyond.
    pub saturation: Vec<f32>,
    /// ‖x - x_0‖, the distance from the start.
    pub distance: Vec<f32>,
    /// The class probabilities p(y|x), shape (N, classes).
    pub probabilities: Vec<f16>,
    /// The acceptance probability of MALA for the move from this step to the next; empty for other rules.
    pub acceptance: Vec<f32>,
    /// Seconds of computation since the start, for all chains of the lane together.
    pub seconds: f64,
    /// The number of full gradients per chain since the start.
    pub num_gradients: u64,
}

impl LaneNumbers {
    /// The approximate size in bytes.
    pub(crate) fn num_bytes(&self) -> usize {
        6 * size_of_val(&self.energy[..]) + size_of_val(&self.probabilities[..])
    }

    /// The most probable class of a chain and its probability; `None` if p(y|x) is not a number.
    pub fn prediction(&self, chain: usize) -> Option<(usize, f32)> {
        let num_classes = self.probabilities.len() / self.energy.len().max(1);
        let row = self.probabilities.get(chain * num_classes..(chain + 1) * num_classes)?;
        let best = argmax(row)?;
        let probability = row[best].to_f32();
        probability.is_finite().then_some((best, probability))
    }

    /// The mean energy of the chains that did not explode; NaN if all did.
    pub fn mean_energy(&self) -> f32 {
        let whole = (0..self.energy.len()).filter(|&chain| !self.is_broken(chain));
        let energies: Vec<f32> = whole.map(|chain| self.energy[chain]).collect();
        energies.iter().sum::<f32>() / energies.len() as f32
    }

    /// Whether the energy or the distance of the chain is no longer finite.
    pub(crate) fn is_broken(&self, chain: usize) -> bool {
        !self.energy[chain].is_finite() || !self.distance[chain].is_finite()
    }
}

/// Real images to compare chains with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct References {
    /// The energies of test images.
    pub test_energies: Vec<f32>,
    /// The training images.
    pub train: Arc<Dataset>,
}

/// An update of a training run, from the worker to the window.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum TrainingUpdate {
    /// The run starts or resumes.
    Started {
        /// The folder of the run.
        folder: PathBuf,
        /// The configuration of the run.
        config: Box<RunConfig>,
        /// The number of steps that were done in earlier sessions.
        step: u64,
        /// The number of steps of the whole run.
        num_steps: u64,
        /// The estimate of the memory that the run needs, in one line.
        memory: String,
        /// The names of the classes.
        class_names: Vec<String>,
        /// The shape (C, H, W) of an item; (2, 1, 1) for points in the plane.
        shape: [usize; 3],
    },
    /// A training step was done.
    Step(TrainingPoint),
    /// An epoch was evaluated.
    Evaluated {
        /// The number of steps done.
        step: u64,
        /// The accuracy on the test set.
        test_accuracy: f64,
    },
    /// A diverged run returned to a good state, or another problem happened that does not stop the run.
    Recovered {
        /// The problem and the reaction to it, for people.
        message: String,
    },
    /// Some chains of the replay buffer.
    Buffer {
        /// The chains (N, C, H, W), flattened.
        x: Vec<f32>,
        /// The class of each chain.
        labels: Vec<u32>,
    },
    /// The run ended or was paused, and is saved.
    Stopped {
        /// Whether all epochs are done.
        is_complete: bool,
        /// The path of the checkpoint.
        checkpoint: PathBuf,
        /// The temperature of p(y|x), if the run is complete and calibrated.
        temperature: Option<f64>,
    },
    /// The run failed; the files that existed before are unchanged. The text is the reason.
    Failed(String),
}

/// The measurements of one training step, for the plots.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingPoint {
    /// The number of steps done, including this one.
    pub step: u64,
    /// The value of the loss.
    pub loss: f64,
    /// The cross entropy of p(y|x).
    pub cross_entropy: f64,
    /// The gap d = mean E(x_data) - mean E(x_model).
    pub gap: f64,
    /// r, the mean gradient norm along the chains.
    pub gradient_norm: f64,
    /// Mean share of clamped gradient components.
    pub clamp_rate: f64,
    /// Training steps per second.
    pub steps_per_sec: f64,
}
