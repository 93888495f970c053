//! 2-D densities with classes: the usual benchmarks of energy-based models, scaled to the box [-1, 1]².
//!
//! # Source
//! Shapes after scikit-learn's `make_moons` and Grathwohl et al., FFJORD (arXiv:1810.01367).

use std::f32::consts::{PI, TAU};

use rand::{Rng, RngExt};

use super::Dataset;
use crate::streams;

/// A density in the plane from which labelled points are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Density {
    /// Two interleaved half circles; 2 classes.
    TwoMoons,
    /// Eight Gaussians on a circle; 8 classes.
    EightGaussians,
    /// Two intertwined spirals; 2 classes.
    Spiral,
    /// Four concentric rings; 4 classes.
    Rings,
    /// The dark squares of a 4 × 4 chessboard; one class per row, so 4 classes.
    Checkerboard,
    /// Five curved blades; 5 classes.
    Pinwheel,
}

impl Density {
    /// The number of classes of the points.
    pub fn num_classes(self) -> usize {
        match self {
            Self::TwoMoons | Self::Spiral => 2,
            Self::Rings | Self::Checkerboard => 4,
            Self::Pinwheel => 5,
            Self::EightGaussians => 8,
        }
    }

    /// Draws `num_points` labelled points, with the classes in turn; `part` is 0 for training and 1 for test.
    pub fn sample(self, num_points: usize, seed: u64, part: u64) -> Dataset {
        let mut rng = streams::DENSITY_POINTS.nth(self as u32).rng(seed, part);
        let num_classes = self.num_classes();
        let mut points = Vec::with_capacity(2 * num_points);
        let mut labels = Vec::with_capacity(num_points);
        for index in 0..num_points {
            let class = index % num_classes;
            let [x, y] = self.point(class, &mut rng);
            points.extend([x.clamp(-1.0, 1.0), y.clamp(-1.0, 1.0)]);
            labels.push(class as u32);
        }
        let class_names = (0..num_classes).map(|class| format!("class {class}")).collect();
        Dataset::unchecked(points, labels, [2, 1, 1], class_names)
    }

    fn point(self, class: usize, rng: &mut impl Rng) -> [f32; 2] {
        match self {
            Self::TwoMoons => {
                let angle = PI * rng.random::<f32>();
                let (sign, shift) = if class == 0 { (1.0, -0.25) } else { (-1.0, 0.25) };
                let x = 0.5 * sign * angle.cos() + shift;
                let y = sign * (0.5 * angle.sin() - 0.125);
                [x + 0.05 * normal(rng), y + 0.05 * normal(rng)]
            }
            Self::EightGaussians => {
                let angle = TAU * class as f32 / 8.0;
                let centre = [0.7 * angle.cos(), 0.7 * angle.sin()];
                centre.map(|value| value + 0.06 * normal(rng))
            }
            Self::Spiral => {
                let turn = rng.random::<f32>().sqrt() * 1.5 * TAU;
                let radius = 0.85 * turn / (1.5 * TAU);
                let angle = turn + PI * class as f32;
                [
                    radius * angle.cos() + 0.03 * normal(rng),
                    radius * angle.sin() + 0.03 * normal(rng),
                ]
            }
            Self::Rings => {
                let angle = TAU * rng.random::<f32>();
                let radius = 0.22 * (class as f32 + 1.0) + 0.03 * normal(rng);
                [radius * angle.cos(), radius * angle.sin()]
            }
            Self::Checkerboard => {
                // The squares have side 0.45.
                let column = 2 * rng.random_range(0..2usize) + class % 2;
                let within = [rng.random::<f32>(), rng.random::<f32>()];
                [0.45 * (column as f32 + within[0]) - 0.9, 0.45 * (class as f32 + within[1]) - 0.9]
            }
            Self::Pinwheel => {
                let along = 0.5 + 0.15 * normal(rng);
                let across = 0.06 * normal(rng);
                let angle = TAU * class as f32 / 5.0 + (2.0 * along).exp() * 0.35;
                let (sin, cos) = angle.sin_cos();
                [along * cos - across * sin, along * sin + across * cos]
            }
        }
    }
}

fn normal(rng: &mut impl Rng) -> f32 {
    let radius = (-2.0 * (1.0 - rng.random::<f32>()).ln()).sqrt();
    radius * (TAU * rng.random::<f32>()).cos()
}
