//! The analytic densities of the lab.

use jempp_cpu::reference::DensityForm;
use std::f32::consts::{PI, TAU};

use crate::config::{LabConfig, LabTarget};

/// The number of Gaussians along each of the two moons: enough to look continuous.
const PER_MOON: usize = 24;
/// The standard deviation of a brush dab.
const DAB: f32 = 0.07;

/// An analytic density, with the class of each of its Gaussians.
pub(super) struct Analytic {
    pub form: DensityForm,
    /// The class of each Gaussian of a mixture; empty for other densities.
    classes: Vec<u32>,
}

impl Analytic {
    /// The density that a configuration names; `None` for the density of a network.
    pub(super) fn of(config: &LabConfig) -> Option<Self> {
        let width = config.width as f32;
        let row = DensityForm::row;
        let mixture =
            |rows: Vec<[f32; 6]>, classes| Self { form: DensityForm::Mixture(rows), classes };
        let single = |form| Self { form, classes: Vec::new() };
        Some(match config.target {
            LabTarget::Gaussian => {
                mixture(vec![row(1.0, [0.0, 0.0], [0.36 * width, 0.09 * width], PI / 6.0)], vec![0])
            }
            LabTarget::Mixture => mixture(
                vec![
                    row(0.5, [-0.55, -0.3], [0.14 * width; 2], 0.0),
                    row(0.3, [0.5, -0.35], [0.2 * width, 0.09 * width], PI / 4.0),
                    row(0.2, [0.1, 0.6], [0.09 * width; 2], 0.0),
                ],
                vec![0, 1, 2],
            ),
            LabTarget::Ring => single(DensityForm::Ring { radius: 0.65, width: 0.07 * width }),
            LabTarget::Banana => single(DensityForm::Banana {
                along: 0.36,
                across: 0.08 * width,
                bend: 1.5,
                shift: -0.4,
            }),
            LabTarget::TwoMoons => {
                // Like the data set of the same name, with its uniform angle approximated by Gaussians.
                let moon = |nth: usize| {
                    let class = nth / PER_MOON;
                    let angle = PI * ((nth % PER_MOON) as f32 + 0.5) / PER_MOON as f32;
                    let (sign, shift) = if class == 0 { (1.0, -0.25) } else { (-1.0, 0.25) };
                    let mean =
                        [0.5 * sign * angle.cos() + shift, sign * (0.5 * angle.sin() - 0.125)];
                    (row(1.0 / (2 * PER_MOON) as f32, mean, [0.05 * width; 2], 0.0), class as u32)
                };
                let (rows, classes) = (0..2 * PER_MOON).map(moon).unzip();
                mixture(rows, classes)
            }
            LabTarget::EightGaussians => {
                let gaussian = |class: u32| {
                    let angle = TAU * class as f32 / 8.0;
                    let mean = [0.7 * angle.cos(), 0.7 * angle.sin()];
                    (row(0.125, mean, [0.06 * width; 2], 0.0), class)
                };
                let (rows, classes) = (0..8).map(gaussian).unzip();
                mixture(rows, classes)
            }
            LabTarget::Funnel => {
                single(DensityForm::Funnel { along: 0.35, across: 0.09 * width, bend: 1.9 })
            }
            LabTarget::Painted => {
                let std = [DAB * width; 2];
                let mut rows: Vec<[f32; 6]> =
                    config.dabs().map(|dab| row(1.0, dab, std, 0.0)).collect();
                if rows.is_empty() {
                    // A wide Gaussian as the density until the first dab.
                    rows.push(row(1.0, [0.0, 0.0], [0.4, 0.4], 0.0));
                }
                let classes = vec![0; rows.len()];
                mixture(rows, classes)
            }
            LabTarget::Model | LabTarget::Learned => return None,
        })
    }

    /// The number of classes.
    pub(super) fn num_classes(&self) -> u32 {
        self.classes.iter().max().map_or(1, |largest| largest + 1)
    }

    /// The class of the Gaussian that most probably produced a point.
    pub(super) fn class_of(&self, point: [f32; 2]) -> u32 {
        let DensityForm::Mixture(rows) = &self.form else { return 0 };
        if self.classes.iter().all(|class| *class == 0) {
            return 0;
        }
        let term = |&[log_weight, x, y, a, b, c]: &[f32; 6]| {
            let d = [point[0] - x, point[1] - y];
            log_weight - 0.5 * (a * d[0] * d[0] + 2.0 * b * d[0] * d[1] + c * d[1] * d[1])
        };
        let terms = rows.iter().map(term).zip(&self.classes);
        terms.max_by(|a, b| a.0.total_cmp(&b.0)).map_or(0, |best| *best.1)
    }
}
