//! Ranks that are processes, connected by MPI.
//!
//! No call waits inside MPI: every exchange is started and then asked for, so that a rank that waits leaves its core to
//! others. A second thread of each rank tells the others every second that it lives, and whether it knows of a request to
//! stop. A rank of which nothing is heard for [`PATIENCE`], or a little longer ([`silence`]), ends all ranks: so a process that
//! dies ends the run, however the launcher deals with it.
//!
//! A rank may live and be stuck, for example in a driver. If its work shows nothing for [`STUCK`], that thread falls silent,
//! and all ranks end as above. Once the run is asked to stop, rank 0 loses patience with such a rank earlier ([`Mpi::bear`]).

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use mpi::{
    Threading,
    collective::{CommunicatorCollectives, Root, SystemOperation},
    datatype::PartitionMut,
    environment::Universe,
    ffi,
    point_to_point::Source,
    raw::AsRaw,
    request::{self, Request, Scope},
    topology::{Communicator, SimpleCommunicator},
    traits::Equivalence,
};

use super::{Link, Position, RankError, Ranks, silence};

/// How long a rank may say nothing before the others give it up.
const PATIENCE: Duration = Duration::from_secs(30);
/// The variable with another patience, in seconds, for tests.
const PATIENCE_VARIABLE: &str = "JEMPP_RANK_PATIENCE";
/// How long the work of a rank may show nothing before it counts as stuck: no exchange, no question whether to stop. Only
/// reading a large data set from a slow disk might take so long.
const STUCK: Duration = Duration::from_secs(30 * 60);
/// The variable with another time for that, in seconds.
const STUCK_VARIABLE: &str = "JEMPP_RANK_STUCK";
/// The time between two signs of life.
const BEAT: Duration = Duration::from_secs(1);
/// What a sign of life says: that the rank lives, or also that it knows of a request to stop.
static BEATS: [u8; 2] = [1, 2];
/// A thread that was itself stopped for so long knows nothing of the others, or of the work of its own rank.
const OWN_PAUSE: Duration = Duration::from_secs(5);
/// The most values that one exchange sends at a time. MPI counts them with 32 bits.
const MAX_VALUES: usize = 1 << 24;
/// For so long a waiting rank asks without a pause; after it, with pauses that grow to [`MAX_PAUSE`].
const EAGER: Duration = Duration::from_millis(20);
const MAX_PAUSE: Duration = Duration::from_millis(1);

/// Why the ranks of this process cannot be connected.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The MPI library cannot be called from two threads in turn.
    #[error(
        "this MPI library takes calls of one thread only, and jempp needs MPI_THREAD_SERIALIZED: use one that was built with it"
    )]
    OneThread,
    /// The library sees other processes than the launcher started.
    #[error(
        "the launcher started {launched} processes, but this program's MPI library connects {connected}: start it with the \
         mpirun of the library that it was built with"
    )]
    OtherLauncher {
        /// The number of processes by the launcher's variables.
        launched: usize,
        /// The number of processes by the library.
        connected: usize,
    },
}

/// What the connection asks of the program, and what it has the program say before all ranks end.
#[derive(Clone, Copy)]
pub(crate) struct Program {
    /// Whether this process was asked to stop.
    pub(crate) is_asked_to_stop: fn() -> bool,
    /// Nothing is heard of a rank: which one, and for how long.
    pub(crate) on_silence: fn(usize, Duration),
    /// The others do not answer rank 0 although the run was asked to stop: for how long.
    pub(crate) on_standstill: fn(Duration),
}

/// The time in a variable, given in seconds, or else `default`.
fn time(variable: &str, default: Duration) -> Duration {
    let text = std::env::var(variable).ok();
    let secs: Option<u64> = text.and_then(|text| text.trim().parse().ok());
    // In less time than a few signs of life, ranks that live would be given up.
    secs.map_or(default, |secs| Duration::from_secs(secs).max(3 * BEAT))
}

/// Connects this process to the `launched` ranks of its run.
///
/// # Errors
/// The MPI library does not fit.
pub(crate) fn connect(launched: usize, program: Program) -> Result<Ranks, StartError> {
    let started = mpi::initialize_with_threading(Threading::Serialized);
    let (universe, threading) = started.ok_or(StartError::OneThread)?;
    if threading < Threading::Serialized {
        return Err(StartError::OneThread);
    }
    let world = universe.world();
    let (rank, connected) = (world.rank() as usize, world.size() as usize);
    if connected != launched {
        return Err(StartError::OtherLauncher { launched, connected });
    }
    let of_computer = world.split_shared(world.rank());
    let position = Position {
        rank,
        size: connected,
        local_rank: of_computer.rank() as usize,
        local_size: of_computer.size() as usize,
    };
    let mut local_ranks = vec![0i32; connected];
    world.all_gather_into(&of_computer.rank(), &mut local_ranks[..]);
    let patience = time(PATIENCE_VARIABLE, PATIENCE);
    let longest_silence = silence::longest(patience, rank, &local_ranks);
    let shared = Arc::new(Shared {
        calls: Mutex::new(()),
        is_over: AtomicBool::new(false),
        is_stop_heard: AtomicBool::new(false),
        program,
        patience,
        work: Work { last_sign: Mutex::new(Instant::now()), limit: time(STUCK_VARIABLE, STUCK) },
    });
    let world_of_watch = Connection(world.duplicate());
    let watch = Watch { world: world_of_watch, shared: shared.clone(), longest_silence };
    let watch = std::thread::Builder::new().name("ranks".into()).spawn(move || watch.run()).ok();
    let pace = Mutex::new(Pace { last: Instant::now(), longest: Duration::ZERO });
    let (world, universe) = (Connection(world), Some(universe));
    let link = Mpi { world, position, shared, pace, watch, universe };
    Ok(Ranks::linked(position, Box::new(link)))
}

/// The name of this computer.
pub(crate) fn computer() -> String {
    mpi::environment::processor_name().unwrap_or_else(|_| "?".into())
}

/// A communicator of MPI.
struct Connection(SimpleCommunicator);

// SAFETY: with MPI_THREAD_SERIALIZED any thread may use a communicator, if no two calls happen at once. Every call here
// holds the lock `calls`.
unsafe impl Send for Connection {}
// SAFETY: as above.
unsafe impl Sync for Connection {}

/// What both threads of a rank know.
struct Shared {
    /// Held during every call of MPI.
    calls: Mutex<()>,
    /// Ends the thread that watches the others.
    is_over: AtomicBool,
    /// Whether a sign of life told of a request to stop.
    is_stop_heard: AtomicBool,
    program: Program,
    /// How long a rank may say nothing, or not answer.
    patience: Duration,
    work: Work,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, ()> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this rank knows of a request to stop.
    fn is_asked_to_stop(&self) -> bool {
        (self.program.is_asked_to_stop)() || self.is_stop_heard.load(Ordering::Relaxed)
    }
}

/// The work of this rank, which shows now and then that it goes on.
struct Work {
    last_sign: Mutex<Instant>,
    /// How long it may show nothing.
    limit: Duration,
}

impl Work {
    fn last_sign(&self) -> MutexGuard<'_, Instant> {
        self.last_sign.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the work goes on.
    fn goes_on(&self) {
        *self.last_sign() = Instant::now();
    }

    fn is_stuck(&self) -> bool {
        self.last_sign().elapsed() > self.limit
    }
}

/// How fast exchanges follow one another.
struct Pace {
    /// When the last exchange was done.
    last: Instant,
    /// The longest time from the end of one exchange to the end of the next: of computing and of waiting.
    longest: Duration,
}

struct Mpi {
    world: Connection,
    position: Position,
    shared: Arc<Shared>,
    pace: Mutex<Pace>,
    watch: Option<JoinHandle<()>>,
    universe: Option<Universe>,
}

impl std::fmt::Debug for Mpi {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("Mpi")
    }
}

impl Mpi {
    /// Starts an exchange and waits until it is done. `bear` is called now and then while it waits long.
    fn wait_bearing<'a, D: ?Sized + 'a, S: Scope<'a>>(
        &self,
        start: impl FnOnce() -> Request<'a, D, S>,
        mut bear: impl FnMut(),
    ) {
        let mut request = {
            let _one = self.shared.lock();
            start()
        };
        let begin = Instant::now();
        let work = &self.shared.work;
        loop {
            // A rank that waits is not stuck. But rank 0 is never left waiting for so long, as a rank that is stuck is given up
            // before: then the ranks wait for each other.
            if self.position.rank > 0 || begin.elapsed() < work.limit.saturating_mul(2) {
                work.goes_on();
            }
            let tested = {
                let _one = self.shared.lock();
                request.test()
            };
            match tested {
                Ok(_) => break,
                Err(going_on) => request = going_on,
            }
            match begin.elapsed() {
                waited if waited < EAGER => std::thread::yield_now(),
                waited => {
                    std::thread::sleep((waited / 100).min(MAX_PAUSE));
                    bear();
                }
            }
        }
        let mut pace = self.pace();
        pace.longest = pace.longest.max(pace.last.elapsed());
        pace.last = Instant::now();
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts an exchange and waits until it is done; see [`Mpi::bear`].
    fn wait_for<'a, D: ?Sized + 'a, S: Scope<'a>>(
        &self,
        start: impl FnOnce() -> Request<'a, D, S>,
    ) {
        let mut asked = None;
        self.wait_bearing(start, || self.bear(&mut asked));
    }

    /// Ends all ranks if this is rank 0 and the others have not answered for long although the run was asked to stop; `asked`
    /// is when that was noticed. Nobody could compare the weights then, so nothing is saved.
    fn bear(&self, asked: &mut Option<Instant>) {
        let Shared { program, patience, .. } = &*self.shared;
        // The others may wait long for rank 0: until it has saved.
        if self.position.rank > 0 || !self.shared.is_asked_to_stop() {
            return;
        }
        let waited = asked.get_or_insert_with(Instant::now).elapsed();
        // On slow devices one step may take longer than the patience.
        let longest = self.pace().longest;
        if waited > patience.saturating_add(2 * longest) {
            (program.on_standstill)(waited);
            self.abort();
        }
    }

    /// The number of every rank, in their order.
    fn gather_numbers(&self, own: u64) -> Vec<u64> {
        let (own, mut all) = ([own], vec![0; self.position.size]);
        request::scope(|scope| {
            self.wait_for(|| self.world.0.immediate_all_gather_into(scope, &own[..], &mut all[..]));
        });
        all
    }
}

impl Link for Mpi {
    fn gather(&self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, RankError> {
        let lens: Vec<usize> =
            self.gather_numbers(bytes.len() as u64).into_iter().map(|len| len as usize).collect();
        let piece = (MAX_VALUES * size_of::<f32>()) / lens.len().min(MAX_VALUES);
        let longest = lens.iter().copied().max().unwrap_or(0);
        let mut all: Vec<Vec<u8>> = lens.iter().map(|&len| Vec::with_capacity(len)).collect();
        for first in (0..longest).step_by(piece) {
            let part = |len: usize| first.min(len)..(first + piece).min(len);
            let counts: Vec<i32> = lens.iter().map(|&len| part(len).len() as i32).collect();
            let ends = counts.iter().scan(0, |end, count| {
                *end += count;
                Some(*end - count)
            });
            let begins: Vec<i32> = ends.collect();
            let mut received = vec![0u8; counts.iter().map(|&count| count as usize).sum()];
            let mut parts = PartitionMut::new(&mut received[..], &counts[..], &begins[..]);
            let own = &bytes[part(bytes.len())];
            request::scope(|scope| {
                self.wait_for(|| {
                    self.world.0.immediate_all_gather_varcount_into(scope, own, &mut parts)
                });
            });
            for (whole, (&begin, &count)) in all.iter_mut().zip(begins.iter().zip(&counts)) {
                whole.extend_from_slice(&received[begin as usize..][..count as usize]);
            }
        }
        Ok(all)
    }

    fn broadcast(&self, mut bytes: Vec<u8>) -> Result<Vec<u8>, RankError> {
        let first = self.world.0.process_at_rank(0);
        let mut len = [bytes.len() as u64];
        request::scope(|scope| {
            self.wait_for(|| first.immediate_broadcast_into(scope, &mut len[..]));
        });
        bytes.resize(len[0] as usize, 0);
        for part in bytes.chunks_mut(MAX_VALUES) {
            request::scope(|scope| self.wait_for(|| first.immediate_broadcast_into(scope, part)));
        }
        Ok(bytes)
    }

    fn sum(&self, values: &mut [f32]) -> Result<(), RankError> {
        for part in values.chunks_mut(MAX_VALUES) {
            let own = part.to_vec();
            request::scope(|scope| {
                self.wait_for(|| {
                    let sum = SystemOperation::sum();
                    self.world.0.immediate_all_reduce_into(scope, &own[..], part, sum)
                });
            });
        }
        Ok(())
    }

    fn abort(&self) {
        let _one = self.shared.lock();
        self.world.0.abort(1);
    }

    fn is_stop_heard(&self) -> bool {
        // The work asks this while it goes on.
        self.shared.work.goes_on();
        self.shared.is_stop_heard.load(Ordering::Relaxed)
    }
}

impl Drop for Mpi {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The others wait for this rank.
            self.abort();
        }
        // Until all are here, the others must hear of this rank. The run is over, so there is nothing to lose patience about.
        self.wait_bearing(|| self.world.0.immediate_barrier(), || {});
        self.shared.is_over.store(true, Ordering::Relaxed);
        if let Some(watch) = self.watch.take() {
            let _ = watch.join();
        }
        drop(self.universe.take());
    }
}

/// The thread that tells the other ranks that this one lives, unless its work is stuck, and hears of them: rank 0 of all, the
/// others of rank 0.
struct Watch {
    world: Connection,
    shared: Arc<Shared>,
    /// How long this rank bears that it hears nothing of another.
    longest_silence: Duration,
}

impl Watch {
    fn run(self) {
        let Shared { is_over, program, work, .. } = &*self.shared;
        let (own, size) = (self.world.0.rank(), self.world.0.size());
        let others: Vec<i32> = if own == 0 { (1..size).collect() } else { vec![0] };
        let mut heard = vec![Instant::now(); others.len()];
        let mut last_round = Instant::now();
        while !is_over.load(Ordering::Relaxed) {
            let now = Instant::now();
            if now.duration_since(last_round) > OWN_PAUSE {
                heard.fill(now);
                work.goes_on();
            }
            last_round = now;
            let is_stuck = work.is_stuck();
            for (&other, heard) in others.iter().zip(&mut heard) {
                if !is_stuck {
                    self.send_beat(other);
                }
                if self.receive_beats(other) {
                    *heard = now;
                }
                let silent_for = now.duration_since(*heard);
                if silent_for > self.longest_silence {
                    (program.on_silence)(other as usize, silent_for);
                    let _one = self.shared.lock();
                    self.world.0.abort(1);
                }
            }
            // In small pieces, so that the end of a run does not wait.
            for _ in 0..20 {
                if !is_over.load(Ordering::Relaxed) {
                    std::thread::sleep(BEAT / 20);
                }
            }
        }
    }

    fn send_beat(&self, other: i32) {
        let [lives, was_asked] = &BEATS;
        let beat = if self.shared.is_asked_to_stop() { was_asked } else { lives };
        let _one = self.shared.lock();
        // SAFETY: the byte lives as long as the program, and MPI frees the request when it is sent.
        unsafe {
            let mut request = std::mem::MaybeUninit::uninit();
            ffi::MPI_Isend(
                std::ptr::from_ref(beat).cast(),
                1,
                u8::equivalent_datatype().as_raw(),
                other,
                0,
                self.world.0.as_raw(),
                request.as_mut_ptr(),
            );
            ffi::MPI_Request_free(request.as_mut_ptr());
        }
    }

    /// Receives what has come from a rank, and notes if it tells of a request to stop; returns whether something has come.
    fn receive_beats(&self, other: i32) -> bool {
        let _one = self.shared.lock();
        let mut is_heard = false;
        while let Some((message, _)) = self.world.0.process_at_rank(other).immediate_matched_probe()
        {
            let (beat, _): (u8, _) = message.matched_receive();
            if beat == BEATS[1] {
                self.shared.is_stop_heard.store(true, Ordering::Relaxed);
            }
            is_heard = true;
        }
        is_heard
    }
}
