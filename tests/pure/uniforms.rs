//! The random numbers of the scripts that make golden numbers.

/// Numbers in (0, 1): the generator of `golden.py`.
pub struct Uniforms(pub u64);

impl Uniforms {
    pub fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// A sum of 12, less 6: nearly normal.
    pub fn normal(&mut self) -> f64 {
        (0..12).fold(-6.0, |sum, _| sum + self.next())
    }
}
