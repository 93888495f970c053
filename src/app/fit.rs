//! Clamping that is safe if the lower bound is above the upper one.

use egui::{Pos2, Rect, pos2};

/// Clamps `value` to at least `least` and at most `most`. If the bounds cross, `most` wins, so that in a window
/// that is too small for both, nothing takes more space than there is. NaN becomes `least`.
///
/// Use this in place of `clamp`, which panics if the bounds cross, as they do in a very small window, and keeps NaN.
pub(super) fn fit<T: PartialOrd>(value: T, least: T, most: T) -> T {
    let value = if value >= least { value } else { least };
    if value <= most { value } else { most }
}

/// The point of a rectangle that is nearest to `point`. Unlike `Rect::clamp`, it does not panic on an empty rectangle.
pub(super) fn nearest_in(rect: Rect, point: Pos2) -> Pos2 {
    pos2(fit(point.x, rect.left(), rect.right()), fit(point.y, rect.top(), rect.bottom()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_that_cross_give_the_upper_one() {
        assert_eq!([-1.0, 0.5, 2.0].map(|value| fit(value, 0.0, 1.0)), [0.0, 0.5, 1.0]);
        assert_eq!([1.0, 250.0, 900.0].map(|value| fit(value, 260.0, 120.0)), [120.0; 3]);
        assert_eq!(fit(f64::NAN, 0.0, 1.0), 0.0);
        assert_eq!(fit(3, 1, 0), 0);
    }
}
