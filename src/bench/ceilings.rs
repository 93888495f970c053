//! The peak rates of a device, measured with two micro-benchmarks.

use std::time::Instant;

use burn::tensor::Tensor;
use jempp_cpu::reference::FMA_PER_ROUND;
use serde::Serialize;

use crate::{device::ComputeDevice, kernels};

/// Upper limits for the speed of any network on this device.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Ceilings {
    /// Fused multiply-adds in registers, in 10⁹ operations per second (two per fused multiply-add).
    pub fma_gflops: f64,
    /// The memory bandwidth of copying 64 MiB, in 10⁹ bytes per second, with read and written bytes both counted.
    pub copy_gb_per_s: f64,
}

/// The values on which a GPU multiplies and adds: 16 in each of 2^20 invocations, enough to fill the largest GPU.
const GPU_FMA_VALUES: usize = 1 << 24;
/// The same on the CPU, also when it imitates a GPU: few enough to stay in its caches.
const CPU_FMA_VALUES: usize = 1 << 18;
const COPY_VALUES: usize = 1 << 24;
const REPETITIONS: usize = 5;
/// The shortest run that is timed. In a shorter one, the time for launching the kernels counts too much, and so does the
/// time for loading the values that are multiplied.
const MIN_MILLIS: f64 = 100.0;
/// The most work in one run. A device reaches it only if it failed and does nothing.
const MAX_AMOUNT: u32 = 1 << 16;

impl Ceilings {
    /// Measures the best of a few runs of each, in about two seconds in total.
    pub(crate) fn measure(device: &ComputeDevice) -> Self {
        let ones = |len: usize| Tensor::<1>::ones([len], &device.device);
        let num_values = match device.is_cpu() || device.is_software_adapter() {
            true => CPU_FMA_VALUES,
            false => GPU_FMA_VALUES,
        };
        let rounds_per_ms = best_rate(device, ones(num_values), |values, rounds| {
            kernels::fma_rate(values, rounds, 0.999, 0.001)
        });
        let operations_per_round = (2 * num_values) as f64 * f64::from(FMA_PER_ROUND);
        let pair = [ones(COPY_VALUES), ones(COPY_VALUES)];
        let copies_per_ms = best_rate(device, pair, |pair, copies| {
            (0..copies).fold(pair, |pair, _| kernels::copy_rate(pair))
        });
        let bytes_per_copy = (2 * COPY_VALUES * size_of::<f32>()) as f64;
        Self {
            fma_gflops: operations_per_round * rounds_per_ms / 1e6,
            copy_gb_per_s: bytes_per_copy * copies_per_ms / 1e6,
        }
    }
}

/// How much of `work` the device does in a millisecond, in the fastest of a few runs. `work(state, amount)` does `amount`
/// of it on the result of the run before. The amount is doubled until a run is long enough.
fn best_rate<T>(device: &ComputeDevice, state: T, work: impl Fn(T, u32) -> T) -> f64 {
    let mut state = Some(state);
    let mut millis_of = |amount| {
        device.wait(());
        let begin = Instant::now();
        state = state.take().map(|state| work(state, amount));
        device.wait(());
        begin.elapsed().as_secs_f64() * 1e3
    };
    let mut amount = 1;
    // The first run also compiles the kernel.
    millis_of(amount);
    let mut fastest = millis_of(amount);
    while fastest < MIN_MILLIS && amount < MAX_AMOUNT {
        amount *= 2;
        fastest = millis_of(amount);
    }
    for _ in 1..REPETITIONS {
        fastest = fastest.min(millis_of(amount));
    }
    f64::from(amount) / fastest
}
