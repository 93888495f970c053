//! Counts the memory of the process, and watches mutations: no panic, an end within seconds, bounded memory. An
//! input that breaks this is named and kept, even where the process does not survive.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    any::Any,
    cell::{Cell, RefCell},
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// Most bytes that the process may hold at once.
const MOST_BYTES: usize = 1 << 30;
/// A mutation that takes longer hangs, unless the machine had no time for it: then it gets some more.
const MOST_TIME: Duration = Duration::from_secs(5);
const MOST_PATIENCE: Duration = Duration::from_secs(60);
/// Threads that mutate, which share the memory.
pub(crate) const THREADS: usize = 2;

/// What each thread is at.
static RUNNING: [Mutex<Option<Running>>; THREADS] = [const { Mutex::new(None) }; THREADS];
static LIVE_BYTES: AtomicUsize = AtomicUsize::new(0);
static PEAK_BYTES: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Where and why this thread panicked last.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
    static IS_WATCHED: Cell<bool> = const { Cell::new(false) };
    static IS_REPORTING: Cell<bool> = const { Cell::new(false) };
}

/// A mutation under way.
struct Running {
    id: String,
    input: Vec<u8>,
    since: Instant,
    /// What the process had taken of the CPU by then.
    cpu_since: Duration,
}

impl Running {
    fn is_late(&self) -> bool {
        let (time, cpu) = (self.since.elapsed(), cpu_time() - self.cpu_since);
        // A slot that is locked just now may be this one.
        let others = RUNNING.iter().filter(|slot| slot.try_lock().is_ok_and(|slot| slot.is_some()));
        let share = 1 + others.count() as u32;
        time > MOST_PATIENCE || time > MOST_TIME && cpu > MOST_TIME * share
    }
}

/// What the process has taken of the CPU, all threads together.
fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes to `time` alone.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Counts what is allocated, and ends the process where it is too much.
pub(crate) struct Counting;

// SAFETY: everything is the system allocator's own; counting touches no memory of the caller.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: the caller's promise is handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: the caller's promise is handed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE_BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is handed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        grow(size);
        LIVE_BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is handed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

fn grow(size: usize) {
    let live = LIVE_BYTES.fetch_add(size, Ordering::Relaxed).saturating_add(size);
    PEAK_BYTES.fetch_max(live, Ordering::Relaxed);
    if live > MOST_BYTES && !IS_REPORTING.replace(true) {
        end_with(&format!("{size} bytes more make {} MiB at once", live >> 20), |_| true);
    }
}

/// The most mebibytes that were held at once.
pub(crate) fn peak_mib() -> usize {
    PEAK_BYTES.load(Ordering::Relaxed) >> 20
}

/// What `work` gives, and the most bytes that were live beyond those before it.
pub(crate) fn peak_bytes_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = LIVE_BYTES.load(Ordering::Relaxed);
    PEAK_BYTES.store(before, Ordering::Relaxed);
    let result = work();
    (result, PEAK_BYTES.load(Ordering::Relaxed) - before)
}

/// Begins to watch: panics are noted instead of printed, and a mutation without end ends the process.
pub(crate) fn begin() {
    let others = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| match IS_WATCHED.get() {
        true => PANIC.set(Some(info.to_string().replace('\n', " "))),
        false => others(info),
    }));
    std::thread::spawn(|| {
        loop {
            std::thread::sleep(Duration::from_millis(200));
            let late = |slot: &Mutex<Option<Running>>| {
                slot.lock().unwrap().as_ref().is_some_and(Running::is_late)
            };
            if RUNNING.iter().any(late) {
                end_with("no end", Running::is_late);
            }
        }
    });
}

/// Runs a target on an input. Whether the target accepted it, or what went wrong.
pub(crate) fn watched(
    thread: usize,
    id: &str,
    input: &[u8],
    target: fn(&[u8]) -> bool,
) -> Result<bool, String> {
    let (since, cpu_since) = (Instant::now(), cpu_time());
    let running = Running { id: id.into(), input: input.to_vec(), since, cpu_since };
    *RUNNING[thread].lock().unwrap() = Some(running);
    PANIC.set(None);
    IS_WATCHED.set(true);
    let result = catch_unwind(AssertUnwindSafe(|| target(input)));
    IS_WATCHED.set(false);
    *RUNNING[thread].lock().unwrap() = None;
    // A panic that somebody caught has been printed all the same.
    let seen = PANIC.take();
    match (result, seen) {
        (Ok(is_accepted), None) => Ok(is_accepted),
        (Ok(_), Some(seen)) => Err(format!("a panic inside: {seen}")),
        (Err(payload), seen) => Err(seen.unwrap_or_else(|| message_of(payload.as_ref()))),
    }
}

/// A panic of another thread that was passed on.
fn message_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_string()
}

/// Writes an input to a file of its own.
pub(crate) fn keep(id: &str, input: &[u8]) -> PathBuf {
    let name = format!("jempp-mutation-{}", id.replace([':', ' '], "-"));
    let path = std::env::temp_dir().join(name);
    match std::fs::write(&path, input) {
        Ok(()) => path,
        Err(error) => PathBuf::from(format!("(not kept: {error})")),
    }
}

fn end_with(why: &str, is_guilty: impl Fn(&Running) -> bool) -> ! {
    for slot in &RUNNING {
        // Whoever holds the lock is not running.
        let Ok(running) = slot.try_lock() else { continue };
        if let Some(running) = running.as_ref().filter(|running| is_guilty(running)) {
            let path = keep(&running.id, &running.input);
            eprintln!("FAILED: {why}: {}, its input is in {}", running.id, path.display());
        }
    }
    std::process::abort()
}
