//! The events of a training run, and its description.

use std::path::PathBuf;

use crate::{
    accuracy::Accuracy,
    checkpoint::Best,
    config::RunConfig,
    data::{self, Splits},
    trainer::{Divergence, Recovery, StepReport},
};

/// The configuration, data and network of a run, shown before its first step.
#[derive(Clone, Debug)]
pub struct RunDescription {
    /// The configuration of the run.
    pub config: RunConfig,
    /// The data, described in one line.
    pub data: String,
    /// The network, described in one line.
    pub network: String,
    /// The estimate of the memory that it needs, in one line.
    pub memory: String,
    /// Statistics of the data, for comparison with the numbers of the run.
    pub data_statistics: DataStatistics,
}

/// Simple statistics of the data, for comparison with the numbers of a run, for example to see whether it beats chance.
#[derive(Clone, Copy, Debug)]
pub struct DataStatistics {
    /// The share of the most frequent class, which is the accuracy of always predicting it.
    pub majority_share: f64,
    /// The share of the data's pixels at the border of the box.
    pub saturation: f64,
    /// The number of items used to measure an accuracy.
    pub num_judged: usize,
    /// The number of values per image, including channels.
    pub num_pixels: usize,
}

/// An event of a training run.
#[derive(Clone, Debug)]
pub enum TrainingEvent {
    /// The class centres are being estimated.
    Preparing {
        /// The number of classes whose centre is done.
        done: usize,
        /// The total number of classes.
        of: usize,
    },
    /// Data and network are ready; nothing has been written yet.
    Ready(Box<RunDescription>),
    /// The first step of this session is about to start.
    Started {
        /// The number of steps done in earlier sessions.
        step: u64,
        /// The number of training steps of the whole run.
        num_steps: u64,
    },
    /// A training step was completed.
    Step(StepReport),
    /// An epoch was evaluated and its sample grid written.
    Evaluated {
        /// The number of training steps done.
        step: u64,
        /// The number of the epoch that has ended.
        epoch: u64,
        /// The accuracy on the test set, if there is one.
        test: Option<Accuracy>,
        /// The accuracy on the validation part, if there is one.
        validation: Option<Accuracy>,
        /// The path of the sample grid, unless it could not be written.
        grid: Option<PathBuf>,
    },
    /// A warning for the user; the run continues.
    Warning(String),
    /// A step diverged and the run returned to its last good state.
    Recovered {
        /// Why the step was discarded.
        divergence: Divergence,
        /// The state to which the run returned.
        recovery: Recovery,
    },
    /// The run ended or was stopped; its state is saved.
    Finished {
        /// Whether all steps of the run are done, or it has ended early.
        is_complete: bool,
        /// Whether the run ended before its last step, because the validation accuracy no longer rose.
        ended_early: bool,
        /// The number of training steps done.
        step: u64,
        /// The best evaluation on the validation part, and the file of its model.
        best: Option<(Best, PathBuf)>,
        /// The accuracy of the last evaluation.
        test_accuracy: Option<f64>,
        /// The step of that evaluation.
        evaluated_step: Option<u64>,
        /// The calibration of p(y|x), if the run is complete.
        calibration: Option<Calibration>,
        /// The path of the checkpoint.
        checkpoint: PathBuf,
    },
}

/// The calibration of p(y|x) at the end of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calibration {
    /// The number of held-out training items.
    pub num_held_out: usize,
    /// Whether the loss has a cross entropy.
    pub is_classifier: bool,
    /// The temperature that was fitted on them; none without items, if the loss has no cross entropy, or if they determine
    /// none.
    pub temperature: Option<f64>,
}

impl DataStatistics {
    /// Computes the statistics of a data set; those of the classes come from its test part, or from its training part
    /// if it has no test part.
    fn of(splits: &Splits) -> Self {
        /// The number of items to examine, enough to estimate a share to one percent.
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
    /// Describes a run before its network is created.
    pub(super) fn of(config: &RunConfig, splits: &Splits) -> Self {
        Self {
            config: config.clone(),
            data: splits.describe(),
            network: String::new(),
            memory: String::new(),
            data_statistics: DataStatistics::of(splits),
        }
    }
}
