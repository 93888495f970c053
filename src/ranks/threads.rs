//! Ranks that are threads of one process. They show without MPI that a run does not depend on the number of its ranks.

#[cfg(test)]
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::{Link, Position, RankError, Ranks};

/// `size` ranks that exchange values in memory, one for each thread.
pub fn group(size: usize) -> Vec<Ranks> {
    if size == 1 {
        return vec![Ranks::alone()];
    }
    let linked = |(position, seat): (Position, Seat)| Ranks::linked(position, Box::new(seat));
    seats(size).map(linked).collect()
}

/// What is wrong with a rank.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It adds up wrongly, as with broken memory.
    WrongSums,
    /// It is gone in the sum after so many sums.
    GoneInSum(u64),
    /// It is gone when the ranks agree that they go on, after so many sums: in a run, when weights are compared.
    GoneInAgreement(u64),
}

/// As [`group`], but something is wrong with the last rank.
#[cfg(test)]
pub(crate) fn group_with(fault: Fault, size: usize) -> Vec<Ranks> {
    let linked = |(position, seat): (Position, Seat)| match position.rank + 1 == size {
        true => {
            let num_sums = AtomicU64::new(0);
            Ranks::linked(position, Box::new(Faulty { seat, fault, num_sums }))
        }
        false => Ranks::linked(position, Box::new(seat)),
    };
    seats(size).map(linked).collect()
}

/// The seats of `size` threads that meet, each with its position.
fn seats(size: usize) -> impl Iterator<Item = (Position, Seat)> {
    let state = State { slots: vec![None; size], ..State::default() };
    let meeting = Arc::new(Meeting { state: Mutex::new(state), changed: Condvar::new() });
    (0..size).map(move |rank| {
        let position = Position { rank, size, local_rank: rank, local_size: size };
        (position, Seat { rank, meeting: meeting.clone() })
    })
}

/// The place where the threads exchange values: each leaves its own, and the last one hands out all.
#[derive(Debug)]
struct Meeting {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    slots: Vec<Option<Vec<u8>>>,
    handed_out: Arc<Vec<Vec<u8>>>,
    /// The number of exchanges that are complete.
    round: u64,
    /// The number of threads that have not taken the values of the last exchange.
    num_waiting: usize,
    is_someone_gone: bool,
}

#[derive(Debug)]
struct Seat {
    rank: usize,
    meeting: Arc<Meeting>,
}

impl Seat {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.meeting.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn exchange(&self, bytes: &[u8]) -> Result<Arc<Vec<Vec<u8>>>, RankError> {
        let wait = |state, goes_on: &dyn Fn(&State) -> bool| {
            let goes_on = |state: &mut State| goes_on(state) && !state.is_someone_gone;
            let waited = self.meeting.changed.wait_while(state, goes_on);
            waited.unwrap_or_else(PoisonError::into_inner)
        };
        let mut state = wait(self.lock(), &|state| state.num_waiting > 0);
        if state.is_someone_gone {
            return Err(RankError::Gone);
        }
        let round = state.round;
        state.slots[self.rank] = Some(bytes.to_vec());
        if state.slots.iter().all(Option::is_some) {
            let all = state.slots.iter_mut().filter_map(Option::take).collect();
            state.handed_out = Arc::new(all);
            state.num_waiting = state.slots.len();
            state.round += 1;
        } else {
            state = wait(state, &|state| state.round == round);
            if state.round == round {
                return Err(RankError::Gone);
            }
        }
        state.num_waiting -= 1;
        let all = state.handed_out.clone();
        self.meeting.changed.notify_all();
        Ok(all)
    }
}

impl Link for Seat {
    fn gather(&self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, RankError> {
        Ok(self.exchange(bytes)?.to_vec())
    }

    fn broadcast(&self, bytes: Vec<u8>) -> Result<Vec<u8>, RankError> {
        Ok(self.exchange(&bytes)?[0].clone())
    }

    fn sum(&self, values: &mut [f32]) -> Result<(), RankError> {
        let all = self.exchange(bytemuck::cast_slice(values))?;
        values.fill(0.0);
        for bytes in all.iter() {
            let others: Vec<f32> = bytemuck::pod_collect_to_vec(bytes);
            values.iter_mut().zip(others).for_each(|(sum, value)| *sum += value);
        }
        Ok(())
    }

    fn abort(&self) {
        self.lock().is_someone_gone = true;
        self.meeting.changed.notify_all();
    }
}

/// A rank with which something is wrong.
#[cfg(test)]
#[derive(Debug)]
struct Faulty {
    seat: Seat,
    fault: Fault,
    /// The number of sums so far.
    num_sums: AtomicU64,
}

#[cfg(test)]
impl Faulty {
    fn leave(&self) -> RankError {
        self.seat.abort();
        RankError::Gone
    }
}

#[cfg(test)]
impl Link for Faulty {
    fn gather(&self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, RankError> {
        // A single byte says that this rank has no error, and nothing else.
        let is_agreement = bytes.len() == 1;
        match self.fault == Fault::GoneInAgreement(self.num_sums.load(Ordering::Relaxed)) {
            true if is_agreement => Err(self.leave()),
            _ => self.seat.gather(bytes),
        }
    }

    fn broadcast(&self, bytes: Vec<u8>) -> Result<Vec<u8>, RankError> {
        self.seat.broadcast(bytes)
    }

    fn sum(&self, values: &mut [f32]) -> Result<(), RankError> {
        if self.fault == Fault::GoneInSum(self.num_sums.fetch_add(1, Ordering::Relaxed)) {
            return Err(self.leave());
        }
        self.seat.sum(values)?;
        // The last value is no part of the sum: it counts errors.
        if self.fault == Fault::WrongSums
            && let [first, .., _] = values
        {
            *first += 1.0;
        }
        Ok(())
    }

    fn abort(&self) {
        self.seat.abort();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.abort();
    }
}
