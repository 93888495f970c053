//! Numbers within bounds that may cross.

/// `value`, at least `least`, and at most `most` whatever `least` says: where a window is too small for both,
/// nothing takes more room than there is. What is no number becomes `least`.
///
/// `clamp` ends the program where its bounds cross, as they do in a window that is small enough, and lets pass
/// what is no number.
pub(super) fn fit<T: PartialOrd>(value: T, least: T, most: T) -> T {
    let value = if value >= least { value } else { least };
    if value <= most { value } else { most }
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
