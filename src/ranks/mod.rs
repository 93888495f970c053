//! The ranks of a training run: processes that train one model together, each with a part of every batch on a device of
//! its own. MPI starts and connects them; a run of one process has one rank, and exchanges nothing.
//!
//! Rank 0 leads: it owns the run's folder, evaluates and prints. The others follow its orders, step by step. All hold the
//! same weights, optimiser and replay buffer, so rank 0 alone can save the run, and any number of ranks can resume it.
//!
//! A failure of one rank travels in the next exchange, so that all ranks leave together with the same error.

pub(crate) mod account;
pub(crate) mod launch;
#[cfg(all(feature = "mpi", not(target_arch = "wasm32")))]
pub(crate) mod mpi;
mod orders;
mod setup;
#[cfg(any(all(feature = "mpi", not(target_arch = "wasm32")), test))]
mod silence;
#[cfg(not(target_arch = "wasm32"))]
#[doc(hidden)]
pub mod threads;

#[cfg(not(target_arch = "wasm32"))]
use std::sync::Arc;
use std::{
    fmt::{Debug, Display},
    ops::Range,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use account::{Account, Purpose, Spent};
pub(crate) use orders::Order;

/// Why the ranks of a run cannot continue together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RankError {
    /// A rank failed, and said why.
    #[error("{place}: {message}")]
    Failed {
        /// The rank, with the name of its computer.
        place: String,
        /// Its error.
        message: String,
    },
    /// The weights of a rank are no longer those of rank 0, so neither are to be saved.
    #[error("{place}: {message}")]
    Differ {
        /// The rank, with the name of its computer.
        place: String,
        /// What differs, and why that may be.
        message: String,
    },
    /// Rank 0 ended the run with an error, which it prints itself.
    #[error("rank 0 ended the run")]
    Ended,
    /// A rank ended without a word.
    #[error("a rank of the run is gone")]
    Gone,
}

/// The exchanges between ranks, in the same order on all of them.
pub(crate) trait Link: Debug + Send + Sync {
    /// The bytes of every rank, in their order.
    fn gather(&self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, RankError>;
    /// The bytes of rank 0, on every rank.
    fn broadcast(&self, bytes: Vec<u8>) -> Result<Vec<u8>, RankError>;
    /// Adds up the values of all ranks, with the same bits on every rank.
    fn sum(&self, values: &mut [f32]) -> Result<(), RankError>;
    /// Ends all ranks at once, if they are processes.
    fn abort(&self);
    /// Whether another rank has said, outside the exchanges, that it was asked to stop. A rank that asks this is not stuck in
    /// its work.
    fn is_stop_heard(&self) -> bool {
        false
    }
}

/// A moment of a session: the number of steps done, and of recoveries. No two states of the weights have the same.
pub(crate) type Moment = (u64, usize);

/// The position of a rank: in the run, and among the ranks of its computer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) rank: usize,
    pub(crate) size: usize,
    pub(crate) local_rank: usize,
    pub(crate) local_size: usize,
}

/// The device of a rank, as the other ranks learn of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RankDevice {
    /// The device in words.
    pub(crate) name: String,
    /// What else decides how it rounds: the driver of an adapter, or the instructions of a processor.
    pub(crate) details: String,
    /// The place of an adapter in its computer; empty if it is not known.
    pub(crate) slot: String,
}

/// This rank of a training run, and its link to the others. Clones are the same rank.
#[derive(Clone, Debug, Default)]
pub struct Ranks(Option<Shared>);

#[cfg(not(target_arch = "wasm32"))]
type Shared = Arc<Group>;

/// A browser has one rank, so this cannot exist, and what exchanges something takes no space in the page.
#[cfg(target_arch = "wasm32")]
#[derive(Clone, Debug)]
struct Shared(std::convert::Infallible);

#[cfg(target_arch = "wasm32")]
impl std::ops::Deref for Shared {
    type Target = Group;

    fn deref(&self) -> &Group {
        match self.0 {}
    }
}

#[derive(Debug)]
#[cfg_attr(target_arch = "wasm32", allow(dead_code, reason = "a browser has one rank"))]
struct Group {
    position: Position,
    link: Box<dyn Link>,
    /// The name of every rank, after the first exchange.
    places: OnceLock<Vec<String>>,
    /// The device of every rank, after these were compared.
    devices: OnceLock<Vec<RankDevice>>,
    /// Whether the ranks have devices that round differently.
    is_mixed: AtomicBool,
    /// Whether some rank was asked to stop.
    is_stopping: AtomicBool,
    /// Whether all ranks know that nothing more will be exchanged.
    is_over: AtomicBool,
    /// The last moment at which the weights of all ranks were found to be the same.
    compared: Mutex<Option<Moment>>,
    account: Account,
}

impl Ranks {
    /// The only rank of a run in one process.
    pub fn alone() -> Self {
        Self(None)
    }

    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn linked(position: Position, link: Box<dyn Link>) -> Self {
        Self(Some(Arc::new(Group {
            position,
            link,
            places: OnceLock::new(),
            devices: OnceLock::new(),
            is_mixed: AtomicBool::new(false),
            is_stopping: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            compared: Mutex::new(None),
            account: Account::default(),
        })))
    }

    /// Whether the run has one rank.
    pub fn is_alone(&self) -> bool {
        self.0.is_none()
    }

    /// The number of this rank, from 0.
    pub fn rank(&self) -> usize {
        self.position().rank
    }

    /// The number of ranks.
    pub fn size(&self) -> usize {
        self.position().size
    }

    /// Whether this rank follows the orders of rank 0.
    pub fn follows(&self) -> bool {
        self.rank() > 0
    }

    pub(crate) fn position(&self) -> Position {
        let alone = Position { rank: 0, size: 1, local_rank: 0, local_size: 1 };
        self.0.as_ref().map_or(alone, |group| group.position)
    }

    /// The rows of this rank among `count` rows that the ranks share evenly.
    pub(crate) fn rows(&self, count: usize) -> Range<usize> {
        let share = count / self.size();
        self.rank() * share..(self.rank() + 1) * share
    }

    /// A rank in words: its number, and its computer if there are several.
    pub(crate) fn place(&self, rank: usize) -> String {
        let known = self.0.as_ref().and_then(|group| group.places.get());
        match known.and_then(|places| places.get(rank)) {
            Some(place) => place.clone(),
            None => format!("rank {rank}"),
        }
    }

    /// Notes that the ranks leave together, and returns the reason.
    fn over(&self, error: RankError) -> RankError {
        self.set_over();
        error
    }

    fn set_over(&self) {
        if let Some(group) = &self.0 {
            group.is_over.store(true, Ordering::Relaxed);
        }
    }

    /// Whether all ranks know that they leave.
    pub(crate) fn is_over(&self) -> bool {
        self.0.as_ref().is_none_or(|group| group.is_over.load(Ordering::Relaxed))
    }

    /// Whether some rank was asked to stop.
    pub(crate) fn is_stopping(&self) -> bool {
        self.0.as_ref().is_some_and(|group| {
            group.is_stopping.load(Ordering::Relaxed) || group.link.is_stop_heard()
        })
    }

    pub(crate) fn set_stopping(&self) {
        if let Some(group) = &self.0 {
            group.is_stopping.store(true, Ordering::Relaxed);
        }
    }

    /// Notes that the weights of all ranks are the same at a moment.
    pub(crate) fn set_compared(&self, moment: Moment) {
        if let Some(group) = &self.0 {
            *group.compared.lock().unwrap_or_else(PoisonError::into_inner) = Some(moment);
        }
    }

    /// Whether the weights of all ranks were found to be the same at this moment.
    pub(crate) fn are_compared(&self, moment: Moment) -> bool {
        let Some(group) = &self.0 else { return true };
        let last = *group.compared.lock().unwrap_or_else(PoisonError::into_inner);
        last == Some(moment)
    }

    /// How long this rank was in exchanges; nothing before the first step, or for the only rank.
    pub(crate) fn spent(&self) -> Option<Spent> {
        self.0.as_ref().and_then(|group| group.account.spent())
    }

    /// Whether the ranks have devices that round differently, so that they must not update their weights alone.
    pub(crate) fn is_mixed(&self) -> bool {
        self.0.as_ref().is_some_and(|group| group.is_mixed.load(Ordering::Relaxed))
    }

    /// Ends all ranks at once, in an error that they do not know of.
    pub(crate) fn abort(&self) {
        if let Some(group) = &self.0 {
            self.set_over();
            group.link.abort();
        }
    }

    /// The bytes of every rank in their order, or the error of the first rank that has one.
    fn gather_bytes(
        &self,
        purpose: Purpose,
        own: Result<Vec<u8>, String>,
    ) -> Result<Vec<Vec<u8>>, RankError> {
        let Some(group) = &self.0 else {
            let failed = |message| RankError::Failed { place: self.place(0), message };
            return own.map(|own| vec![own]).map_err(failed);
        };
        let message = match own {
            Ok(bytes) => [&[0], &*bytes].concat(),
            Err(text) => [&[1], text.as_bytes()].concat(),
        };
        let gathered = group.account.count(purpose, || group.link.gather(&message));
        let mut all = gathered.map_err(|error| self.over(error))?;
        for (rank, bytes) in all.iter().enumerate() {
            if bytes.first() != Some(&0) {
                let message = String::from_utf8_lossy(bytes.get(1..).unwrap_or(&[])).into_owned();
                return Err(self.over(RankError::Failed { place: self.place(rank), message }));
            }
        }
        for bytes in &mut all {
            bytes.remove(0);
        }
        Ok(all)
    }

    /// The values of every rank in their order, or the error of the first rank that has one.
    ///
    /// # Errors
    /// Some rank has an error.
    pub(crate) fn gather<E: Display>(
        &self,
        own: Result<Vec<f32>, E>,
    ) -> Result<Vec<Vec<f32>>, RankError> {
        self.gather_for(Purpose::Rest, own)
    }

    /// As [`Ranks::gather`], for a purpose whose time is counted by itself.
    ///
    /// # Errors
    /// Some rank has an error.
    pub(crate) fn gather_for<E: Display>(
        &self,
        purpose: Purpose,
        own: Result<Vec<f32>, E>,
    ) -> Result<Vec<Vec<f32>>, RankError> {
        let own = own.map_err(|error| error.to_string());
        let own = own.map(|own| bytemuck::cast_slice(&own).to_vec());
        let all = self.gather_bytes(purpose, own)?;
        Ok(all.iter().map(|bytes| bytemuck::pod_collect_to_vec(bytes)).collect())
    }

    /// The sum of the values of all ranks, `len` of each, or the error of the first rank that has one.
    ///
    /// # Errors
    /// Some rank has an error.
    pub(crate) fn sum<E: Display>(
        &self,
        own: Result<Vec<f32>, E>,
        len: usize,
    ) -> Result<Vec<f32>, RankError> {
        let own = own.map_err(|error| error.to_string());
        let Some(group) = &self.0 else {
            return own.map_err(|message| RankError::Failed { place: self.place(0), message });
        };
        // The gradients are large: they are not copied here.
        let (mut values, failure) = match own {
            Ok(values) => (values, None),
            Err(message) => (Vec::new(), Some(message)),
        };
        values.resize(len, 0.0);
        values.reserve_exact(1);
        // The last value counts the ranks with an error.
        values.push(if failure.is_some() { 1.0 } else { 0.0 });
        let summed = group.account.count(Purpose::Sums, || group.link.sum(&mut values));
        summed.map_err(|error| self.over(error))?;
        if values.pop() != Some(0.0) {
            self.gather_bytes(Purpose::Rest, failure.map_or_else(|| Ok(Vec::new()), Err))?;
        }
        Ok(values)
    }

    /// `result` if it is `Ok` on every rank. Otherwise an error on every rank: its own, or that of the first rank that
    /// has one.
    ///
    /// # Errors
    /// Some rank has an error.
    pub(crate) fn agree<T, E: Display + From<RankError>>(
        &self,
        result: Result<T, E>,
    ) -> Result<T, E> {
        if self.is_alone() {
            return result;
        }
        let words = match &result {
            Ok(_) => Ok(Vec::new()),
            Err(error) => Err(error.to_string()),
        };
        match (self.gather_bytes(Purpose::Rest, words), result) {
            (Ok(_), result) => result,
            // Its own error says more, for example which advice belongs to it.
            (Err(_), Err(own)) if self.rank() == 0 => Err(own),
            (Err(error), _) => Err(error.into()),
        }
    }

    /// The bytes of rank 0, on every rank; or its error.
    ///
    /// # Errors
    /// Rank 0 has an error.
    pub(crate) fn bytes_of_first<E: Display + From<RankError>>(
        &self,
        own: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<Vec<u8>, E> {
        let Some(group) = &self.0 else { return own() };
        let bytes = self.agree(if self.follows() { Ok(Vec::new()) } else { own() })?;
        let sent = group.account.count(Purpose::Rest, || group.link.broadcast(bytes));
        sent.map_err(|error| self.over(error).into())
    }
}
