//! The peak rates of a device, measured with two micro-benchmarks.

use std::time::Instant;

use burn::tensor::Tensor;
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

const FMA_VALUES: usize = 1 << 18;
const COPY_VALUES: usize = 1 << 24;
const REPETITIONS: usize = 5;
/// The shortest kernel that is timed: in a shorter one, the launch overhead dominates.
const MIN_MILLIS: f64 = 20.0;

impl Ceilings {
    /// Measures the best of a few runs of each, in about a second in total.
    pub(crate) fn measure(device: &ComputeDevice) -> Self {
        let ones = |len: usize| Tensor::<1>::ones([len], &device.device);
        let time = |rounds: u32| {
            let work = |values| kernels::fma_rate(values, rounds, 0.999, 0.001);
            best(device, ones(FMA_VALUES), work)
        };
        let mut rounds = 64;
        while time(rounds) < MIN_MILLIS && rounds < 1 << 20 {
            rounds *= 4;
        }
        let operations = 2.0 * FMA_VALUES as f64 * f64::from(rounds);
        let fma_gflops = operations / time(rounds) / 1e6;
        let bytes = (2 * COPY_VALUES * size_of::<f32>()) as f64;
        let pair = [ones(COPY_VALUES), ones(COPY_VALUES)];
        let copy_gb_per_s = bytes / best(device, pair, kernels::copy_rate) / 1e6;
        Self { fma_gflops, copy_gb_per_s }
    }
}

/// The milliseconds of the fastest of a few runs of `work`; each run takes the result of the previous one.
fn best<T>(device: &ComputeDevice, state: T, work: impl Fn(T) -> T) -> f64 {
    let mut state = work(state);
    let mut fastest = f64::INFINITY;
    for _ in 0..REPETITIONS {
        device.wait(());
        let begin = Instant::now();
        state = work(state);
        device.wait(());
        fastest = fastest.min(begin.elapsed().as_secs_f64() * 1e3);
    }
    fastest
}
