//! The random numbers of the scripts that create golden files.

/// Uniform random numbers in (0, 1), from the same generator as in `golden.py`.
pub(crate) struct Uniforms(pub u64);

impl Uniforms {
    pub(crate) fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// An approximately normal number: the sum of 12 uniform numbers minus 6.
    pub(crate) fn normal(&mut self) -> f64 {
        (0..12).fold(-6.0, |sum, _| sum + self.next())
    }
}
