//! ROC curves: how well a score separates two sets of items. Items "inside" should have higher scores than items
//! "outside".

use super::intervals::{bootstrap, multiplicities, proportion, score_interval};
use crate::eval::results::{Estimate, Score, Separation};

/// The true positive rate at which false positives are counted.
const KEPT: f64 = 0.95;
/// The largest number of points of an ROC curve.
const MAX_POINTS: usize = 200;

/// The number of inside items and of outside items with one score.
type Group = (u64, u64);

/// All items in order of decreasing score, with equal scores in one group.
struct Ranked {
    /// The group of every inside item and of every outside item.
    group_of: [Vec<usize>; 2],
    num_groups: usize,
}

impl Ranked {
    fn new(inside: &[f64], outside: &[f64]) -> Self {
        let all = |index: usize| match index.checked_sub(inside.len()) {
            None => inside[index],
            Some(index) => outside[index],
        };
        let mut order: Vec<usize> = (0..inside.len() + outside.len()).collect();
        order.sort_by(|&a, &b| all(b).total_cmp(&all(a)));
        let mut group_of = [vec![0; inside.len()], vec![0; outside.len()]];
        let mut num_groups = 0;
        for (place, &index) in order.iter().enumerate() {
            if place == 0 || all(order[place - 1]) != all(index) {
                num_groups += 1;
            }
            match index.checked_sub(inside.len()) {
                None => group_of[0][index] = num_groups - 1,
                Some(index) => group_of[1][index] = num_groups - 1,
            }
        }
        Self { group_of, num_groups }
    }

    /// The groups, with each item counted as often as `times` says.
    fn groups(&self, times: [&dyn Fn(usize) -> u32; 2]) -> Vec<Group> {
        let mut groups = vec![(0, 0); self.num_groups];
        for (index, &group) in self.group_of[0].iter().enumerate() {
            groups[group].0 += u64::from(times[0](index));
        }
        for (index, &group) in self.group_of[1].iter().enumerate() {
            groups[group].1 += u64::from(times[1](index));
        }
        groups
    }

    fn all(&self) -> Vec<Group> {
        self.groups([&|_| 1, &|_| 1])
    }

    /// A statistic with its bootstrap interval, widened to `least`, the interval of its value and of the numbers of items: no
    /// resample of sides that do not overlap overlaps, so the bootstrap alone would claim certainty.
    fn estimate(
        &self,
        statistic: fn(&[Group]) -> f64,
        least: fn(f64, [usize; 2]) -> Estimate,
        num_resamples: usize,
        seed: u64,
    ) -> Estimate {
        let value = statistic(&self.all());
        let counts = [0, 1].map(|side| self.group_of[side].len());
        // A single item gives no information about the variation, so the interval is the widest possible.
        if counts.iter().any(|&count| count < 2) {
            return Estimate { value, low: 0.0, high: 1.0 };
        }
        let found = bootstrap(value, num_resamples, seed, |random| {
            let [inside, outside] = counts.map(|count| multiplicities(count, random));
            statistic(&self.groups([&|i| inside[i], &|i| outside[i]]))
        });
        let least = least(value, counts);
        Estimate { value, low: found.low.min(least.low), high: found.high.max(least.high) }
    }
}

/// Wilson's interval of a share of the outside items.
fn share_interval(share: f64, [_, num_out]: [usize; 2]) -> Estimate {
    proportion((share * num_out as f64).round() as usize, num_out)
}

fn totals(groups: &[Group]) -> Group {
    groups.iter().fold((0, 0), |sum, group| (sum.0 + group.0, sum.1 + group.1))
}

fn auroc_of(groups: &[Group]) -> f64 {
    let (num_in, num_out) = totals(groups);
    if num_in == 0 || num_out == 0 {
        return 0.5;
    }
    // Counts the pairs in which the inside item has the higher score twice, and those with equal scores once.
    let (mut doubled, mut below) = (0u64, num_out);
    for &(inside, outside) in groups {
        below -= outside;
        doubled += inside * (2 * below + outside);
    }
    doubled as f64 / (2.0 * num_in as f64 * num_out as f64)
}

fn false_positives_of(groups: &[Group]) -> f64 {
    let (num_in, num_out) = totals(groups);
    let needed = KEPT * num_in as f64;
    let mut found = (0, 0);
    for group in groups {
        if found.0 as f64 >= needed {
            break;
        }
        found = (found.0 + group.0, found.1 + group.1);
    }
    found.1 as f64 / num_out.max(1) as f64
}

/// The area under the ROC curve: the share of pairs in which the inside item has the higher score; pairs with equal
/// scores count half. It is 0.5 if one side is empty.
pub fn auroc(inside: &[f64], outside: &[f64]) -> f64 {
    auroc_of(&Ranked::new(inside, outside).all())
}

/// The false positive rate at a true positive rate of at least 95 %: the share of outside items above the largest
/// threshold that keeps 95 % of the inside ones.
pub fn false_positives_at(inside: &[f64], outside: &[f64]) -> f64 {
    false_positives_of(&Ranked::new(inside, outside).all())
}

/// The ROC curve from (0, 0) to (1, 1): (false positive rate, true positive rate), at most 200 points.
pub fn roc(inside: &[f64], outside: &[f64]) -> Vec<(f64, f64)> {
    roc_of(&Ranked::new(inside, outside).all())
}

fn roc_of(groups: &[Group]) -> Vec<(f64, f64)> {
    let (num_in, num_out) = totals(groups);
    if num_in == 0 || num_out == 0 {
        return vec![(0.0, 0.0), (1.0, 1.0)];
    }
    let mut sum = (0, 0);
    let mut points = vec![(0.0, 0.0)];
    points.extend(groups.iter().map(|group| {
        sum = (sum.0 + group.0, sum.1 + group.1);
        (sum.1 as f64 / num_out as f64, sum.0 as f64 / num_in as f64)
    }));
    let last = points.len() - 1;
    if last < MAX_POINTS {
        return points;
    }
    (0..MAX_POINTS).map(|index| points[index * last / (MAX_POINTS - 1)]).collect()
}

/// How well `score` separates the inside items from the outside ones, with bootstrap intervals over both, which are at least as
/// wide as those of Newcombe and Wilson.
pub fn separation(
    score: Score,
    inside: &[f64],
    outside: &[f64],
    num_resamples: usize,
    seed: u64,
) -> Separation {
    let ranked = Ranked::new(inside, outside);
    Separation {
        score,
        auroc: ranked.estimate(auroc_of, score_interval, num_resamples, seed),
        false_positives_at_95: ranked.estimate(
            false_positives_of,
            share_interval,
            num_resamples,
            seed,
        ),
        roc: roc_of(&ranked.all()),
    }
}
