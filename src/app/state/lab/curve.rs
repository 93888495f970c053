//! A curve of a number over steps, limited in memory.

/// The maximum number of points of a curve. Beyond it, every second point is dropped.
const MAX_POINTS: usize = 2000;

/// A curve over steps, which is thinned out as it grows.
#[derive(Clone, Debug, Default)]
pub(in crate::app) struct Curve {
    points: Vec<[f64; 2]>,
    newest: Option<f64>,
    /// Every `stride`-th point is kept; `skipped` counts the points since the last kept one.
    stride: usize,
    skipped: usize,
}

impl Curve {
    pub(in crate::app) fn push(&mut self, step: f64, value: f64) {
        self.newest = Some(value);
        self.skipped += 1;
        if self.skipped < self.stride {
            return;
        }
        self.skipped = 0;
        self.points.push([step, value]);
        if self.points.len() > MAX_POINTS {
            let mut index = 0;
            self.points.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.stride = 2 * self.stride.max(1);
        }
    }

    /// The points (step, value).
    pub(in crate::app) fn points(&self) -> &[[f64; 2]] {
        &self.points
    }

    /// The newest value, even if it was skipped.
    pub(in crate::app) fn last(&self) -> Option<f64> {
        self.newest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_curve_is_thinned_out_and_still_knows_its_newest_value() {
        let mut curve = Curve::default();
        for step in 0..50_000 {
            curve.push(f64::from(step), f64::from(2 * step));
            assert_eq!(curve.last(), Some(f64::from(2 * step)));
        }
        let points = curve.points();
        assert!((MAX_POINTS / 2..=MAX_POINTS).contains(&points.len()), "{}", points.len());
        let apart: Vec<f64> = points.windows(2).map(|pair| pair[1][0] - pair[0][0]).collect();
        assert!(apart.iter().all(|next| *next == apart[0]), "evenly");
        assert!(points.iter().all(|point| point[1] == 2.0 * point[0]));
    }
}
