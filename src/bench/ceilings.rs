//! What a device could do at best: two micro-kernels.

use burn::tensor::Tensor;
use serde::Serialize;

use super::millis;
use crate::{device::ComputeDevice, kernels};

/// Rates that no network exceeds on this device.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Ceilings {
    /// Fused multiplications and additions in registers, in 10⁹ operations a second (two each).
    pub fma_gflops: f64,
    /// Copying 64 MiB, in 10⁹ bytes a second, read and written bytes both counted.
    pub copy_gb_per_s: f64,
}

const FMA_VALUES: usize = 1 << 18;
const COPY_VALUES: usize = 1 << 24;
const REPETITIONS: usize = 5;
/// A kernel shorter than this measures its launch.
const MIN_MILLIS: f64 = 20.0;

impl Ceilings {
    /// The best of a few runs each, well under a second in all.
    pub fn measure(device: &ComputeDevice) -> Self {
        let values = Tensor::<1>::ones([FMA_VALUES], &device.device);
        let time = |rounds: u32| {
            best(|| {
                let result = kernels::fma_rate(values.clone(), rounds, 0.999, 0.001);
                device.wait(result);
            })
        };
        let mut rounds = 64;
        while time(rounds) < MIN_MILLIS && rounds < 1 << 20 {
            rounds *= 4;
        }
        let operations = 2.0 * FMA_VALUES as f64 * f64::from(rounds);
        let fma_gflops = operations / time(rounds) / 1e6;
        let values = Tensor::<1>::ones([COPY_VALUES], &device.device);
        let bytes = (2 * COPY_VALUES * size_of::<f32>()) as f64;
        let copy_gb_per_s = bytes / best(|| device.wait(kernels::copy_rate(&values))) / 1e6;
        Self { fma_gflops, copy_gb_per_s }
    }
}

fn best(work: impl Fn()) -> f64 {
    work();
    (0..REPETITIONS).map(|_| millis(&work)).fold(f64::INFINITY, f64::min)
}
