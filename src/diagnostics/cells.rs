//! A density on the plane as a histogram: the mass of an energy in each cell, and the distance of points from it.

use statrs::function::gamma::ln_gamma;

/// Half the side of the plotted square, in units of x: the box [-1, 1] and a margin of half its size.
pub const EXTENT: f32 = 1.5;
/// The number of cells along a side. For 2,000 points of eight Gaussians, chance alone gives a total variation of
/// 0.095.
pub const NUM_CELLS: usize = 36;

/// The centres of `side` × `side` squares that tile the plane, row by row from the bottom.
pub fn grid(side: usize) -> impl Iterator<Item = [f32; 2]> {
    let along = move |index: usize| EXTENT * ((2 * index + 1) as f32 / side as f32 - 1.0);
    (0..side * side).map(move |index| [along(index % side), along(index / side)])
}

/// The size of the plane with its surroundings, in units of the plane.
const AROUND: usize = 3;

/// The centres of the squares that surround the plane, as large as the cells, row by row from the bottom.
pub fn surroundings() -> impl Iterator<Item = [f32; 2]> {
    let farther = grid(AROUND * NUM_CELLS).map(|point| point.map(|v| v * AROUND as f32));
    farther.filter(|point| point.iter().any(|v| v.abs() > EXTENT))
}

/// The cell of a coordinate; `None` outside the plane.
fn cell_of(value: f32) -> Option<usize> {
    let place = (value / EXTENT + 1.0) * 0.5 * NUM_CELLS as f32;
    (0.0..NUM_CELLS as f32).contains(&place).then_some(place as usize)
}

/// The weights exp(-β (E - min E)) of the squares of the plane, then of the surroundings, whose squares are larger;
/// not normalised. Energies that are not finite have weight 0.
fn weights<'a>(
    energy: &'a [f32],
    around: &'a [f32],
    inverse_temperature: f64,
) -> impl Iterator<Item = f64> + 'a {
    let per_cell = energy.len().isqrt() as f64 / NUM_CELLS as f64;
    let all = energy
        .iter()
        .map(|e| (*e, 1.0))
        .chain(around.iter().map(move |e| (*e, per_cell * per_cell)));
    let least = all.clone().map(|(e, _)| e).filter(|e| e.is_finite()).fold(f32::INFINITY, f32::min);
    all.map(move |(energy, size)| match energy.is_finite() {
        true => size * (-inverse_temperature * f64::from(energy - least)).exp(),
        false => 0.0,
    })
}

/// The largest change of β E between neighbouring squares for which the mass within a square is still known.
const MAX_CHANGE: f64 = 2.0;
/// The largest share of the mass that may lie in squares with a greater change.
const MAX_UNKNOWN: f64 = 0.5;

/// The reason why there are no exact masses to compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoMasses {
    /// There is no noise: β is infinite.
    #[error("no noise: nothing to compare with")]
    NoNoise,
    /// The steps of the sampler have no known invariant density.
    #[error("no formula to compare with")]
    UnknownLaw,
    /// The density is narrower than a square.
    #[error("too narrow for the squares of the plane to compare with")]
    TooNarrow,
    /// No energy is a finite number.
    #[error("no finite energy in the plane")]
    NoEnergy,
}

/// The mass of a density in each cell and outside the plane.
#[derive(Clone, Debug, PartialEq)]
pub struct Cells {
    /// The mass in each cell, shape (rows from the bottom, columns), [`NUM_CELLS`] each.
    pub masses: Vec<f64>,
    /// The mass outside the plane.
    pub outside: f64,
}

impl Cells {
    /// The masses of p ∝ exp(-β E) for energies on [`grid`] and on [`surroundings`], by the midpoint rule. Without
    /// surroundings, it is the density within the plane.
    ///
    /// # Shapes
    /// `energy`: (side, side), side a multiple of [`NUM_CELLS`].
    ///
    /// # Errors
    /// The energies do not define a density, or it is too narrow for these squares.
    pub fn of_energy(
        energy: &[f32],
        around: &[f32],
        inverse_temperature: f64,
    ) -> Result<Self, NoMasses> {
        if !inverse_temperature.is_finite() {
            return Err(NoMasses::NoNoise);
        }
        let side = energy.len().isqrt();
        let per_cell = (side / NUM_CELLS).max(1);
        let (mut masses, mut outside) = (vec![0.0; NUM_CELLS * NUM_CELLS], 0.0);
        let mut unknown = 0.0;
        for (index, weight) in weights(energy, around, inverse_temperature).enumerate() {
            let (row, column) = (index / side.max(1), index % side.max(1));
            if row >= side {
                outside += weight;
                continue;
            }
            masses[row / per_cell * NUM_CELLS + column / per_cell] += weight;
            let right = if column + 1 < side { energy.get(index + 1) } else { None };
            let steps = [right, energy.get(index + side)].into_iter().flatten();
            let steps = steps.map(|next| f64::from((next - energy[index]).abs()));
            let largest = steps.filter(|step| step.is_finite()).fold(0.0, f64::max);
            if inverse_temperature * largest > MAX_CHANGE {
                unknown += weight;
            }
        }
        let total = masses.iter().sum::<f64>() + outside;
        if !total.is_normal() {
            return Err(NoMasses::NoEnergy);
        }
        if unknown > MAX_UNKNOWN * total {
            return Err(NoMasses::TooNarrow);
        }
        masses.iter_mut().for_each(|mass| *mass /= total);
        Ok(Self { masses, outside: outside / total })
    }

    /// The marginal masses of columns (axis 0) or rows (axis 1).
    pub fn marginal(&self, axis: usize) -> Vec<f64> {
        let mut marginal = vec![0.0; NUM_CELLS];
        for (index, mass) in self.masses.iter().enumerate() {
            let place = if axis == 0 { index % NUM_CELLS } else { index / NUM_CELLS };
            marginal[place] += mass;
        }
        marginal
    }

    /// The total variation distance between the points' shares of the cells and these masses, `½ Σ |share - mass|`,
    /// from 0 to 1. The outside of the plane counts as one cell.
    ///
    /// # Shapes
    /// `points`: (N, 2), flattened.
    pub fn total_variation(&self, points: &[f32]) -> f64 {
        let mut counts = vec![0u32; self.masses.len()];
        let num_points = points.len() / 2;
        let mut num_outside = 0;
        for point in points.chunks_exact(2) {
            match (cell_of(point[0]), cell_of(point[1])) {
                (Some(column), Some(row)) => counts[row * NUM_CELLS + column] += 1,
                _ => num_outside += 1,
            }
        }
        let share = |count: u32| f64::from(count) / num_points.max(1) as f64;
        let apart = self.masses.iter().zip(counts).map(|(mass, count)| (share(count) - mass).abs());
        0.5 * (apart.sum::<f64>() + (share(num_outside) - self.outside).abs())
    }

    /// The mean total variation of this number of independent exact draws: the part that is due to chance.
    ///
    /// # Source
    /// De Moivre's mean deviation of a binomial count: Diaconis & Zabell, Statistical Science 6(3), 1991.
    pub fn expected_total_variation(&self, num_points: usize) -> f64 {
        let n = num_points as f64;
        let mean_deviation = |&mass: &f64| {
            if mass <= 0.0 || mass >= 1.0 {
                return 0.0;
            }
            let above = (n * mass).floor() + 1.0;
            let log_choose = ln_gamma(n + 1.0) - ln_gamma(above + 1.0) - ln_gamma(n - above + 1.0);
            let log_prob = log_choose + above * mass.ln() + (n - above) * (-mass).ln_1p();
            2.0 * above * (1.0 - mass) * log_prob.exp() / n
        };
        0.5 * self.masses.iter().chain([&self.outside]).map(mean_deviation).sum::<f64>()
    }
}

/// The masses of p ∝ exp(-β E) in the squares of each class, as shares of the mass in the plane; `None` without a density.
///
/// # Shapes
/// `energy` and `classes`: (side, side).
#[cfg(feature = "gui")]
pub(crate) fn masses_of_classes(
    energy: &[f32],
    classes: &[u8],
    num_classes: usize,
    inverse_temperature: f64,
) -> Option<Vec<f64>> {
    let mut masses = vec![0.0; num_classes];
    for (weight, &class) in weights(energy, &[], inverse_temperature).zip(classes) {
        *masses.get_mut(class as usize)? += weight;
    }
    let total: f64 = masses.iter().sum();
    masses.iter_mut().for_each(|mass| *mass /= total);
    total.is_normal().then_some(masses)
}

/// The share of points in each of [`NUM_CELLS`] columns (axis 0) or rows (axis 1).
///
/// # Shapes
/// `points`: (N, 2), flattened.
#[cfg(feature = "gui")]
pub(crate) fn marginal_of_points(points: &[f32], axis: usize) -> Vec<f64> {
    let mut shares = vec![0.0; NUM_CELLS];
    let part = 2.0 / points.len().max(2) as f64;
    for cell in points.chunks_exact(2).filter_map(|point| cell_of(point[axis])) {
        shares[cell] += part;
    }
    shares
}

/// Exact draws from p ∝ exp(-E), up to the resolution of [`grid`] and [`surroundings`]: one point per three numbers
/// in [0, 1).
///
/// # Shapes
/// `energy`: (side, side).
pub fn draw<'a>(
    energy: &[f32],
    around: &[f32],
    uniforms: impl Iterator<Item = [f64; 3]> + 'a,
) -> impl Iterator<Item = [f32; 2]> + 'a {
    let side = energy.len().isqrt();
    let mut total = 0.0;
    let cumulative: Vec<f64> = weights(energy, around, 1.0)
        .map(|weight| {
            total += weight;
            total
        })
        .collect();
    let squares = grid(side).map(|at| (at, side));
    let farther = surroundings().take(around.len()).map(|at| (at, NUM_CELLS));
    let squares: Vec<([f32; 2], usize)> = squares.chain(farther).collect();
    uniforms.map(move |[u, v, w]| {
        let square = cumulative.partition_point(|&sum| sum <= u * total);
        let (middle, per_side) = squares[square.min(squares.len() - 1)];
        let half = EXTENT / per_side as f32;
        [middle[0] + half * (2.0 * v as f32 - 1.0), middle[1] + half * (2.0 * w as f32 - 1.0)]
    })
}
