//! Arithmetic on rows of logits on the host: log-sum-exp, softmax and argmax.
//!
//! All functions are numerically stable: they subtract the maximum of a row before exponentiation, so that finite
//! logits of any size give finite results. Each function says how it treats an infinity or a NaN.
//!
//! Rows are computed in the precision that the caller chooses, `f32` or `f64`. `jempp_cpu::reference` deliberately has
//! its own arithmetic: a reference must not share code with what it checks.

use std::{
    iter::Sum,
    ops::{Add, Div, Neg, Sub},
};

/// The floating-point type for the computation of a row.
pub trait Real:
    Copy
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + Sum
{
    /// Negative infinity, -∞.
    const NEG_INFINITY: Self;
    /// The exponential function, eˣ.
    fn exp(self) -> Self;
    /// The natural logarithm, ln x.
    fn ln(self) -> Self;
    /// The larger of two numbers; a NaN is ignored.
    fn max(self, other: Self) -> Self;
    /// Whether the number is neither infinite nor NaN.
    fn is_finite(self) -> bool;
    /// Whether the number is NaN.
    fn is_nan(self) -> bool;
}

macro_rules! real {
    ($($float:ident)*) => {$(
        impl Real for $float {
            const NEG_INFINITY: Self = Self::NEG_INFINITY;
            fn exp(self) -> Self {
                self.exp()
            }
            fn ln(self) -> Self {
                self.ln()
            }
            fn max(self, other: Self) -> Self {
                self.max(other)
            }
            fn is_finite(self) -> bool {
                self.is_finite()
            }
            fn is_nan(self) -> bool {
                self.is_nan()
            }
        }
    )*};
}
real!(f32 f64);

/// The maximum of a row, -∞ for an empty one, and Σ exp(x - maximum).
fn largest_and_sum<R: Real, T: Copy + Into<R>>(row: &[T]) -> (R, R) {
    let largest = row.iter().map(|&x| x.into()).fold(R::NEG_INFINITY, R::max);
    (largest, row.iter().map(|&x| (x.into() - largest).exp()).sum())
}

/// The log-sum-exp of a row, log Σ exp(x).
///
/// The result is -∞ for a row that is empty or holds only -∞, ∞ if the row holds an ∞, and NaN if it holds a NaN.
pub fn log_sum_exp<R: Real, T: Copy + Into<R>>(row: &[T]) -> R {
    let (largest, sum) = largest_and_sum(row);
    if largest.is_finite() {
        return largest + sum.ln();
    }
    // x - largest is undefined here, but the sum is defined unless one of its terms is NaN.
    row.iter().map(|&x| x.into()).find(|x| x.is_nan()).unwrap_or(largest)
}

/// The softmax of a row, exp(x) / Σ exp(x): probabilities that sum to 1. Equal numbers give exactly equal
/// probabilities, so that rounding never moves one across a bin edge.
///
/// All values are NaN if the row holds a NaN or an ∞, or only -∞.
pub fn softmax<R: Real, T: Copy + Into<R>>(row: &[T]) -> Vec<R> {
    let (largest, sum) = largest_and_sum(row);
    row.iter().map(|&x| (x.into() - largest).exp() / sum).collect()
}

/// p(y|x) of one image: the softmax of its logits, divided by the temperature of the model if it has one.
pub fn class_probabilities(logits: &[f32], temperature: Option<f64>) -> Vec<f32> {
    let scaled = |temperature: f64| {
        let divided = logits.iter().map(|&logit| (f64::from(logit) / temperature) as f32);
        softmax(&divided.collect::<Vec<f32>>())
    };
    temperature.map_or_else(|| softmax(logits), scaled)
}

/// The softmax of each row of a matrix (N, columns), flattened.
pub fn softmax_rows<R: Real, T: Copy + Into<R>>(values: &[T], num_columns: usize) -> Vec<R> {
    values.chunks(num_columns).flat_map(softmax).collect()
}

/// The index of the maximum of a row; of equal values, the last. A NaN is ignored; `None` for a row without numbers.
pub fn argmax<T: PartialOrd>(row: &[T]) -> Option<usize> {
    let numbers = row.iter().enumerate().filter(|(_, x)| x.partial_cmp(x).is_some());
    let best = numbers.reduce(|best, next| if next.1 >= best.1 { next } else { best });
    best.map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INF: f64 = f64::INFINITY;

    #[test]
    fn values_are_those_of_the_formulas() {
        let row = [0.5f64, -1.0, 2.0];
        let total: f64 = row.iter().map(|x| x.exp()).sum();
        assert!((log_sum_exp::<f64, _>(&row) - total.ln()).abs() < 1e-15);
        for (p, x) in softmax::<f64, _>(&row).into_iter().zip(row) {
            assert!((p - x.exp() / total).abs() < 1e-15);
        }
        let narrow = row.map(|x| x as f32);
        assert!((log_sum_exp::<f32, _>(&narrow) - total.ln() as f32).abs() < 1e-6);
        assert_eq!(log_sum_exp::<f64, _>(&narrow), log_sum_exp::<f64, _>(&row), "computed in f64");
    }

    #[test]
    fn logits_of_any_size_give_finite_results() {
        for size in [1e3f32, 1e30, f32::MAX] {
            assert_eq!(log_sum_exp::<f32, _>(&[size, -size]), size);
            assert_eq!(softmax::<f32, _>(&[size, -size]), [1.0, 0.0]);
            assert_eq!(log_sum_exp::<f32, _>(&[-size]), -size);
            assert_eq!(softmax::<f64, _>(&[-size, -size]), [0.5, 0.5]);
        }
    }

    #[test]
    fn equal_logits_give_equal_shares() {
        assert_eq!(softmax::<f64, _>(&[0.1f32; 5]), [0.2; 5]);
        assert_eq!(softmax_rows::<f64, _>(&[1e3f32, 1e3, -1e3, 1e3], 2), [0.5, 0.5, 0.0, 1.0]);
    }

    #[test]
    fn infinities_and_nan_do_what_is_said() {
        let row: [f64; 0] = [];
        assert_eq!(log_sum_exp::<f64, _>(&row), -INF);
        assert_eq!(log_sum_exp::<f64, _>(&[-INF, -INF]), -INF);
        assert_eq!(log_sum_exp::<f64, _>(&[-INF, 3.0]), 3.0);
        assert_eq!(log_sum_exp::<f64, _>(&[1.0, INF, INF]), INF);
        for row in [[f64::NAN, 1.0], [1.0, f64::NAN], [INF, f64::NAN], [f64::NAN, -INF]] {
            assert!(log_sum_exp::<f64, _>(&row).is_nan(), "{row:?}");
        }
        assert_eq!(softmax::<f64, _>(&row), row);
        assert_eq!(softmax::<f64, _>(&[-INF, 3.0]), [0.0, 1.0]);
        for row in [[f64::NAN, 1.0], [1.0, INF], [INF, INF], [-INF, -INF]] {
            assert!(softmax::<f64, _>(&row).iter().all(|p| p.is_nan()), "{row:?}");
        }
    }

    #[test]
    fn the_largest_is_the_last_of_equal_ones_and_never_a_nan() {
        assert_eq!(argmax(&[1.0, 3.0, 2.0]), Some(1));
        assert_eq!(argmax(&[3.0, 3.0, 2.0]), Some(1));
        assert_eq!(argmax(&[f32::NAN, 1.0, f32::NAN]), Some(1));
        assert_eq!(argmax(&[f64::NEG_INFINITY]), Some(0));
        assert_eq!(argmax(&[f32::NAN]), None);
        assert_eq!(argmax::<f32>(&[]), None);
    }
}
