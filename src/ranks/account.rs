//! How long this rank is in exchanges with the others, by what they are for. A wait for a slower rank counts as a part of the
//! exchange that it delays.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use web_time::Instant;

/// What an exchange is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The gradients of the weights.
    Sums,
    /// The logits, from which every rank computes the loss.
    Logits,
    /// The chains after their last step, and the numbers of the report.
    Chains,
    /// Everything else: orders, hashes, statistics of batch norm.
    Rest,
}

/// The time of this rank since its first step, and how much of it was in exchanges of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spent {
    pub(crate) whole: Duration,
    pub(crate) sums: Duration,
    pub(crate) logits: Duration,
    pub(crate) chains: Duration,
    pub(crate) rest: Duration,
}

/// Counts the time in exchanges once the first step has begun.
#[derive(Debug, Default)]
pub(super) struct Account(Mutex<Option<Counted>>);

/// When the first step began, and the time in exchanges since then, by purpose.
#[derive(Debug)]
struct Counted {
    begin: Instant,
    of: [Duration; 4],
}

impl Account {
    fn lock(&self) -> MutexGuard<'_, Option<Counted>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to count, unless it has begun.
    pub(super) fn begin(&self) {
        self.lock()
            .get_or_insert_with(|| Counted { begin: Instant::now(), of: Default::default() });
    }

    /// Does an exchange and counts its time.
    pub(super) fn count<T>(&self, purpose: Purpose, exchange: impl FnOnce() -> T) -> T {
        let begin = Instant::now();
        let done = exchange();
        if let Some(counted) = &mut *self.lock() {
            counted.of[purpose as usize] += begin.elapsed();
        }
        done
    }

    /// What was counted; nothing before the first step.
    pub(super) fn spent(&self) -> Option<Spent> {
        let lock = self.lock();
        let Counted { begin, of: [sums, logits, chains, rest] } = lock.as_ref()?;
        let whole = begin.elapsed();
        Some(Spent { whole, sums: *sums, logits: *logits, chains: *chains, rest: *rest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_comes_after_the_first_step_is_counted() {
        let account = Account::default();
        let pause = || std::thread::sleep(Duration::from_millis(2));
        account.count(Purpose::Sums, pause);
        assert_eq!(account.spent(), None);
        account.begin();
        account.count(Purpose::Logits, pause);
        account.begin();
        account.count(Purpose::Chains, pause);
        let spent = account.spent().unwrap();
        assert_eq!([spent.sums, spent.rest], [Duration::ZERO; 2]);
        assert!(spent.logits >= Duration::from_millis(2), "{spent:?}");
        assert!(spent.whole >= spent.logits + spent.chains, "{spent:?}");
    }
}
