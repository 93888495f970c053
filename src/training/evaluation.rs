//! Evaluation and sample grid at the end of an epoch.

use std::path::PathBuf;

use serde_json::json;

use super::{Training, TrainingError, TrainingEvent};
use crate::{
    accuracy,
    device::{self, ReadError},
    picture,
};

/// The number of chains per class in a sample grid.
const GRID_COLUMNS: usize = 10;

impl Training {
    /// Evaluates the epoch that has just ended; nothing is recorded if `stop` interrupts it.
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
        counters.test_accuracy = test.map(|test| test.accuracy);
        on_event(TrainingEvent::Evaluated { step, epoch, test, validation, grid });
        Ok(())
    }

    async fn save_grid(&self, epoch: u64) -> Result<PathBuf, TrainingError> {
        let grid = self.folder.sample_grid(epoch)?;
        let (values, labels) = self.buffer_grid().await?;
        let shape = self.test.shape;
        picture::save_png(picture::draw(&values, &labels, shape, GRID_COLUMNS), &grid)?;
        Ok(grid)
    }

    /// The first chains of every class in the replay buffer, row by row; for points in the plane, all chains.
    ///
    /// # Errors
    /// The device failed.
    pub(crate) async fn buffer_grid(&self) -> Result<(Vec<f32>, Vec<u32>), ReadError> {
        let chains = self.trainer.buffer().chains();
        let [capacity, num_pixels] = chains.dims();
        let chains = device::read(chains).await?;
        let num_classes = self.test.num_classes();
        let per_class = if num_pixels == 2 { capacity / num_classes } else { GRID_COLUMNS };
        let (mut values, mut labels) = (Vec::new(), Vec::new());
        for class in 0..num_classes {
            let first = (class * capacity).div_ceil(num_classes);
            let last = ((class + 1) * capacity).div_ceil(num_classes).min(first + per_class);
            for slot in first..last {
                values.extend_from_slice(&chains[slot * num_pixels..(slot + 1) * num_pixels]);
                labels.push(class as u32);
            }
        }
        Ok((values, labels))
    }
}
