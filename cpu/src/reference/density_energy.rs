//! CPU twins of the density kernel: energies of analytic 2-D densities.

/// An analytic 2-D density with its parameters.
#[derive(Clone, Debug, PartialEq)]
pub enum DensityForm {
    /// A mixture of Gaussians, one row each: log weight with its normaliser, mean, precision xx, xy, yy.
    Mixture(Vec<[f32; 6]>),
    /// A ring around the origin.
    Ring {
        /// The radius of the ring, in units of x.
        radius: f32,
        /// The standard deviation across the ring.
        width: f32,
    },
    /// The banana: a valley that is bent like a parabola.
    Banana {
        /// Standard deviation of x0.
        along: f32,
        /// Standard deviation of x1 around the valley.
        across: f32,
        /// The curvature: the factor on x0² in the x1 of the valley.
        bend: f32,
        /// The x1 of the valley at x0 = 0.
        shift: f32,
    },
    /// Neal's funnel: a valley that becomes exponentially narrower as x1 falls.
    Funnel {
        /// Standard deviation of x1.
        along: f32,
        /// Standard deviation of x0 at x1 = 0.
        across: f32,
        /// The growth of the logarithm of that standard deviation with x1.
        bend: f32,
    },
}

impl DensityForm {
    /// The row of a Gaussian, from its weight, its mean and the standard deviations along two axes; the first axis has
    /// the angle `angle` to x0.
    pub fn row(weight: f32, mean: [f32; 2], std: [f32; 2], angle: f32) -> [f32; 6] {
        let (sin, cos) = angle.sin_cos();
        let [p, q] = std.map(|std| 1.0 / (std * std));
        let log_weight = weight.ln() - (std[0] * std[1]).ln();
        [
            log_weight,
            mean[0],
            mean[1],
            p * cos * cos + q * sin * sin,
            (p - q) * sin * cos,
            p * sin * sin + q * cos * cos,
        ]
    }

    /// The number of the form and the table, as the shader takes them.
    pub fn table(&self) -> (u32, Vec<[f32; 6]>) {
        match *self {
            Self::Mixture(ref rows) => (0, rows.clone()),
            Self::Ring { radius, width } => (1, vec![[radius, width, 0.0, 0.0, 0.0, 0.0]]),
            Self::Banana { along, across, bend, shift } => {
                (2, vec![[along, across, bend, shift, 0.0, 0.0]])
            }
            Self::Funnel { along, across, bend } => (3, vec![[along, across, bend, 0.0, 0.0, 0.0]]),
        }
    }
}

/// Energy and gradient at one point, all NaN if a coordinate is; twin of `shaders/density_energy.wgsl`.
pub fn density_energy([x, y]: [f32; 2], form: &DensityForm) -> (f32, [f32; 2]) {
    // `f32::max` and `hypot` would turn some NaNs into numbers.
    if x.is_nan() || y.is_nan() {
        return (f32::NAN, [f32::NAN; 2]);
    }
    match *form {
        DensityForm::Mixture(ref rows) => mixture_energy([x, y], rows),
        DensityForm::Ring { radius, width } => {
            let size = x.hypot(y).max(1e-6);
            let off = (size - radius) / (width * width);
            (0.5 * off * (size - radius), [off * x / size, off * y / size])
        }
        DensityForm::Banana { along, across, bend, shift } => {
            let off = y - bend * x * x - shift;
            let pull = off / (across * across);
            let along = x / (along * along);
            (0.5 * (x * along + off * pull), [along - 2.0 * bend * x * pull, pull])
        }
        DensityForm::Funnel { along, across, bend } => {
            let size = across * (bend * y).clamp(-30.0, 30.0).exp();
            let ratio = x / size;
            let along = y / (along * along);
            let energy = 0.5 * (y * along + ratio * ratio) + size.ln();
            (energy, [ratio / size, along + bend * (1.0 - ratio * ratio)])
        }
    }
}

fn mixture_energy(point: [f32; 2], rows: &[[f32; 6]]) -> (f32, [f32; 2]) {
    let (mut largest, mut total, mut slope) = (-3.0e38f32, 0.0f32, [0.0f32; 2]);
    for &[log_weight, mean_x, mean_y, a, b, c] in rows {
        let d = [point[0] - mean_x, point[1] - mean_y];
        let pull = [a * d[0] + b * d[1], b * d[0] + c * d[1]];
        let term = log_weight - 0.5 * (d[0] * pull[0] + d[1] * pull[1]);
        if term > largest {
            let shrink = (largest - term).max(-80.0).exp();
            total *= shrink;
            slope = slope.map(|slope| slope * shrink);
            largest = term;
        }
        // `f32::clamp` keeps a NaN.
        let weight = (term - largest).clamp(-80.0, 0.0).exp();
        total += weight;
        slope = [slope[0] + weight * pull[0], slope[1] + weight * pull[1]];
    }
    (-(largest + total.ln()), slope.map(|slope| slope / total))
}
