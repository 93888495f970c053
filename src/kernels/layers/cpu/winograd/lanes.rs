//! Lanes of neighbouring channels, on which the transforms work.

/// `N` neighbouring values in memory. The operations are plain loops that are always inlined, so that they become SIMD
/// instructions of the calling function.
#[derive(Clone, Copy)]
pub struct Lanes<const N: usize>(pub [f32; N]);

impl<const N: usize> Lanes<N> {
    pub const ZERO: Self = Self([0.0; N]);

    #[inline(always)]
    pub fn load(values: &[f32], begin: usize) -> Self {
        let mut lanes = [0.0; N];
        let from = &values[begin..begin + N];
        lanes.copy_from_slice(from);
        Self(lanes)
    }

    #[inline(always)]
    pub fn store(self, values: &mut [f32], begin: usize) {
        let to = &mut values[begin..begin + N];
        to.copy_from_slice(&self.0);
    }
}

impl<const N: usize> std::ops::Add for Lanes<N> {
    type Output = Self;

    #[inline(always)]
    fn add(mut self, other: Self) -> Self {
        for lane in 0..N {
            self.0[lane] += other.0[lane];
        }
        self
    }
}

impl<const N: usize> std::ops::Sub for Lanes<N> {
    type Output = Self;

    #[inline(always)]
    fn sub(mut self, other: Self) -> Self {
        for lane in 0..N {
            self.0[lane] -= other.0[lane];
        }
        self
    }
}

impl<const N: usize> std::ops::Mul<Lanes<N>> for f32 {
    type Output = Lanes<N>;

    #[inline(always)]
    fn mul(self, mut lanes: Lanes<N>) -> Lanes<N> {
        for lane in 0..N {
            lanes.0[lane] *= self;
        }
        lanes
    }
}

/// Row `i` of a block that is stored in columns. (`array::map` would be a call that is not inlined.)
#[inline(always)]
pub(super) fn row_of<const N: usize, const H: usize, const W: usize>(
    columns: &[[Lanes<N>; H]; W],
    i: usize,
) -> [Lanes<N>; W] {
    let mut row = [Lanes::ZERO; W];
    for j in 0..W {
        row[j] = columns[j][i];
    }
    row
}

/// A one-dimensional transform of lanes. (A function passed as a value would be called through a shim that is not inlined.)
pub(super) trait Transform<const FROM: usize, const TO: usize> {
    fn apply<const N: usize>(values: [Lanes<N>; FROM]) -> [Lanes<N>; TO];
}
