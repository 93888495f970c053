//! Compiles work once for each level of vector instructions and runs the best the CPU has.

use pulp::{Arch, Simd, WithSimd};

struct Work<F>(F);

impl<R, F: FnMut() -> R> WithSimd for Work<F> {
    type Output = R;

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _simd: S) -> R {
        (self.0)()
    }
}

/// `work()`, its loops turned into vector instructions.
///
/// `work` and all it calls in loops must be `#[inline(always)]`, or the compiler leaves them outside.
/// It is called as `FnMut`: a closure handed on as `FnOnce` goes through a shim that is never inlined.
#[inline(always)]
pub fn vectorize<R>(work: impl FnMut() -> R) -> R {
    Arch::new().dispatch(Work(work))
}
