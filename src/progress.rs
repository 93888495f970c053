//! What a person sees of a running job.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::{say::say, worker::TrainingEvent};

/// A bar in the program's style.
pub(crate) fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

/// A progress bar on a terminal; elsewhere the milestones alone.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::new(0)
            .with_style(style("{msg}\n[{bar:40}] {pos}/{len} steps, {eta} left"));
        bar.enable_steady_tick(Duration::from_millis(500));
        Self(bar)
    }

    fn say(&self, line: String) {
        if self.0.is_hidden() {
            say!("{line}");
        } else {
            self.0.println(line);
        }
    }

    pub(crate) fn show(&self, event: &TrainingEvent) {
        match event {
            TrainingEvent::Started { step, num_steps } => {
                self.0.set_length(*num_steps);
                self.0.set_position(*step);
                self.0.reset_eta();
            }
            TrainingEvent::Step(report) => {
                self.0.set_position(report.step);
                self.0.set_message(format!(
                    "epoch {} loss {:.3} cross entropy {:.3} accuracy {:.1} % | E(data) {:.2} \
                     E(model) {:.2} gap d {:+.3} | r {:.3} clamped {:.1} %",
                    report.epoch,
                    report.loss,
                    report.terms[2],
                    100.0 * report.terms[5],
                    report.terms[0],
                    report.terms[1],
                    report.gap,
                    report.gradient_norm,
                    100.0 * report.clamp_rate,
                ));
            }
            TrainingEvent::Evaluated { epoch, test, validation, grid, .. } => {
                let validation = validation.map(|held_out| {
                    format!("validation accuracy {:.1} %, ", 100.0 * held_out.accuracy)
                });
                self.say(format!(
                    "epoch {epoch}: {}test accuracy {:.1} %, calibration error {:.1} %, samples in {}",
                    validation.unwrap_or_default(),
                    100.0 * test.accuracy,
                    100.0 * test.calibration_error,
                    grid.display()
                ));
            }
            TrainingEvent::Recovered { divergence, recovery } => self.say(format!(
                "diverged: {divergence}. Back to step {}, learning rate × {} (recovery {})",
                recovery.step, recovery.learning_rate_factor, recovery.num_recoveries
            )),
            TrainingEvent::Finished { is_complete, step, test_accuracy, checkpoint } => {
                self.0.finish_and_clear();
                let accuracy = test_accuracy
                    .map(|accuracy| format!(", test accuracy {:.1} %", 100.0 * accuracy));
                let word = if *is_complete { "Trained" } else { "Stopped after" };
                say!("{word} {step} steps{}.", accuracy.unwrap_or_default());
                say!("Checkpoint: {}", checkpoint.display());
            }
        }
    }
}
