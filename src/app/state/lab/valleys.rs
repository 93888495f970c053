//! The valleys of an energy in the plane: their names, the probability of each, and the share of chains in it.

use crate::{
    diagnostics::cells::{grid, masses_of_classes},
    worker::lab::LabSurface,
};

/// More valleys than this would have no names, and their bars no space.
const MAX_VALLEYS: usize = 4;
/// The names of valleys by the direction from their middle, from the right in quarters of a turn.
const DIRECTIONS: [&str; 4] = ["right", "top", "left", "bottom"];

/// A valley of an energy: the squares of one class.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::app) struct Valley {
    /// The name of the valley: where it is, seen from the middle of all valleys.
    pub name: &'static str,
    /// The class of its squares.
    pub class: usize,
}

/// The valleys of a surface, from the left to the right; empty if there is one, or too many to name.
pub(in crate::app) fn valleys(surface: &LabSurface) -> Vec<Valley> {
    let count = surface.num_classes as usize;
    if !(2..=MAX_VALLEYS).contains(&count) {
        return Vec::new();
    }
    let Some(middles) = middles(surface, count) else { return Vec::new() };
    let centre = [0, 1].map(|axis| middles.iter().map(|m| m[axis]).sum::<f64>() / count as f64);
    let named = middles.iter().enumerate().map(|(class, middle)| {
        let turn = (middle[1] - centre[1]).atan2(middle[0] - centre[0]) / std::f64::consts::TAU;
        let name = DIRECTIONS[(4.0 * turn).round().rem_euclid(4.0) as usize % 4];
        (middle[0], Valley { name, class })
    });
    let mut named: Vec<(f64, Valley)> = named.collect();
    named.sort_by(|a, b| a.0.total_cmp(&b.0));
    let is_unique =
        |valley: &Valley| named.iter().filter(|(_, v)| v.name == valley.name).count() == 1;
    match named.iter().all(|(_, valley)| is_unique(valley)) {
        true => named.into_iter().map(|(_, valley)| valley).collect(),
        false => Vec::new(),
    }
}

/// The mean position of the probability of each class.
fn middles(surface: &LabSurface, count: usize) -> Option<Vec<[f64; 2]>> {
    let side = surface.energy.len().isqrt();
    let of_axis = |axis: usize| {
        // The mass of every square, times its position, by classes.
        let positions = grid(side).map(|point| f64::from(point[axis]));
        let least = surface.energy.iter().copied().fold(f32::INFINITY, f32::min);
        let mut sums = vec![[0.0; 2]; count];
        for ((energy, class), position) in
            surface.energy.iter().zip(&surface.classes).zip(positions)
        {
            let weight = (-f64::from(energy - least)).exp();
            let sum = sums.get_mut(*class as usize)?;
            *sum = [sum[0] + weight, sum[1] + weight * position];
        }
        Some(sums.into_iter().map(|[mass, sum]| sum / mass).collect::<Vec<f64>>())
    };
    let (x, y) = (of_axis(0)?, of_axis(1)?);
    let middles: Vec<[f64; 2]> = x.into_iter().zip(y).map(|(x, y)| [x, y]).collect();
    middles.iter().flatten().all(|value| value.is_finite()).then_some(middles)
}

/// The probability of each class; `None` if the chains have no law to compare with.
pub(super) fn masses(surface: &LabSurface, inverse_temperature: f64) -> Option<Vec<f64>> {
    let count = surface.num_classes as usize;
    masses_of_classes(&surface.energy, &surface.classes, count, inverse_temperature)
}

/// The share of all points (N, 2) in each class.
pub(in crate::app) fn shares(surface: &LabSurface, points: &[f32]) -> Vec<f64> {
    let mut shares = vec![0.0; surface.num_classes as usize];
    let part = 2.0 / points.len().max(2) as f64;
    for class in points.chunks_exact(2).filter_map(|point| surface.class_at([point[0], point[1]])) {
        if let Some(share) = shares.get_mut(class) {
            *share += part;
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostics::cells::NUM_CELLS;

    #[test]
    fn valleys_are_named_by_where_they_are_and_compared_with_their_probability() {
        let modes = [([0.5f32, -0.3], 0.3f32), ([-0.5, -0.3], 0.5), ([0.1, 0.6], 0.2)];
        let nearest = |point: [f32; 2]| {
            let far = |mode: &[f32; 2]| (point[0] - mode[0]).hypot(point[1] - mode[1]);
            let order = |a: &usize, b: &usize| far(&modes[*a].0).total_cmp(&far(&modes[*b].0));
            let class = (0..3).min_by(order).unwrap();
            let distance = far(&modes[class].0) / 0.08;
            (0.5 * distance * distance - modes[class].1.ln(), class as u8)
        };
        let (energy, classes): (Vec<f32>, Vec<u8>) = grid(4 * NUM_CELLS).map(nearest).unzip();
        let energy = energy.into();
        let mut surface = LabSurface { energy, around: [].into(), classes, num_classes: 3 };
        let found: Vec<_> = valleys(&surface).iter().map(|v| (v.name, v.class)).collect();
        assert_eq!(found, [("left", 1), ("top", 2), ("right", 0)]);
        let masses = masses(&surface, 1.0).unwrap();
        assert!(
            masses.iter().zip([0.3, 0.5, 0.2]).all(|(a, b)| (a - b).abs() < 0.01),
            "{masses:?}"
        );
        let points = [0.5, -0.3, 0.4, -0.2, -0.5, -0.2, f32::NAN, 0.0];
        assert_eq!(shares(&surface, &points), [0.5, 0.25, 0.0]);
        surface.num_classes = 8;
        assert!(valleys(&surface).is_empty());
    }
}
