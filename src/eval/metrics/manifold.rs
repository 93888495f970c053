//! Nearest neighbours: precision, recall and the nearest training images.

use faer::Mat;
use rayon::prelude::*;

use super::intervals::proportion;
use crate::eval::results::Estimate;

/// The number of items that are compared at once with up to [`OTHERS`] others.
const BLOCK: usize = 256;
const OTHERS: usize = 8192;

/// The share of `generated` (N, `dim`) that lies within the manifold of `reference` (M, `dim`), and the reverse. The
/// manifold of a set is the union of balls around its items, each reaching to the item's `num_neighbors`-th
/// neighbour.
///
/// # Source
/// Kynkäänniemi et al., arXiv:1904.06991: precision and recall.
pub fn precision_recall(
    reference: &[f32],
    generated: &[f32],
    dim: usize,
    num_neighbors: usize,
) -> (Estimate, Estimate) {
    let [reference, generated] = [reference, generated].map(|rows| Rows::new(rows, dim));
    let inside = |items: &Rows, manifold: &Rows| {
        let radii = manifold.radii(num_neighbors);
        let hits = items.against(manifold, |_, distances| {
            distances.iter().zip(&radii).any(|(distance, radius)| distance <= radius)
        });
        proportion(hits.into_iter().filter(|&hit| hit).count(), items.count())
    };
    (inside(&generated, &reference), inside(&reference, &generated))
}

/// Feature rows in double precision with their squared norms.
struct Rows {
    values: Mat<f64>,
    squares: Vec<f64>,
}

impl Rows {
    fn new(rows: &[f32], dim: usize) -> Self {
        let values = Mat::from_fn(rows.len() / dim, dim, |i, j| f64::from(rows[i * dim + j]));
        let squares = rows.chunks(dim).map(|row| row.iter().map(|&v| f64::from(v).powi(2)).sum());
        Self { squares: squares.collect(), values }
    }

    fn count(&self) -> usize {
        self.squares.len()
    }

    /// Calls `look` with the index of every item and its squared distances to all of `others`, and collects the
    /// results.
    fn against<T: Send>(&self, others: &Self, look: impl Fn(usize, &[f64]) -> T + Sync) -> Vec<T> {
        let mut found = Vec::with_capacity(self.count());
        for first in (0..self.count()).step_by(BLOCK) {
            let count = BLOCK.min(self.count() - first);
            let block = self.values.as_ref().subrows(first, count);
            // One column per item of the block.
            let products = &others.values * block.transpose();
            found.par_extend((0..count).into_par_iter().map(|index| {
                let square = self.squares[first + index];
                let column = products.col(index);
                let distance =
                    |other: usize| (square + others.squares[other] - 2.0 * column[other]).max(0.0);
                let distances: Vec<f64> = (0..others.count()).map(distance).collect();
                look(first + index, &distances)
            }));
        }
        found
    }

    /// The squared distance of every item to its `k`-th neighbour, without itself; to the farthest one if there are
    /// fewer items.
    fn radii(&self, k: usize) -> Vec<f64> {
        self.against(self, |own, distances| {
            let mut others = distances.to_vec();
            others.swap_remove(own);
            match k.min(others.len()).checked_sub(1) {
                Some(place) => *others.select_nth_unstable_by(place, f64::total_cmp).1,
                None => 0.0,
            }
        })
    }
}

/// The Euclidean distance of each of `items` (N, `dim`) to the nearest of `references` (M, `dim`), and the index of
/// that one.
pub fn nearest_distances(items: &[f32], references: &[f32], dim: usize) -> Vec<(f32, usize)> {
    let mut best = vec![(f64::INFINITY, 0); items.len() / dim];
    for (part, others) in references.chunks(OTHERS * dim).enumerate() {
        // In double precision: the squares of similar items far from 0 differ only in their last digits.
        let others = Rows::new(others, dim);
        for (block, best) in items.chunks(BLOCK * dim).zip(best.chunks_mut(BLOCK)) {
            let products = &others.values * Rows::new(block, dim).values.transpose();
            best.par_iter_mut().enumerate().for_each(|(index, best)| {
                for (other, product) in products.col(index).iter().enumerate() {
                    // The square of the item itself is left out: it is the same for all references.
                    let distance = others.squares[other] - 2.0 * product;
                    if distance < best.0 {
                        *best = (distance, part * OTHERS + other);
                    }
                }
            });
        }
    }
    // The search gives the nearest reference, but not an accurate distance: compute that from the differences.
    let exact = |(item, (_, index)): (&[f32], (f64, usize))| {
        let Some(other) = references.get(index * dim..(index + 1) * dim) else { return (0.0, 0) };
        let squares = item.iter().zip(other).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2));
        (squares.sum::<f64>().sqrt() as f32, index)
    };
    items.chunks(dim).zip(best).map(exact).collect()
}
