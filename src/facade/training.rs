//! Training in memory, step by step.

use super::{Error, Model};
use crate::trainer::{StepError, StepReport, Trainer};

impl Trainer {
    /// Trains one step and says what it did; `None` once all epochs of the configuration are done.
    ///
    /// A step that diverges is not kept: the run goes back to its last good state with a smaller learning rate, as
    /// `divergence.*` says, and the report is that of the step it does next, whose number is smaller than that of the
    /// one before. `jempp train` does the same, and keeps its run in a folder as well.
    ///
    /// ```
    /// # fn main() -> Result<(), jempp::Error> {
    /// use jempp::{RunConfig, Trainer, data, device};
    ///
    /// let config = RunConfig::preset("toy-two-moons")?
    ///     .with_assignment("data.num_points=128")?
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
    /// It diverged more often than the configuration allows, and the trainer is then in its last good state; the device
    /// failed.
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

    /// The model as it is trained now. Saved, it is a checkpoint to sample from and to train on from.
    ///
    /// # Errors
    /// Weights that are no longer finite numbers.
    pub fn model(&self) -> Result<Model, Error> {
        let checkpoint = pollster::block_on(self.checkpoint())?;
        Model::new(checkpoint, self.device())
    }
}
