//! A density of the plane cut into cells: what an energy puts into each, and how far points are from that.

use statrs::function::gamma::ln_gamma;

/// Half the side of the square that is looked at, in units of x: the box [-1, 1] and half as much around it.
pub const EXTENT: f32 = 1.5;
/// Cells along a side. With 2,000 points of eight Gaussians chance alone makes a total variation of 0.095.
pub const NUM_CELLS: usize = 36;

/// Centres of `side` × `side` squares that tile the plane, row by row from below.
pub fn grid(side: usize) -> impl Iterator<Item = [f32; 2]> {
    let along = move |index: usize| EXTENT * ((2 * index + 1) as f32 / side as f32 - 1.0);
    (0..side * side).map(move |index| [along(index % side), along(index / side)])
}

/// The cell of a coordinate, where it lies in the plane.
fn cell_of(value: f32) -> Option<usize> {
    let place = (value / EXTENT + 1.0) * 0.5 * NUM_CELLS as f32;
    (0.0..NUM_CELLS as f32).contains(&place).then_some(place as usize)
}

/// Weights exp(-β (E - min E)) of squares of equal size; not normalised. Energies that are no numbers weigh
/// nothing.
fn weights(energy: &[f32], inverse_temperature: f64) -> impl Iterator<Item = f64> {
    let least = energy.iter().copied().filter(|e| e.is_finite()).fold(f32::INFINITY, f32::min);
    energy.iter().map(move |&energy| match energy.is_finite() {
        true => (-inverse_temperature * f64::from(energy - least)).exp(),
        false => 0.0,
    })
}

/// The mass of a density in each cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Cells {
    /// Shape (rows from below, columns), [`NUM_CELLS`] each; they add up to 1.
    pub masses: Vec<f64>,
}

impl Cells {
    /// p ∝ exp(-β E) of energies on [`grid`]: the midpoint rule. `None` where β is no finite number, and there
    /// is no density.
    ///
    /// # Shapes
    /// `energy`: (side, side), side a multiple of [`NUM_CELLS`].
    pub fn of_energy(energy: &[f32], inverse_temperature: f64) -> Option<Self> {
        let side = energy.len().isqrt();
        let per_cell = side / NUM_CELLS;
        if !inverse_temperature.is_finite() || per_cell == 0 {
            return None;
        }
        let mut masses = vec![0.0; NUM_CELLS * NUM_CELLS];
        for (index, weight) in weights(energy, inverse_temperature).enumerate() {
            let (row, column) = (index / side / per_cell, index % side / per_cell);
            if row < NUM_CELLS && column < NUM_CELLS {
                masses[row * NUM_CELLS + column] += weight;
            }
        }
        let total: f64 = masses.iter().sum();
        masses.iter_mut().for_each(|mass| *mass /= total);
        total.is_normal().then_some(Self { masses })
    }

    /// Masses of columns (axis 0) or rows (axis 1).
    pub fn marginal(&self, axis: usize) -> Vec<f64> {
        let mut marginal = vec![0.0; NUM_CELLS];
        for (index, mass) in self.masses.iter().enumerate() {
            let place = if axis == 0 { index % NUM_CELLS } else { index / NUM_CELLS };
            marginal[place] += mass;
        }
        marginal
    }

    /// Total variation between the points' shares of the cells and these masses:
    /// `½ Σ |share - mass|`, from 0 to 1. What lies outside the plane is a cell of its own, of no mass.
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
        0.5 * (apart.sum::<f64>() + share(num_outside))
    }

    /// The total variation that so many independent exact draws have on average: what chance alone makes.
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
        0.5 * self.masses.iter().map(mean_deviation).sum::<f64>()
    }
}

/// The share of points in each of [`NUM_CELLS`] columns (axis 0) or rows (axis 1).
///
/// # Shapes
/// `points`: (N, 2), flattened.
pub fn marginal_of_points(points: &[f32], axis: usize) -> Vec<f64> {
    let mut shares = vec![0.0; NUM_CELLS];
    let part = 2.0 / points.len().max(2) as f64;
    for cell in points.chunks_exact(2).filter_map(|point| cell_of(point[axis])) {
        shares[cell] += part;
    }
    shares
}

/// Exact draws of p ∝ exp(-E), up to the squares of the grid: one point of the plane for every three numbers
/// in [0, 1).
///
/// # Shapes
/// `energy`: (side, side) on [`grid`].
pub fn draw<'a>(
    energy: &[f32],
    uniforms: impl Iterator<Item = [f64; 3]> + 'a,
) -> impl Iterator<Item = [f32; 2]> + 'a {
    let side = energy.len().isqrt();
    let mut total = 0.0;
    let cumulative: Vec<f64> = weights(energy, 1.0)
        .map(|weight| {
            total += weight;
            total
        })
        .collect();
    uniforms.map(move |[u, v, w]| {
        let square = cumulative.partition_point(|&sum| sum <= u * total);
        let square = square.min(cumulative.len().saturating_sub(1));
        let along = |index: usize, within: f64| {
            EXTENT * (2.0 * (index as f32 + within as f32) / side as f32 - 1.0)
        };
        [along(square % side, v), along(square / side, w)]
    })
}
