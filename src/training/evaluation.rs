//! Evaluation and sample grid at the end of an epoch.

use std::path::PathBuf;

use serde_json::json;

use super::{Training, TrainingError, TrainingEvent};
use crate::{
    accuracy::{self, Accuracy},
    checkpoint::Best,
    config::RunConfig,
    device::{self, ReadError},
    picture,
};

/// The number of chains per class in a sample grid.
const GRID_COLUMNS: usize = 10;

impl Training {
    /// Evaluates the epoch that has just ended, and calibrates p(y|x) if it was the last; nothing is recorded if `stop`
    /// interrupts it.
    pub(super) async fn evaluate(
        &mut self,
        stop: &dyn Fn() -> bool,
        on_event: &mut dyn FnMut(TrainingEvent),
    ) -> Result<(), TrainingError> {
        let mut found = [None, None];
        for (found, set) in found.iter_mut().zip([&self.test, &self.validation]) {
            if set.is_empty() {
                continue;
            }
            let (network, device) = (self.trainer.evaluated_network(), self.trainer.device());
            *found = accuracy::accuracy_unless(stop, network, set, device).await?;
            if found.is_none() {
                return Ok(());
            }
        }
        let [test, validation] = found;
        let step = self.trainer.counters().step;
        let epoch = step / self.trainer.steps_per_epoch();
        let before = self.trainer.counters().best;
        let best = self.best_with(step, validation);
        let is_best = best != before;
        if is_best {
            // They were compared at the end of the epoch.
            self.check_weights().await?;
        }
        let is_last = step == self.num_steps() || self.ends_early(step, best);
        let temperature = if is_last || is_best { self.temperature(stop).await? } else { None };
        if (is_last || is_best) && !self.validation.is_empty() && stop() {
            return Ok(());
        }
        let grid = match self.save_grid(epoch).await {
            Ok(grid) => Some(grid),
            Err(error) => {
                on_event(TrainingEvent::Warning(format!("{error}. The run continues without it")));
                None
            }
        };
        let mut line = json!({ "step": step, "epoch": epoch });
        for (set, found) in [("test", test), ("validation", validation)] {
            if let Some(found) = found {
                line[format!("{set}_accuracy")] = found.accuracy.into();
                line[format!("{set}_calibration_error")] = found.calibration_error.into();
                line[format!("{set}_energy")] = found.mean_energy.into();
            }
        }
        self.log(line, on_event)?;
        let counters = self.trainer.counters_mut();
        counters.evaluated_step = Some(step);
        counters.best = best;
        counters.test_accuracy = test.map(|test| test.accuracy);
        counters.temperature = temperature;
        if is_best && let Err(error) = self.save_best().await {
            // The file still holds the best model before, if there was one.
            self.trainer.counters_mut().best = before;
            on_event(TrainingEvent::Warning(format!(
                "the best model so far is not saved: {error}. The run continues"
            )));
        }
        if !is_last {
            self.trainer.counters_mut().temperature = None;
        }
        on_event(TrainingEvent::Evaluated { step, epoch, test, validation, grid });
        Ok(())
    }

    /// The best evaluation so far, after one at `step`. Epochs that train the classifier alone do not count, because
    /// their chains are no samples of the model.
    fn best_with(&self, step: u64, validation: Option<Accuracy>) -> Option<Best> {
        let counters = self.trainer.counters();
        let RunConfig { training, objective, .. } = self.trainer.config();
        let is_counted = !objective.needs_energies()
            || step / self.trainer.steps_per_epoch() > training.classifier_epochs as u64;
        let found = validation
            .filter(|_| is_counted)
            .map(|validation| Best { step, validation_accuracy: validation.accuracy });
        match (counters.best, found) {
            (Some(best), Some(found)) if found.validation_accuracy > best.validation_accuracy => {
                Some(found)
            }
            (best, found) => best.or(found),
        }
    }

    /// Saves the model of this evaluation as the best one, packed: it can be sampled and measured, but not resumed.
    async fn save_best(&self) -> Result<(), TrainingError> {
        self.folder.check_owned()?;
        let checkpoint = self.trainer.checkpoint().await?;
        if checkpoint.is_finite() {
            checkpoint.packed().save(&self.folder.best())?;
        }
        Ok(())
    }

    /// The temperature of p(y|x), from the held-out training images; `None` if they determine none, or `stop` interrupts it.
    async fn temperature(&self, stop: &dyn Fn() -> bool) -> Result<Option<f64>, ReadError> {
        let is_classifier = self.trainer.config().objective.p_y_given_x_weight > 0.0;
        if self.validation.is_empty() || !is_classifier {
            return Ok(None);
        }
        let (network, device) = (self.trainer.evaluated_network(), self.trainer.device());
        accuracy::temperature(stop, network, &self.validation, device).await
    }

    async fn save_grid(&self, epoch: u64) -> Result<PathBuf, TrainingError> {
        let grid = self.folder.sample_grid(epoch)?;
        let (values, labels) = self.buffer_grid().await?;
        let shape = self.test.shape;
        picture::save_png(picture::draw(&values, &labels, shape, GRID_COLUMNS), &grid)?;
        Ok(grid)
    }

    /// The first chains of every class in the replay buffer, row by row, without noise if `sampler.denoise_step` is above 0; for
    /// points in the plane, all chains.
    ///
    /// # Errors
    /// The device failed.
    pub async fn buffer_grid(&self) -> Result<(Vec<f32>, Vec<u32>), ReadError> {
        let buffer = self.trainer.buffer();
        let (capacity, num_pixels) = (buffer.capacity(), self.test.num_pixels());
        let num_classes = self.test.num_classes();
        let per_class = if num_pixels == 2 { capacity / num_classes } else { GRID_COLUMNS };
        let (mut slots, mut labels) = (Vec::new(), Vec::new());
        for class in 0..num_classes {
            let first = (class * capacity).div_ceil(num_classes);
            let last = ((class + 1) * capacity).div_ceil(num_classes).min(first + per_class);
            slots.extend((first..last).map(|slot| slot as u32));
            labels.resize(slots.len(), class as u32);
        }
        Ok((device::read(self.trainer.shown_chains(&slots, &labels)).await?, labels))
    }
}
