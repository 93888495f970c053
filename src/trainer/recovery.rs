//! Good states of a run, and the return to one of them after a divergence.

use burn::optim::ModuleOptimizer;

use super::Trainer;
use crate::{
    checkpoint::Counters, model::Network, optimizer::WeightAverage, replay_buffer::ReplayBuffer,
    streams,
};

/// A return to the last good state after a divergence.
#[derive(Clone, Debug, PartialEq)]
pub struct Recovery {
    /// The training step to which the run returned.
    pub step: u64,
    /// The number of recoveries so far.
    pub num_recoveries: usize,
    /// The factor on the learning rate from now on.
    pub learning_rate_factor: f64,
}

/// A state to which a diverged run can return.
pub(super) struct GoodState {
    network: Network,
    average: Option<WeightAverage>,
    optimizer: ModuleOptimizer,
    buffer: ReplayBuffer,
    counters: Counters,
}

impl Trainer {
    /// Keeps a copy of the current state as the newest good one.
    pub(super) fn remember(&mut self) {
        if self.good_states.len() == 2 {
            self.good_states.remove(0);
        }
        self.good_states.push(GoodState {
            network: self.network.clone(),
            average: self.average.clone(),
            optimizer: self.optimizer.clone(),
            buffer: self.buffer.copy(),
            counters: self.counters.clone(),
        });
    }

    /// Returns to a good state with a smaller learning rate and other noise. If the allowed number of recoveries is
    /// used up, returns to that state without these changes and gives `None`.
    pub fn recover(&mut self) -> Option<Recovery> {
        self.return_to_good_state();
        let used = self.counters.num_recoveries - self.num_earlier_recoveries;
        let has_noise = self.counters.num_recoveries + 1 < streams::MAX_ATTEMPTS;
        if used == self.config.divergence.max_recoveries || !has_noise {
            return None;
        }
        self.counters.num_recoveries += 1;
        // The factor never becomes exactly 0, because the model could then no longer learn.
        let factor = self.counters.learning_rate_factor * self.config.divergence.learning_rate_cut;
        self.counters.learning_rate_factor = factor.max(f64::MIN_POSITIVE);
        Some(Recovery {
            step: self.counters.step,
            num_recoveries: self.counters.num_recoveries,
            learning_rate_factor: self.counters.learning_rate_factor,
        })
    }

    /// Returns to the older of the good states, but keeps the counts of time and recoveries and the best evaluation, whose
    /// model is in a file already: a gap diverges over dozens of steps, so the newer state may already be affected.
    pub(crate) fn return_to_good_state(&mut self) {
        self.good_states.truncate(1);
        let Some(good) = self.good_states.first() else { return };
        self.network = good.network.clone();
        self.average = good.average.clone();
        self.optimizer = good.optimizer.clone();
        self.buffer = good.buffer.copy();
        let Counters { num_recoveries, learning_rate_factor, elapsed_secs, best, .. } =
            self.counters;
        self.counters = Counters {
            num_recoveries,
            learning_rate_factor,
            elapsed_secs,
            best,
            ..good.counters.clone()
        };
        self.samplers = super::samplers(&self.config, &self.counters);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{checkpoint::Best, config::RunConfig, data, device};

    #[test]
    fn the_best_evaluation_stays_that_of_its_file() {
        let config = RunConfig::preset("toy-two-moons").unwrap();
        let train = data::load(&config.data, 0).unwrap().train;
        let mut trainer = Trainer::new(config, train, &device::cpu()).unwrap();
        trainer.remember();
        let best = Best { step: 5, validation_accuracy: 0.9 };
        (trainer.counters.best, trainer.counters.step) = (Some(best), 7);
        assert_eq!(trainer.recover().unwrap().step, 0);
        assert_eq!(trainer.counters.best, Some(best));
    }
}
