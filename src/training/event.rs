//! The events of a training run, and the description that it begins with.

use std::path::PathBuf;

use crate::{
    accuracy::Accuracy,
    config::RunConfig,
    data::{self, Splits},
    trainer::{Divergence, Recovery, StepReport},
};

/// The configuration, the data and the network of a run, as they are shown before its first step.
#[derive(Clone, Debug)]
pub struct RunDescription {
    /// The configuration of the run.
    pub config: RunConfig,
    /// The data, in one line for people.
    pub data: String,
    /// The network, in one line for people.
    pub network: String,
    /// What the numbers of the run are compared with.
    pub data_statistics: DataStatistics,
}

/// Simple statistics of the data, with which the numbers of a run are compared: is it better than chance?
#[derive(Clone, Copy, Debug)]
pub struct DataStatistics {
    /// Share of the most frequent class: the accuracy of a network that always answers it.
    pub majority_share: f64,
    /// Share of the data's pixels at the border of the box.
    pub saturation: f64,
    /// Items that an accuracy is measured on.
    pub num_judged: usize,
    /// Pixels of an image, channels counted.
    pub num_pixels: usize,
}

/// What happens in a training run.
#[derive(Clone, Debug)]
pub enum TrainingEvent {
    /// Class centres are estimated: so many classes are done.
    Preparing {
        /// The number of classes whose centre is estimated.
        done: usize,
        /// The number of classes.
        of: usize,
    },
    /// Data and network are ready; nothing is written yet.
    Ready(Box<RunDescription>),
    /// The first step of this session is about to begin.
    Started {
        /// The number of steps done in earlier sessions.
        step: u64,
        /// The number of training steps of the whole run.
        num_steps: u64,
    },
    /// A training step was done.
    Step(StepReport),
    /// An epoch was evaluated and its sample grid written.
    Evaluated {
        /// The number of training steps done.
        step: u64,
        /// The number of the epoch that has ended.
        epoch: u64,
        /// On the test set, where there is one.
        test: Option<Accuracy>,
        /// On the held-out part of the training set, where there is one.
        validation: Option<Accuracy>,
        /// The sample grid, unless it could not be written.
        grid: Option<PathBuf>,
    },
    /// A warning for a person; the run continues.
    Warning(String),
    /// A step diverged and the run returned to its last good state.
    Recovered {
        /// Why the step was dropped.
        divergence: Divergence,
        /// The state to which the run returned.
        recovery: Recovery,
    },
    /// The run ended or was stopped; everything is saved.
    Finished {
        /// Whether the run came to its end.
        is_complete: bool,
        /// The number of training steps done.
        step: u64,
        /// Accuracy of the last evaluation.
        test_accuracy: Option<f64>,
        /// The file with the checkpoint.
        checkpoint: PathBuf,
    },
}

impl DataStatistics {
    /// The statistics of a data set: of the classes in its test part, or in its training part where it has no test part.
    fn of(splits: &Splits) -> Self {
        /// Enough for a share to the percent.
        const NUM_LOOKED_AT: usize = 500;
        let judged = if splits.test.is_empty() { &splits.train } else { &splits.test };
        let mut counts = vec![0usize; judged.num_classes()];
        for &label in &judged.labels {
            counts[label as usize] += 1;
        }
        let most = counts.into_iter().max().unwrap_or(0);
        let values = splits.train.gather(data::spread(splits.train.len(), NUM_LOOKED_AT));
        let at_border = values.iter().filter(|value| value.abs() >= 1.0).count();
        Self {
            majority_share: most as f64 / judged.len().max(1) as f64,
            saturation: at_border as f64 / values.len().max(1) as f64,
            num_judged: judged.len(),
            num_pixels: splits.train.num_pixels(),
        }
    }
}

impl RunDescription {
    /// Describes a run whose network is not made yet.
    pub(super) fn of(config: &RunConfig, splits: &Splits) -> Self {
        Self {
            config: config.clone(),
            data: splits.describe(),
            network: String::new(),
            data_statistics: DataStatistics::of(splits),
        }
    }
}
