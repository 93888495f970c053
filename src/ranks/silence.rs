//! How long each rank bears that it hears nothing of another one, before it ends all ranks.

use std::time::Duration;

/// How much longer than the one before it a rank bears it, so that only one speaks before all end.
const TURN: Duration = Duration::from_secs(4);

/// The longest silence that `rank` bears, if a rank may say nothing for `patience`. `local_ranks` has the number that each rank
/// has on its own computer.
///
/// Rank 0 hears of all others, and comes first. It may be gone itself: then rank 1 is the next, and after it the first rank of
/// another computer, as the whole computer of rank 0 may be gone. All others come last, together, so that the end is no later
/// with many ranks.
pub(super) fn longest(patience: Duration, rank: usize, local_ranks: &[i32]) -> Duration {
    let is_elsewhere = |rank: &usize| local_ranks[*rank] == 0;
    let turn = match rank {
        0 | 1 => rank as u32,
        _ if (1..local_ranks.len()).find(is_elsewhere) == Some(rank) => 2,
        _ => 3,
    };
    patience.saturating_add(TURN * turn)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ranks that come first when those before `first` are gone, and how many seconds after the last sign of life.
    fn first_of(first: usize, local_ranks: &[i32]) -> (Vec<usize>, u64) {
        let bears = |rank: usize| longest(Duration::from_secs(30), rank, local_ranks).as_secs();
        let living = first..local_ranks.len();
        let secs = living.clone().map(bears).min().unwrap();
        (living.filter(|&rank| bears(rank) == secs).collect(), secs)
    }

    #[test]
    fn one_rank_comes_first_and_soon_however_many_there_are() {
        let one: Vec<i32> = (0..64).collect();
        let two: Vec<i32> = (0..64).chain(0..64).collect();
        let uneven: Vec<i32> = (0..3).chain(0..5).chain(0..5).collect();
        let in_turn: Vec<i32> = (0..4).flat_map(|local| [local; 4]).collect();
        for all in [one, two.clone(), uneven.clone(), in_turn, vec![0; 16], vec![0, 1]] {
            // Another rank is gone, or rank 0 is.
            assert_eq!(first_of(0, &all), (vec![0], 30));
            assert_eq!(first_of(1, &all), (vec![1], 34));
            let last = longest(Duration::from_secs(30), all.len() - 1, &all);
            assert!(last <= Duration::from_secs(42), "{last:?}: {all:?}");
        }
        // The whole computer of rank 0 is gone.
        assert_eq!(first_of(64, &two), (vec![64], 38));
        assert_eq!(first_of(3, &uneven), (vec![3], 38));
    }
}
