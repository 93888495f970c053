//! Compiles a loop for each level of SIMD instructions and runs the best version for the CPU.

use pulp::{Arch, Simd, WithSimd};

struct Work<F>(F);

impl<R, F: FnMut(usize) -> R> WithSimd for Work<F> {
    type Output = R;

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _simd: S) -> R {
        (self.0)(S::F32_LANES)
    }
}

/// Runs `work()` with its loops compiled to SIMD instructions.
///
/// `work` and all functions that it calls in loops must be `#[inline(always)]`, or they are not vectorised. It is
/// called as `FnMut`, because a closure passed as `FnOnce` goes through a shim that is never inlined.
#[inline(always)]
pub(crate) fn vectorize<R>(mut work: impl FnMut() -> R) -> R {
    vectorize_lanes(
        #[inline(always)]
        |_| work(),
    )
}

/// The same as [`vectorize`], for work that has to know how many floats a vector of the CPU holds: 16 with AVX-512, 8
/// with AVX2, 4 with NEON and in WebAssembly, and 1 if nothing is known. It is a constant in each compiled version.
#[inline(always)]
pub(super) fn vectorize_lanes<R>(work: impl FnMut(usize) -> R) -> R {
    Arch::new().dispatch(Work(work))
}
