//! Lanes of neighbouring channels, on which the transforms work.

use std::ops::{Add, Mul, Sub};

use pulp::Simd;

/// The most values that a vector of any CPU holds.
pub(super) const MAX_LANES: usize = 16;

/// As many neighbouring values as a vector of the CPU holds.
#[derive(Clone, Copy)]
pub(super) struct Lanes<S: Simd> {
    simd: S,
    values: S::f32s,
}

impl<S: Simd> Lanes<S> {
    pub(super) const LEN: usize = S::F32_LANES;

    #[inline(always)]
    pub(super) fn zero(simd: S) -> Self {
        Self { simd, values: simd.splat_f32s(0.0) }
    }

    #[inline(always)]
    pub(super) fn load(simd: S, values: &[f32], begin: usize) -> Self {
        let from = &values[begin..begin + Self::LEN];
        Self { simd, values: bytemuck::pod_read_unaligned(bytemuck::cast_slice(from)) }
    }

    #[inline(always)]
    pub(super) fn store(self, values: &mut [f32], begin: usize) {
        let to = &mut values[begin..begin + Self::LEN];
        to.copy_from_slice(bytemuck::cast_slice(std::slice::from_ref(&self.values)));
    }

    /// `self + factor · other`, fused where the CPU can.
    #[inline(always)]
    pub(super) fn plus(self, factor: f32, other: Self) -> Self {
        let factor = self.simd.splat_f32s(factor);
        let values = self.simd.mul_add_e_f32s(factor, other.values, self.values);
        Self { values, ..self }
    }
}

impl<S: Simd> Add for Lanes<S> {
    type Output = Self;

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self { values: self.simd.add_f32s(self.values, other.values), ..self }
    }
}

impl<S: Simd> Sub for Lanes<S> {
    type Output = Self;

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self { values: self.simd.sub_f32s(self.values, other.values), ..self }
    }
}

impl<S: Simd> Mul<Lanes<S>> for f32 {
    type Output = Lanes<S>;

    #[inline(always)]
    fn mul(self, lanes: Lanes<S>) -> Lanes<S> {
        let factor = lanes.simd.splat_f32s(self);
        Lanes { values: lanes.simd.mul_f32s(factor, lanes.values), ..lanes }
    }
}

/// Where the lanes of `len` neighbouring values begin. The last ones overlap those before if a vector does not divide
/// `len`; there must be enough for one vector.
#[inline(always)]
pub(super) fn begins<S: Simd>(len: usize) -> impl Iterator<Item = usize> {
    (0..len).step_by(S::F32_LANES).map(move |begin| begin.min(len - S::F32_LANES))
}

/// A block of lanes, stored in columns. It starts at a line of the cache, so that no vector lies in two.
#[repr(align(64))]
pub(super) struct Block<S: Simd, const H: usize, const W: usize>(pub [[Lanes<S>; H]; W]);

impl<S: Simd, const H: usize, const W: usize> Block<S, H, W> {
    #[inline(always)]
    pub(super) fn zero(simd: S) -> Self {
        Self([[Lanes::zero(simd); H]; W])
    }

    /// Row `i`. (`array::map` would be a call that is not inlined.)
    #[inline(always)]
    pub(super) fn row(&self, i: usize) -> [Lanes<S>; W] {
        let mut row = [self.0[0][i]; W];
        for (value, column) in row.iter_mut().zip(&self.0) {
            *value = column[i];
        }
        row
    }
}

/// A one-dimensional transform of lanes. (A function passed as a value would be called through a shim that is not
/// inlined.)
pub(super) trait Transform<const FROM: usize, const TO: usize> {
    fn apply<S: Simd>(values: [Lanes<S>; FROM]) -> [Lanes<S>; TO];
}
