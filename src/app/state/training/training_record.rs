//! The record of a training run, as numbers. This module draws nothing.

use std::path::PathBuf;

use crate::{
    app::record::Thinned,
    config::RunConfig,
    worker::{TrainingPoint, TrainingUpdate},
};

/// The maximum number of points of a curve.
const MAX_POINTS: usize = 1000;
/// The size of one step's points on all curves, in bytes, as [`Thinned`] counts them.
const POINT_BYTES: usize = size_of::<TrainingPoint>();
/// The maximum number of messages.
const MAX_MESSAGES: usize = 50;

/// The progress of a training run.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::app) enum Phase {
    /// No model was trained in this window.
    #[default]
    None,
    /// Training is running.
    Running,
    /// Training is paused and everything is saved, so that the run can be resumed.
    Paused(PathBuf),
    /// All epochs are done; the path is that of the checkpoint.
    Complete(PathBuf),
    /// The run failed, for this reason.
    Failed(String),
}

/// The record of a training run.
#[derive(Debug)]
pub(in crate::app) struct TrainingRecord {
    /// The progress of the run.
    pub phase: Phase,
    /// The folder of the run.
    pub folder: PathBuf,
    /// The configuration of the run.
    pub config: Option<Box<RunConfig>>,
    /// The number of steps done.
    pub step: u64,
    /// The number of steps of the whole run.
    pub num_steps: u64,
    /// The estimate of the memory that the run needs, in one line.
    pub memory: String,
    /// The recent number of training steps per second.
    pub steps_per_sec: f64,
    /// The points of the curves.
    pub points: Thinned<TrainingPoint>,
    /// The accuracy on the test set: step, accuracy.
    pub accuracy: Vec<(u64, f64)>,
    /// Recoveries and other problems that did not stop the run, newest last: step, message.
    pub messages: Vec<(u64, String)>,
}

impl Default for TrainingRecord {
    fn default() -> Self {
        Self {
            phase: Phase::default(),
            folder: PathBuf::new(),
            config: None,
            step: 0,
            num_steps: 0,
            memory: String::new(),
            steps_per_sec: 0.0,
            points: Thinned::new(MAX_POINTS * POINT_BYTES),
            accuracy: Vec::new(),
            messages: Vec::new(),
        }
    }
}

impl TrainingRecord {
    /// Processes an update. Returns the reason of a failure, which the user must see in any tab.
    pub(crate) fn take(&mut self, update: TrainingUpdate) -> Option<String> {
        match update {
            TrainingUpdate::Started { folder, config, step, num_steps, memory, .. } => {
                // A run that is resumed keeps its curves.
                if folder != self.folder || step == 0 {
                    *self = Self { folder, ..Self::default() };
                }
                (self.config, self.memory) = (Some(config), memory);
                (self.step, self.num_steps, self.phase) = (step, num_steps, Phase::Running);
            }
            TrainingUpdate::Step(point) => {
                self.step = point.step;
                self.steps_per_sec = point.steps_per_sec;
                // After a recovery, steps are repeated, so their old results are removed.
                self.accuracy.retain(|&(step, _)| step < point.step);
                self.points.push(point.step, point, POINT_BYTES);
            }
            TrainingUpdate::Evaluated { step, test_accuracy } => {
                self.accuracy.retain(|&(other, _)| other < step);
                self.accuracy.push((step, test_accuracy));
            }
            TrainingUpdate::Recovered { message } => self.add_message(message),
            TrainingUpdate::Buffer { .. } => {}
            TrainingUpdate::Stopped { is_complete, checkpoint, .. } => {
                self.phase = match is_complete {
                    true => Phase::Complete(checkpoint),
                    false => Phase::Paused(checkpoint),
                };
            }
            TrainingUpdate::Failed(reason) => {
                self.phase = Phase::Failed(reason.clone());
                return Some(format!("Training failed: {reason}"));
            }
        }
        None
    }

    fn add_message(&mut self, message: String) {
        self.messages.push((self.step, message));
        let too_many = self.messages.len().saturating_sub(MAX_MESSAGES);
        self.messages.drain(..too_many);
    }

    /// Whether training has begun in this window.
    pub(crate) fn has_begun(&self) -> bool {
        self.phase != Phase::None && self.config.is_some()
    }

    /// The remaining time at the current rate, in seconds.
    pub(crate) fn secs_left(&self) -> Option<f64> {
        let steps = self.num_steps.saturating_sub(self.step) as f64;
        (self.steps_per_sec > 0.0).then(|| steps / self.steps_per_sec)
    }

    /// The state of a run that is not over, in a few words for the status line: `Training 19 %, 4 min left`.
    pub(crate) fn in_sight(&self) -> Option<String> {
        let share = self.step as f64 / self.num_steps.max(1) as f64;
        let percent = format!("{:.0} %", (100.0 * share).floor());
        match &self.phase {
            Phase::Running => Some(match self.secs_left() {
                Some(secs) => format!("Training {percent}, {} left", rough_duration(secs)),
                None => format!("Training {percent}"),
            }),
            Phase::Paused(_) => Some(format!("Training paused at {percent}")),
            Phase::Failed(_) => Some(format!("Training failed at {percent}")),
            Phase::None | Phase::Complete(_) => None,
        }
    }

    /// One curve as points (step, value).
    pub(crate) fn curve(&self, value: fn(&TrainingPoint) -> f64) -> Vec<(f64, f64)> {
        self.points.entries().iter().map(|(step, point)| (*step as f64, value(point))).collect()
    }
}

/// The trend of a noisy curve: an exponential moving average over about `num_points` points.
pub(in crate::app) fn smooth(
    curve: impl IntoIterator<Item = (f64, f64)>,
    num_points: usize,
) -> Vec<(f64, f64)> {
    let keep = 1.0 - 1.0 / num_points.max(1) as f64;
    let (mut sum, mut weight) = (0.0, 0.0);
    let finite = curve.into_iter().filter(|point| point.1.is_finite());
    finite
        .map(|(x, y)| {
            sum = keep * sum + y;
            weight = keep * weight + 1.0;
            (x, sum / weight)
        })
        .collect()
}

/// A range without the rarest finite values, so that a single spike does not flatten the rest.
pub(in crate::app) fn usual_range(curves: &[Vec<(f64, f64)>]) -> Option<(f64, f64)> {
    let values = curves.iter().flatten().map(|point| point.1);
    let mut sorted: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    let at = |share: f64| sorted[(share * last as f64).round() as usize];
    let (low, high) = (at(0.01), at(0.99));
    let reach = high - low;
    Some((sorted[0].max(low - reach), sorted[last].min(high + reach)))
}

/// A duration in whole minutes, as far as it has some, so that the text rests.
fn rough_duration(secs: f64) -> String {
    if secs >= 60.0 {
        duration_text((secs / 60.0).ceil() * 60.0).replace(" 0 s", "")
    } else {
        duration_text(secs)
    }
}

/// A duration as text, such as `3 min 20 s`.
pub(in crate::app) fn duration_text(secs: f64) -> String {
    let secs = secs.max(0.0).round() as u64;
    match (secs / 3600, secs / 60 % 60, secs % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) if m < 10 => format!("{m} min {s} s"),
        (0, m, _) => format!("{m} min"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(step: u64) -> TrainingPoint {
        TrainingPoint {
            step,
            loss: step as f64,
            cross_entropy: 0.0,
            gap: 0.0,
            gradient_norm: 0.0,
            clamp_rate: 0.0,
            steps_per_sec: 2.0,
        }
    }

    fn started(step: u64) -> TrainingUpdate {
        TrainingUpdate::Started {
            folder: "runs/a".into(),
            config: Box::default(),
            step,
            num_steps: 10_000,
            memory: String::new(),
            class_names: Vec::new(),
            shape: [1, 28, 28],
        }
    }

    #[test]
    fn a_run_is_followed_within_bounds() {
        let mut run = TrainingRecord::default();
        run.take(started(0));
        for step in 1..=5000 {
            run.take(TrainingUpdate::Step(point(step)));
        }
        run.take(TrainingUpdate::Evaluated { step: 5000, test_accuracy: 0.5 });
        assert!(run.points.entries().len() <= MAX_POINTS);
        assert_eq!((run.step, run.secs_left()), (5000, Some(2500.0)));
        run.take(TrainingUpdate::Recovered { message: "back to step 4950".into() });
        run.take(TrainingUpdate::Step(point(4951)));
        assert_eq!(run.points.last_step(), Some(4951));
        assert!(run.accuracy.is_empty() && run.messages.len() == 1);
        let stopped = TrainingUpdate::Stopped {
            is_complete: false,
            checkpoint: "runs/a/c".into(),
            temperature: None,
        };
        run.take(stopped);
        assert_eq!(run.phase, Phase::Paused("runs/a/c".into()));
        run.take(started(4951));
        assert!(run.phase == Phase::Running && !run.points.entries().is_empty());
        assert!(run.take(TrainingUpdate::Failed("no memory".into())).is_some());
        assert_eq!(run.phase, Phase::Failed("no memory".into()));
        assert_eq!(run.messages.len(), 1, "the reason is not among the messages too");
    }

    #[test]
    fn the_status_line_says_how_far_training_is() {
        let at = |step: u64, steps_per_sec: f64| {
            let record = TrainingRecord {
                phase: Phase::Running,
                step,
                num_steps: 2028,
                steps_per_sec,
                ..TrainingRecord::default()
            };
            record.in_sight().unwrap()
        };
        assert_eq!(at(400, 7.0), "Training 19 %, 4 min left");
        assert_eq!(at(2000, 7.0), "Training 98 %, 4 s left");
        assert_eq!(at(0, 0.0), "Training 0 %");
        assert_eq!(TrainingRecord::default().in_sight(), None);
    }

    #[test]
    fn spikes_do_not_flatten_a_curve() {
        let mut curve: Vec<(f64, f64)> = (0..1000).map(|x| (x as f64, (x % 10) as f64)).collect();
        assert_eq!(usual_range(&[curve.clone()]), Some((0.0, 9.0)));
        curve[500].1 = 1e9;
        curve[501].1 = f64::NAN;
        assert_eq!(usual_range(&[curve.clone()]), Some((0.0, 18.0)));
        assert_eq!(usual_range(&[]), None);
        let trend = smooth([(0.0, 1.0), (1.0, 3.0), (2.0, f64::NAN)], 1_000_000);
        assert!((trend[1].1 - 2.0).abs() < 1e-3 && trend.len() == 2);
        assert_eq!(
            [5.0, 200.0, 2400.0, 8000.0].map(duration_text),
            ["5 s", "3 min 20 s", "40 min", "2 h 13 min"]
        );
    }
}
