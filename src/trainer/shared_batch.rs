//! The ranks of a run as the sharers of a batch, for `model.sync_batch_norm`.

#[cfg(not(target_arch = "wasm32"))]
use std::sync::{Arc, Mutex, PoisonError};

use super::{Trainer, step::StepError};
#[cfg(not(target_arch = "wasm32"))]
use crate::{
    kernels::{BatchSharers, with_shared_batch},
    ranks::{RankError, Ranks},
};

/// The exchanges of batch norm in one update. After the first one that fails, there are no more.
#[cfg(not(target_arch = "wasm32"))]
#[derive(Debug)]
struct Exchanges {
    ranks: Ranks,
    failure: Mutex<Option<RankError>>,
}

#[cfg(not(target_arch = "wasm32"))]
impl BatchSharers for Exchanges {
    fn gather(&self, number: u32, own: Result<Vec<f32>, String>) -> Option<Vec<Vec<f32>>> {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        if failure.is_some() {
            return None;
        }
        let numbered = own.map(|own| [&[f32::from_bits(number)], &*own].concat());
        let gathered = self.ranks.gather(numbered).and_then(|mut all| {
            let numbers = || all.iter().map(|values| values.first().map(|number| number.to_bits()));
            if numbers().any(|other| other != Some(number)) {
                let message = "the ranks do different work in batch norm".to_string();
                return Err(RankError::Failed { place: self.ranks.place(0), message });
            }
            for values in &mut all {
                values.remove(0);
            }
            Ok(all)
        });
        match gathered {
            Ok(all) => Some(all),
            Err(error) => {
                *failure = Some(error);
                None
            }
        }
    }
}

/// The batch of an update, whose statistics in batch norm are those of all ranks if the configuration says so.
#[cfg(not(target_arch = "wasm32"))]
pub(super) struct SharedBatch(Option<Arc<Exchanges>>);

#[cfg(not(target_arch = "wasm32"))]
impl SharedBatch {
    /// For a step in which batch norm takes statistics from batches, or not.
    pub(super) fn of(trainer: &Trainer, mixes_images: bool) -> Self {
        let is_shared = trainer.config.model.sync_batch_norm && mixes_images;
        let exchanges = || Exchanges { ranks: trainer.ranks.clone(), failure: Mutex::default() };
        Self((is_shared && !trainer.ranks.is_alone()).then(|| Arc::new(exchanges())))
    }

    /// Whether the ranks exchange statistics.
    pub(super) fn is_shared(&self) -> bool {
        self.0.is_some()
    }

    /// Does `work`, which passes the batch through the network or back.
    ///
    /// # Errors
    /// A rank failed in it, which all of them know.
    pub(super) fn pass<T>(&self, work: impl FnOnce() -> T) -> Result<T, StepError> {
        let Some(exchanges) = &self.0 else { return Ok(work()) };
        let done = with_shared_batch(exchanges.clone(), work);
        let failure = exchanges.failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
        failure.map_or(Ok(done), |error| Err(error.into()))
    }
}

/// In a browser, which has one rank, no batch is shared.
#[cfg(target_arch = "wasm32")]
pub(super) struct SharedBatch;

#[cfg(target_arch = "wasm32")]
impl SharedBatch {
    pub(super) fn of(_: &Trainer, _: bool) -> Self {
        Self
    }

    pub(super) fn is_shared(&self) -> bool {
        false
    }

    pub(super) fn pass<T>(&self, work: impl FnOnce() -> T) -> Result<T, StepError> {
        Ok(work())
    }
}
