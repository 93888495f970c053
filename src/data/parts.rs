//! Division of a data set: the part that is held out, and the part that is used.

use std::cmp::Reverse;

use rand::seq::SliceRandom;

use super::{Dataset, Values};
use crate::streams::{self, HostStream};

impl Dataset {
    /// `count` items, the same share of every class as near as whole items allow, chosen by the seed. A class that has
    /// items keeps one if `count` allows.
    pub(super) fn subset(mut self, count: usize, seed: u64) -> Self {
        let is_chosen = self.choose(count, streams::TRAINING_SUBSET, seed);
        self.take(&is_chosen)
    }

    /// Splits off `count` items, the same share of every class as near as whole items allow, and returns them with the
    /// rest. They are the same for every seed of a run, so that runs can be compared by them.
    pub(super) fn split(mut self, count: usize) -> (Self, Self) {
        let is_first = self.choose(count, streams::VALIDATION_PART, 0);
        (self.take(&is_first), self)
    }

    /// Chooses `count` items for [`Self::subset`]: a flag for each item.
    fn choose(&self, count: usize, chosen_by: HostStream, seed: u64) -> Vec<bool> {
        let mut of_class: Vec<Vec<usize>> = vec![Vec::new(); self.num_classes()];
        for (index, &label) in self.labels.iter().enumerate() {
            of_class[label as usize].push(index);
        }
        let lens: Vec<usize> = of_class.iter().map(Vec::len).collect();
        let mut is_chosen = vec![false; self.len()];
        for (class, (mut items, share)) in
            of_class.into_iter().zip(shares(&lens, count)).enumerate()
        {
            items.shuffle(&mut chosen_by.rng(seed, class as u64));
            items.iter().take(share).for_each(|&item| is_chosen[item] = true);
        }
        is_chosen
    }

    /// Takes the items out that `is_taken` chooses, one flag per item.
    fn take(&mut self, is_taken: &[bool]) -> Self {
        Self {
            values: self.values.take(is_taken),
            labels: take(&mut self.labels, 1, is_taken),
            shape: self.shape,
            class_names: self.class_names.clone(),
        }
    }
}

impl Values {
    /// Takes the items out that `is_taken` chooses, one flag per item. The others stay in the memory where they are.
    pub(super) fn take(&mut self, is_taken: &[bool]) -> Self {
        let size = |len: usize| len / is_taken.len().max(1);
        match self {
            Self::Bytes(bytes) => Self::Bytes(take(bytes, size(bytes.len()), is_taken)),
            Self::Floats(floats) => Self::Floats(take(floats, size(floats.len()), is_taken)),
        }
    }
}

/// How many of `count` items each class gets, in proportion to its size, by largest remainders.
fn shares(lens: &[usize], count: usize) -> Vec<usize> {
    let total = lens.iter().sum::<usize>().max(1) as u64;
    let wanted = |class: usize| lens[class] as u64 * count as u64;
    let mut shares: Vec<usize> =
        (0..lens.len()).map(|class| (wanted(class) / total) as usize).collect();
    let mut by_remainder: Vec<usize> = (0..lens.len()).collect();
    by_remainder.sort_by_key(|&class| Reverse(wanted(class) % total));
    let missing = count.saturating_sub(shares.iter().sum());
    by_remainder.iter().take(missing).for_each(|&class| shares[class] += 1);
    let num_filled = lens.iter().filter(|len| **len > 0).count();
    while let Some(empty) = (0..lens.len()).find(|&class| lens[class] > 0 && shares[class] == 0)
        && count >= num_filled
        && let Some(largest) = (0..lens.len()).max_by_key(|&class| shares[class])
    {
        shares[largest] -= 1;
        shares[empty] = 1;
    }
    shares
}

/// Takes out of `values`, in which each item has `size` values, the items that `is_taken` chooses.
pub(super) fn take<T: Copy>(values: &mut Vec<T>, size: usize, is_taken: &[bool]) -> Vec<T> {
    let (mut taken, mut end) = (Vec::new(), 0);
    for (index, &is_taken) in is_taken.iter().enumerate() {
        let item = index * size..(index + 1) * size;
        if is_taken {
            taken.extend_from_slice(&values[item]);
        } else if index == end {
            end += 1;
        } else {
            values.copy_within(item, end * size);
            end += 1;
        }
    }
    values.truncate(end * size);
    values.shrink_to_fit();
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(lens: &[usize]) -> Dataset {
        let labels: Vec<u32> =
            lens.iter().enumerate().flat_map(|(class, &len)| vec![class as u32; len]).collect();
        let values = (0..labels.len()).flat_map(|item| [item as f32 / 1000.0, 0.0]).collect();
        let names = (0..lens.len()).map(|class| class.to_string()).collect();
        Dataset::from_floats(values, labels, [2, 1, 1], names).unwrap()
    }

    #[test]
    fn a_subset_has_the_same_share_of_every_class() {
        let counts = |lens: &[usize], count| -> Vec<usize> {
            let subset = set(lens).subset(count, 3);
            assert_eq!(subset.len(), count);
            (0..lens.len())
                .map(|class| subset.labels.iter().filter(|&&label| label == class as u32).count())
                .collect()
        };
        assert_eq!(counts(&[100, 300, 600], 50), [5, 15, 30]);
        assert_eq!(counts(&[333, 333, 334], 10), [3, 3, 4]);
        assert_eq!(counts(&[1, 0, 999], 10), [1, 0, 9], "a small class keeps an item");
        assert_eq!(counts(&[5, 5, 5], 2).iter().sum::<usize>(), 2);
        assert_eq!(counts(&[4, 6], 10), [4, 6]);
    }

    #[test]
    fn the_part_that_is_held_out_has_every_class_in_whatever_order_the_items_are() {
        let in_turn = |num_classes: u32| {
            let labels: Vec<u32> = (0..1000).map(|index| index % num_classes).collect();
            let names = (0..num_classes).map(|class| class.to_string()).collect();
            Dataset::from_floats(vec![0.0; 2000], labels, [2, 1, 1], names).unwrap()
        };
        for set in [in_turn(2), in_turn(5), in_turn(8), set(&[500, 500])] {
            let num_classes = set.num_classes();
            let (held_out, rest) = set.split(100);
            assert_eq!((held_out.len(), rest.len()), (100, 900));
            for class in 0..num_classes as u32 {
                let count = held_out.labels.iter().filter(|&&label| label == class).count();
                let fair = 100 / num_classes;
                assert!((fair..=fair + 1).contains(&count), "{count} of class {class}");
            }
        }
        let (none, all) = set(&[3, 4]).split(0);
        assert_eq!((none.len(), all.len()), (0, 7));
    }

    #[test]
    fn a_subset_is_chosen_by_the_seed_and_keeps_items_with_their_labels() {
        let values = |seed| {
            let subset = set(&[40, 60]).subset(20, seed);
            subset.gather(0..20).chunks(2).map(|item| item[0]).collect::<Vec<f32>>()
        };
        assert_eq!(values(1), values(1));
        assert_ne!(values(1), values(2));
        assert_eq!(values(1).iter().filter(|&&value| value < 0.04).count(), 8);
        assert!(values(1).is_sorted(), "in the order of the set");
    }
}
