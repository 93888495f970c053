//! Compiles a loop for each level of SIMD instructions and runs the best version for the CPU.

use pulp::{Arch, Simd, WithSimd};

struct Work<F>(F);

impl<R, F: FnMut() -> R> WithSimd for Work<F> {
    type Output = R;

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _simd: S) -> R {
        (self.0)()
    }
}

/// Runs `work()` with its loops compiled to SIMD instructions.
///
/// `work` and all functions that it calls in loops must be `#[inline(always)]`, or they are not vectorised. It is
/// called as `FnMut`, because a closure passed as `FnOnce` goes through a shim that is never inlined.
#[inline(always)]
pub(crate) fn vectorize<R>(work: impl FnMut() -> R) -> R {
    Arch::new().dispatch(Work(work))
}
