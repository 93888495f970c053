//! The progress display of a training run.

use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

use crate::{
    accuracy::Accuracy,
    counts::counted,
    say::{complain, say},
    trainer::StepReport,
    training::{Calibration, TrainingEvent},
};

/// The first word of the last report on a run that is complete.
pub(super) const TRAINED: &str = "Trained";
/// The time between two lines of a log if nothing else is printed.
const LINE_INTERVAL: Duration = Duration::from_secs(30);
/// The time until the first of these lines, so that a new log soon shows progress.
const FIRST_LINE: Duration = Duration::from_secs(5);

/// The time between two pictures of a line on a terminal.
const TICK: Duration = Duration::from_millis(500);

/// The style of a progress bar, from a template.
pub(super) fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

/// The style of a line that waits for work of unknown length.
fn waiting_style() -> ProgressStyle {
    style("{spinner} {msg}, {elapsed}")
}

/// Does `work` while a line on a terminal says `what` is being done and for how long; a log gets nothing.
pub(super) fn during<T>(what: &'static str, work: impl FnOnce() -> T) -> T {
    let bar = ProgressBar::new_spinner().with_style(waiting_style()).with_message(what);
    bar.enable_steady_tick(TICK);
    let result = work();
    bar.finish_and_clear();
    result
}

/// A progress bar on a terminal; in a log, the milestones and a line every half minute.
pub(super) struct Progress {
    bar: ProgressBar,
    is_log: bool,
    pace: Pace,
}

impl Progress {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::new(0).with_style(waiting_style()).with_message("reading the data");
        bar.enable_steady_tick(TICK);
        let is_log = bar.is_hidden() || !std::io::stdout().is_terminal();
        Self { bar, is_log, pace: Pace::new(Instant::now(), 0, 0) }
    }

    fn say(&self, line: &str) {
        self.bar.suspend(|| say!("{line}"));
    }

    pub(super) fn show(&mut self, event: &TrainingEvent) {
        match event {
            TrainingEvent::Preparing { done, of } => {
                self.bar.set_message(format!("class centres: {done} of {of} classes"));
                if self.is_log && self.pace.is_line_due(Instant::now()) {
                    self.say(&format!("Class centres: {done} of {of} classes are done."));
                }
            }
            TrainingEvent::Ready(_) => {}
            TrainingEvent::Started { step, num_steps } => {
                self.pace = Pace::new(Instant::now(), *step, *num_steps);
                self.bar.set_style(style("{msg}\n[{bar:40}] {pos}/{len} steps, {eta} left"));
                self.bar.set_message("");
                self.bar.set_length(*num_steps);
                self.bar.set_position(*step);
                self.bar.reset_eta();
                if step >= num_steps {
                    self.say(&format!(
                        "All {num_steps} steps are done already; --resume with more --epochs trains on."
                    ));
                } else if *step > 0 {
                    self.say(&format!("Resuming at step {step} of {num_steps}."));
                }
            }
            TrainingEvent::Step(report) => {
                self.bar.set_position(report.step);
                self.bar.set_message(numbers_of(report));
                if self.is_log && self.pace.is_line_due(Instant::now()) {
                    let left = self.pace.left(Instant::now(), report.step);
                    self.say(&line_of(report, self.pace.num_steps, left));
                }
            }
            TrainingEvent::Evaluated { epoch, test, validation, grid, .. } => {
                let samples = grid.as_ref().map(|grid| format!(", samples in {}", grid.display()));
                self.say(&format!(
                    "epoch {epoch}: {}{}{}",
                    validation.as_ref().map(validated).unwrap_or_default(),
                    tested(test.as_ref()),
                    samples.unwrap_or_default()
                ));
            }
            TrainingEvent::Warning(warning) => self.bar.suspend(|| complain!("warning: {warning}")),
            TrainingEvent::Recovered { divergence, recovery } => self.say(&format!(
                "diverged: {divergence}. Back to step {}, learning rate × {} (recovery {})",
                recovery.step, recovery.learning_rate_factor, recovery.num_recoveries
            )),
            TrainingEvent::Finished {
                is_complete,
                ended_early,
                step,
                best,
                test_accuracy,
                evaluated_step,
                calibration,
                checkpoint,
            } => {
                self.bar.finish_and_clear();
                let earlier = evaluated_step.filter(|evaluated| evaluated != step);
                let earlier = earlier.map(|step| format!(" at step {step}")).unwrap_or_default();
                let accuracy = test_accuracy
                    .map(|accuracy| format!(", test accuracy {:.1} %{earlier}", 100.0 * accuracy));
                let word = if *is_complete { TRAINED } else { "Stopped after" };
                let steps = counted(*step as usize, "step", "steps");
                say!("{word} {steps}{}.", accuracy.unwrap_or_default());
                if *ended_early {
                    say!(
                        "The run ended early: its validation accuracy has not risen for training.early_stop_epochs epochs. \
                         To go on, resume it with another number, or with 0 for no early end."
                    );
                }
                if let Some((best, path)) = best {
                    say!(
                        "Best: step {}, validation accuracy {:.1} %: {}",
                        best.step,
                        100.0 * best.validation_accuracy,
                        path.display()
                    );
                }
                if let Some(calibration) = calibration {
                    say!("{}", calibrated(calibration));
                }
                say!("Checkpoint: {}", checkpoint.display());
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // An error message may follow below the bar.
        self.bar.finish_and_clear();
    }
}

fn calibrated(calibration: &Calibration) -> String {
    let Calibration { num_held_out, is_classifier, temperature } = calibration;
    match temperature {
        Some(temperature) => format!(
            "p(y|x) is calibrated after training, T = {temperature:.2}, fitted on {num_held_out} held-out items."
        ),
        None if !is_classifier => {
            "p(y|x) was not trained: the loss has no cross entropy (objective.p_y_given_x_weight)."
                .into()
        }
        None if *num_held_out > 0 => format!(
            "p(y|x) is as trained: the {num_held_out} held-out items determine no temperature."
        ),
        None => {
            "p(y|x) is as trained: no items are held out to calibrate it (data.num_validation)."
                .into()
        }
    }
}

fn validated(validation: &Accuracy) -> String {
    format!("validation accuracy {:.1} %, ", 100.0 * validation.accuracy)
}

fn tested(test: Option<&Accuracy>) -> String {
    match test {
        Some(test) => format!(
            "test accuracy {:.1} %, calibration error {:.1} %",
            100.0 * test.accuracy,
            100.0 * test.calibration_error
        ),
        None => "no test items".into(),
    }
}

/// All numbers of a training step, for the progress bar.
fn numbers_of(report: &StepReport) -> String {
    format!(
        "epoch {} loss {:.3} cross entropy {:.3} accuracy {:.1} % | E(data) {:.2} E(model) {:.2} gap d {:+.3} | \
         r {:.3} clamped {:.1} %",
        report.epoch,
        report.loss,
        report.terms.cross_entropy,
        100.0 * report.terms.train_accuracy,
        report.terms.energy_data,
        report.terms.energy_model,
        report.gap,
        report.gradient_norm,
        100.0 * report.clamp_rate,
    )
}

/// One line of a log for a training step.
fn line_of(report: &StepReport, num_steps: u64, left: Duration) -> String {
    let chain_steps = report
        .chain_steps
        .map(|steps| format!(", {}", counted(steps, "chain step", "chain steps")));
    format!(
        "step {}/{num_steps}, epoch {}: loss {:.3}, accuracy {:.1} %, gap {:+.3}{}, about {} left",
        report.step,
        report.epoch,
        report.loss,
        100.0 * report.terms.train_accuracy,
        report.gap,
        chain_steps.unwrap_or_default(),
        HumanDuration(left)
    )
}

/// The speed of a run, and the time of the next log line.
struct Pace {
    begin: Instant,
    first_step: u64,
    num_steps: u64,
    next_line: Instant,
}

impl Pace {
    fn new(begin: Instant, first_step: u64, num_steps: u64) -> Self {
        Self { begin, first_step, num_steps, next_line: begin + FIRST_LINE }
    }

    /// Whether a log line is due; if so, the next one is due half a minute later.
    fn is_line_due(&mut self, now: Instant) -> bool {
        let is_due = now >= self.next_line;
        if is_due {
            self.next_line = now + LINE_INTERVAL;
        }
        is_due
    }

    /// The remaining time after `step` at the average speed so far, including the work between steps.
    fn left(&self, now: Instant, step: u64) -> Duration {
        let done = step.saturating_sub(self.first_step).max(1);
        let rest = self.num_steps.saturating_sub(step);
        now.saturating_duration_since(self.begin).mul_f64(rest as f64 / done as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::Terms;

    #[test]
    fn a_log_gets_a_line_soon_and_then_every_half_minute() {
        let begin = Instant::now();
        let mut pace = Pace::new(begin, 100, 300);
        let mut is_due = |secs| pace.is_line_due(begin + Duration::from_secs(secs));
        let told: Vec<u64> = (0..=100).filter(|&secs| is_due(secs)).collect();
        assert_eq!(told, [5, 35, 65, 95]);
        let left = pace.left(begin + Duration::from_secs(10), 120);
        assert_eq!(left, Duration::from_secs(90), "180 steps at 2 a second");
    }

    #[test]
    fn a_line_tells_how_far_a_run_is() {
        let report = StepReport {
            step: 40,
            epoch: 2,
            loss: 1.25,
            terms: Terms { cross_entropy: 1.0, train_accuracy: 0.5, ..Terms::default() },
            gap: -0.125,
            gradient_norm: 1.0,
            clamp_rate: 0.0,
            saturation: 0.0,
            learning_rate: 1e-3,
            chain_steps: None,
        };
        let line = |report| line_of(&report, 100, Duration::from_secs(180));
        assert_eq!(
            line(report.clone()),
            "step 40/100, epoch 2: loss 1.250, accuracy 50.0 %, gap -0.125, about 3 minutes left"
        );
        let curriculum = StepReport { chain_steps: Some(7), ..report };
        assert!(line(curriculum).contains("gap -0.125, 7 chain steps, about"));
    }

    #[test]
    fn the_calibration_is_told_with_its_reason() {
        let of = |num_held_out, is_classifier, temperature| {
            calibrated(&Calibration { num_held_out, is_classifier, temperature })
        };
        assert!(of(300, true, Some(1.5)).contains("T = 1.50, fitted on 300 held-out items"));
        assert!(of(300, true, None).contains("300 held-out items determine no temperature"));
        assert!(of(300, false, None).contains("the loss has no cross entropy"));
        assert!(of(0, true, None).contains("data.num_validation"));
    }

    #[test]
    fn nothing_is_told_of_images_that_are_not_there() {
        assert_eq!(tested(None), "no test items");
    }
}
