//! Compiles a loop for each level of SIMD instructions and runs the best version for the CPU.

use pulp::{Arch, Scalar128b, Simd, WithSimd};

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

/// Work on vectors, at least four values wide.
struct Wide<W>(W);

impl<W: WithSimd> WithSimd for Wide<W> {
    type Output = W::Output;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> W::Output {
        if S::IS_SCALAR { self.0.with_simd(Scalar128b) } else { self.0.with_simd(simd) }
    }
}

/// Runs `work` on vectors as wide as those of the CPU: 16 values with AVX-512, 8 with AVX2, 4 with NEON, in WebAssembly,
/// and where nothing is known. What it calls must be `#[inline(always)]`.
#[inline(always)]
pub(super) fn with_vectors<W: WithSimd>(work: W) -> W::Output {
    Arch::new().dispatch(Wide(work))
}
