//! The distance between the chains of the first lane and those of the others, along the run.

use std::{collections::BTreeMap, sync::Arc};

use super::ranges::EXPLODED;
use crate::{app::record::Record, worker::LaneImages};

/// The maximum number of points of a curve.
const MAX_POINTS: u64 = 200;

/// The images of the first lane at a step, which tell whether it is still the same step, and the distance of each later
/// lane.
type Point = (Arc<[f32]>, Vec<f64>);

/// The mean distance between the chains of lane 1 and the chains with the same number of each other lane, at steps
/// along the run.
#[derive(Default)]
pub(super) struct Apart(BTreeMap<u64, Point>);

impl Apart {
    /// Computes the points of new steps, and forgets those of steps that are gone.
    pub(super) fn update(&mut self, record: &Record) {
        let last = record.images.last_step().unwrap_or(0);
        // A power of two, so that a longer run needs a part of the same steps.
        let stride = (last / MAX_POINTS).max(1).next_power_of_two();
        let wanted = |step: u64| step.is_multiple_of(stride) || step == last;
        let mut points = BTreeMap::new();
        for (step, lanes) in record.images.entries().iter().filter(|(step, _)| wanted(*step)) {
            let Some(first) = lanes.first() else { continue };
            let known = self.0.remove(step).filter(|(x, _)| Arc::ptr_eq(x, &first.x));
            let point = known.unwrap_or_else(|| {
                let far = lanes[1..].iter().map(|lane| distance(first, lane, record.num_chains()));
                (first.x.clone(), far.collect())
            });
            points.insert(*step, point);
        }
        self.0 = points;
    }

    /// The points (step, distance) of the lane after the first with this number, starting at 0.
    pub(super) fn curve(&self, nth: usize) -> impl Iterator<Item = (f64, f64)> {
        self.0
            .iter()
            .map(move |(step, (_, far))| (*step as f64, far.get(nth).copied().unwrap_or(f64::NAN)))
    }
}

/// The mean of ‖x - x′‖ over the chains of two lanes; NaN if chains exploded.
fn distance(first: &LaneImages, other: &LaneImages, num_chains: usize) -> f64 {
    let size = (first.x.len() / num_chains.max(1)).max(1);
    let pairs = first.x.chunks_exact(size).zip(other.x.chunks_exact(size));
    let of_chain = |(a, b): (&[f32], &[f32])| {
        let squares = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2));
        squares.sum::<f64>().sqrt()
    };
    let mean = pairs.map(of_chain).sum::<f64>() / num_chains.max(1) as f64;
    if mean < f64::from(EXPLODED) { mean } else { f64::NAN }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::LaneConfig,
        worker::{LaneNumbers, LaneStep, RunRequest, Step},
    };

    fn push(record: &mut Record, step: u64, values: [f32; 3]) {
        let lane = |value: f32| {
            let x = vec![value; 8].into();
            let images = LaneImages { x, gradient: vec![], proximal_radius: None };
            LaneStep { images, numbers: LaneNumbers::default() }
        };
        record.push(Step { step, lanes: values.map(lane).into() });
    }

    #[test]
    fn distances_follow_the_run_and_a_branch() {
        let lanes = vec![LaneConfig::default(); 3];
        let labels = vec![0, 1];
        let mut record = Record::new(RunRequest { seed: 0, labels, lanes, image: None });
        let mut apart = Apart::default();
        for step in 0..=1000 {
            // Two chains of four values each: a difference of 1 in each value is a distance of 2.
            push(&mut record, step, [0.0, step as f32 / 1000.0, 0.0]);
        }
        apart.update(&record);
        let curve: Vec<(f64, f64)> = apart.curve(0).collect();
        assert!(curve.len() <= MAX_POINTS as usize && curve.len() > 100, "{}", curve.len());
        assert_eq!((curve[0], curve.last().copied()), ((0.0, 0.0), Some((1000.0, 2.0))));
        assert!(apart.curve(1).all(|point| point.1 == 0.0));
        push(&mut record, 8, [0.0, f32::NAN, 3.0]);
        apart.update(&record);
        let last: Vec<f64> = [0, 1].map(|nth| apart.curve(nth).last().unwrap().1).into();
        assert!(last[0].is_nan() && last[1] == 6.0, "{last:?}");
        assert_eq!(apart.curve(0).last().unwrap().0, 8.0);
    }
}
