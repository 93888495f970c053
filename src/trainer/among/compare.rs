//! The comparison of the weights of all ranks: nothing is saved that nobody compared.

use super::super::{Trainer, step::StepError};
use crate::{
    model::{HostTensor, weights_of},
    ranks::{Moment, Order, RankError},
};

/// The hash of the weights is compared after every so many steps, and at the end of every epoch.
const STEPS_PER_HASH: u64 = 100;

impl Trainer {
    /// Compares the weights of all ranks, if that is due after this step.
    pub(in crate::trainer) async fn compare_weights_if_due(&self) -> Result<(), StepError> {
        let step = self.counters.step;
        let is_due =
            step.is_multiple_of(STEPS_PER_HASH) || step.is_multiple_of(self.steps_per_epoch());
        if is_due { self.compare_weights().await } else { Ok(()) }
    }

    /// Whether all ranks are known to have the weights of this one.
    pub(crate) fn is_compared(&self) -> bool {
        self.ranks.are_compared(self.moment())
    }

    /// Has all ranks compare their weights; for rank 0, while the others wait for its orders.
    ///
    /// # Errors
    /// They differ, or the ranks have left.
    pub(crate) async fn compare_on_all(&self) -> Result<(), StepError> {
        self.ranks.order(Order::Compare)?;
        self.compare_weights().await
    }

    /// Returns to a good state on all ranks; for rank 0, while the others wait for its orders.
    ///
    /// # Errors
    /// The ranks have left.
    pub(crate) fn return_on_all(&mut self) -> Result<(), StepError> {
        self.ranks.order(Order::Return)?;
        self.return_to_good_state();
        Ok(())
    }

    /// Checks that all ranks have the same weights. All of them call it.
    ///
    /// # Errors
    /// They differ.
    pub(crate) async fn compare_weights(&self) -> Result<(), StepError> {
        if self.ranks.is_alone() {
            return Ok(());
        }
        let own = self.ranks.agree(weights_of(&self.network).await.map_err(StepError::from))?;
        let own = format!("{:08x}", hash_of(own.into_iter().collect()));
        let step = self.counters.step;
        let compared = self.ranks.check_same(&own, |first, own| {
            (first != own).then(|| {
                format!(
                    "after step {step} its weights differ from those of rank 0 (hash {own} and {first}): a device or its memory \
                     is at fault, or the computers have different processors. These weights are not saved; the last \
                     checkpoint stays as it is"
                )
            })
        });
        // Nobody knows which of them are right.
        compared.map_err(|error| match error {
            RankError::Failed { place, message } => RankError::Differ { place, message },
            other => other,
        })?;
        self.ranks.set_compared(self.moment());
        Ok(())
    }

    /// The moment of the session that the weights are of. A step that is repeated after a recovery is another one.
    fn moment(&self) -> Moment {
        (self.counters.step, self.counters.num_recoveries)
    }
}

/// A hash of weights by name.
fn hash_of(mut weights: Vec<(String, HostTensor)>) -> u32 {
    weights.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut hash = crc32fast::Hasher::new();
    for (_, HostTensor { values, .. }) in &mut weights {
        // Which of the many NaN comes out depends on the processor and on the order of a sum.
        values.iter_mut().filter(|value| value.is_nan()).for_each(|value| *value = f32::NAN);
        hash.update(bytemuck::cast_slice(values.as_slice()));
    }
    hash.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::RunConfig,
        data, device,
        ranks::{Ranks, threads},
    };

    #[test]
    fn the_hash_depends_on_names_and_values_but_not_on_the_kind_of_nan() {
        let tensor = |name: &str, values: &[f32]| {
            (name.to_string(), HostTensor { shape: vec![values.len()], values: values.to_vec() })
        };
        let bias = || tensor("bias", &[0.5]);
        let hash = |last| hash_of(vec![tensor("weight", &[1.0, last]), bias()]);
        let nans = [f32::NAN, -f32::NAN, f32::from_bits(0x7f80_0001), f32::from_bits(0xffff_ffff)];
        assert!(nans.iter().all(|nan| nan.is_nan() && hash(*nan) == hash(f32::NAN)));
        assert_ne!(hash(f32::NAN), hash(f32::INFINITY));
        assert_ne!(hash(1.0), hash(-1.0));
        assert_eq!(hash(1.0), hash_of(vec![bias(), tensor("weight", &[1.0, 1.0])]), "in any order");
    }

    #[test]
    fn all_ranks_return_to_the_same_good_state() {
        let changes =
            ["data.num_points=320", "data.batch_size=60", "replay_buffer.replay_buffer_size=128"];
        let config = RunConfig::preset("toy-two-moons").unwrap();
        let config =
            changes.iter().fold(config, |config, set| config.with_assignment(set).unwrap());
        let on_rank = |ranks: Ranks| {
            let train = data::load(&config.data, config.seed).unwrap().train;
            let made = Trainer::new_among(config.clone(), train, &device::cpu(), &ranks);
            let mut trainer = made.unwrap();
            pollster::block_on(async {
                if ranks.follows() {
                    assert!(!trainer.follow(&|| false).await.unwrap(), "it is not complete");
                    return;
                }
                for _ in 0..7 {
                    trainer.step().await.unwrap();
                }
                assert!(!trainer.is_compared(), "only step 5, which ends an epoch");
                trainer.compare_on_all().await.unwrap();
                assert!(trainer.is_compared());
                trainer.return_on_all().unwrap();
                assert!(!trainer.is_compared());
                trainer.compare_on_all().await.unwrap();
                ranks.order(Order::Pause).unwrap();
            });
            trainer.counters().step
        };
        let steps: Vec<u64> = std::thread::scope(|scope| {
            let on_rank = &on_rank;
            let start = |ranks| scope.spawn(move || on_rank(ranks));
            let started: Vec<_> = threads::group(2).into_iter().map(start).collect();
            started.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(steps[0] < 7 && steps[0] == steps[1], "{steps:?}");
    }
}
