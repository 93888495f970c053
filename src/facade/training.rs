//! Training in memory, one step at a time.

use super::{Error, Model};
use crate::trainer::{StepError, StepReport, Trainer};

impl Trainer {
    /// Does one training step and returns its report; returns `None` when all epochs of the configuration are done.
    ///
    /// A step that diverges is discarded: training returns to its last good state with a smaller learning rate, as
    /// `divergence.*` says. The report is then that of the next step from there, with a smaller step number than the
    /// report before. `jempp train` does the same and also saves the run in a folder.
    ///
    /// ```
    /// # fn main() -> Result<(), jempp::Error> {
    /// use jempp::{RunConfig, Trainer, data, device};
    ///
    /// let config = RunConfig::preset("toy-two-moons")?
    ///     .with_assignment("data.num_points=512")?
    ///     .with_assignment("training.epochs=1")?;
    /// let data = data::load(&config.data, config.seed)?;
    /// let mut trainer = Trainer::new(config, data.train, &device::cpu())?;
    /// while let Some(report) = trainer.advance()? {
    ///     println!("step {}: loss {:.3}", report.step, report.loss);
    /// }
    /// let accuracy = trainer.model()?.evaluate(&data.test)?.accuracy;
    /// # assert!((0.0..=1.0).contains(&accuracy));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Training diverged more often than the configuration allows, and the trainer is back in its last good state; or
    /// the device failed.
    pub fn advance(&mut self) -> Result<Option<StepReport>, Error> {
        let num_steps = self.steps_per_epoch() * self.config().training.epochs as u64;
        if self.counters().step >= num_steps {
            return Ok(None);
        }
        loop {
            match pollster::block_on(self.step()) {
                Ok(report) => return Ok(Some(report)),
                Err(StepError::Diverged(divergence)) if self.recover().is_none() => {
                    let num_recoveries = self.counters().num_recoveries;
                    return Err(Error::Diverged { divergence, num_recoveries });
                }
                Err(StepError::Diverged(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The model in its current state. Saved, it is a checkpoint for sampling and for further training.
    ///
    /// # Errors
    /// Weights that are not finite.
    pub fn model(&self) -> Result<Model, Error> {
        let checkpoint = pollster::block_on(self.checkpoint())?;
        Model::new(checkpoint, self.device())
    }
}
