//! The timing of several ways to do the same work.

use std::time::Duration;

/// The least time of one measurement. In a shorter one, the launch and the wait for the device dominate.
const MIN_TIME: Duration = Duration::from_millis(2);
/// The most launches of one measurement.
const MAX_LAUNCHES: u32 = 64;
/// The number of rounds. Every round times each candidate once, so that a GPU that changes its clock rate is unfair to
/// none of them.
const NUM_ROUNDS: usize = 3;
/// A candidate that takes this many times as long as the fastest one is not timed again.
const HOPELESS: u32 = 2;
/// A candidate replaces the first one only if it takes less than this share of its time. Smaller differences are
/// mostly noise.
const MIN_GAIN: f64 = 0.95;

/// The shortest time of one launch of each candidate, in the given order; `None` for one that failed.
///
/// `time` launches a candidate a number of times and returns the time until the device has finished, or `None` if the
/// device fails. The first launch of each candidate is not counted, because it compiles the pipeline. With some drivers
/// that takes seconds: candidates that are not compiled within `budget` are left out if `is_part_enough`, and otherwise
/// nothing is timed.
pub(super) fn times(
    num_candidates: usize,
    budget: Duration,
    is_part_enough: bool,
    mut time: impl FnMut(usize, u32) -> Option<Duration>,
) -> Option<Vec<Option<Duration>>> {
    let mut spent = Duration::ZERO;
    let mut fastest = Vec::new();
    while fastest.len() < num_candidates && spent < budget {
        let compiled = time(fastest.len(), 1);
        spent += compiled.unwrap_or_default();
        fastest.push(compiled.map(|_| Duration::MAX));
    }
    if fastest.len() < num_candidates && !is_part_enough {
        return None;
    }
    fastest.resize(num_candidates, None);
    let first = fastest.iter().position(Option::is_some)?;
    let once = time(first, 1).unwrap_or(MIN_TIME).as_secs_f64();
    let launches = (MIN_TIME.as_secs_f64() / once.max(1e-9)).ceil() as u32;
    let launches = launches.clamp(1, MAX_LAUNCHES);
    for _ in 0..NUM_ROUNDS {
        for index in 0..num_candidates {
            let best = fastest.iter().flatten().min().copied().unwrap_or(Duration::MAX);
            let Some(before) = fastest[index] else { continue };
            if before == Duration::MAX || before <= best.saturating_mul(HOPELESS) {
                fastest[index] = time(index, launches).map(|took| before.min(took / launches));
            }
        }
    }
    Some(fastest)
}

/// The index of the fastest candidate, or 0 if the first one is almost as fast; `None` if all have failed.
pub(super) fn fastest(times: &[Option<Duration>]) -> Option<usize> {
    let known = times.iter().enumerate().filter_map(|(index, time)| Some((index, (*time)?)));
    let (index, best) = known.min_by_key(|(_, time)| *time)?;
    let first = times.first().copied().flatten();
    let is_gain = first.is_none_or(|first| best.as_secs_f64() < MIN_GAIN * first.as_secs_f64());
    Some(if is_gain { index } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn micros(count: u64) -> Duration {
        Duration::from_micros(count)
    }

    const BUDGET: Duration = Duration::from_secs(2);

    /// A device on which a launch of a candidate takes its microseconds, the wait 100, and a compilation 50,000.
    fn device(launch: &[Option<u64>], log: &mut Vec<(usize, u32)>) -> Vec<Option<Duration>> {
        let found = times(launch.len(), BUDGET, false, |index, launches| {
            let is_compiled = log.iter().any(|(known, _)| *known == index);
            log.push((index, launches));
            let compilation = if is_compiled { 0 } else { 50_000 };
            launch[index].map(|each| micros(compilation + 100 + each * u64::from(launches)))
        });
        found.unwrap_or_default()
    }

    #[test]
    fn each_candidate_is_compiled_first_and_then_timed_in_turn() {
        let mut log = Vec::new();
        let found = device(&[Some(300), Some(200), Some(250)], &mut log);
        assert_eq!(log[..4], [(0, 1), (1, 1), (2, 1), (0, 1)], "compiled, then the length is set");
        // 400 microseconds with the wait: five launches for 2 milliseconds.
        let rounds = [0, 1, 2].repeat(3).into_iter().map(|index| (index, 5));
        assert_eq!(log[4..], rounds.collect::<Vec<_>>());
        assert_eq!(found, [Some(micros(320)), Some(micros(220)), Some(micros(270))]);
        assert_eq!(fastest(&found), Some(1));
    }

    #[test]
    fn slow_candidates_are_timed_once_and_broken_ones_never() {
        let mut log = Vec::new();
        let found = device(&[Some(10_000), None, Some(90_000)], &mut log);
        let count = |wanted| log.iter().filter(|(index, _)| *index == wanted).count();
        // The first one is also compiled, and timed to set the length.
        assert_eq!([count(0), count(1), count(2)], [1 + 1 + 3, 1, 1 + 1]);
        assert_eq!(log.iter().map(|(_, launches)| *launches).max(), Some(1));
        assert_eq!(fastest(&found), Some(0));
        assert_eq!(fastest(&device(&[None, None], &mut Vec::new())), None);
        assert_eq!(fastest(&device(&[None, Some(5)], &mut Vec::new())), Some(1));
    }

    #[test]
    fn a_launch_too_short_for_the_clock_is_repeated_but_not_forever() {
        let found = times(2, BUDGET, false, |_, launches| {
            assert!((1..=MAX_LAUNCHES).contains(&launches));
            Some(Duration::ZERO)
        });
        assert_eq!(fastest(&found.unwrap()), Some(0));
    }

    #[test]
    fn candidates_that_compile_too_slowly_are_left_out() {
        const SECOND: Duration = Duration::from_secs(1);
        let found = |num_candidates, is_part_enough| {
            let mut count = 0;
            let time = |_, _| {
                count += 1;
                Some(SECOND)
            };
            (times(num_candidates, BUDGET, is_part_enough, time), count)
        };
        let (part, _) = found(4, true);
        assert_eq!(part, Some(vec![Some(SECOND), Some(SECOND), None, None]));
        assert_eq!(found(4, false), (None, 2));
        assert!(found(2, false).0.is_some());
    }

    #[test]
    fn the_first_guess_stays_unless_another_is_clearly_faster() {
        let found = |times: [u64; 2]| fastest(&times.map(|time| Some(micros(time))));
        assert_eq!(found([1000, 960]), Some(0));
        assert_eq!(found([1000, 940]), Some(1));
    }
}
