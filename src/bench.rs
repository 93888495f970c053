//! What a Langevin step costs beside the energy gradient it needs.

use std::{fmt, time::Instant};

use burn::tensor::{Device, Tensor};
use serde::Serialize;

use crate::{
    config::ModelConfig,
    device::ComputeDevice,
    energy::{Energy, JointEnergy},
    kernels::{self, reference::NoiseKey},
    model::{ModelError, Network},
    sampler::{ChainState, Sampler},
};

/// What to time.
#[derive(Clone, Debug)]
pub struct BenchRequest {
    /// Network, as in `model.arch`.
    pub arch: String,
    /// Chains.
    pub batch_size: usize,
    /// Height and width.
    pub image_size: usize,
    /// Timed repetitions.
    pub repetitions: usize,
}

/// Medians in milliseconds, the works taken in turn so that a drift of the machine hits all alike.
#[derive(Clone, Debug, Serialize)]
pub struct BenchReport {
    /// What computed.
    pub device: String,
    /// Network.
    pub arch: String,
    /// Chains.
    pub batch_size: usize,
    /// Height and width.
    pub image_size: usize,
    /// The very first energy gradient of the process, pipelines compiled on the way.
    pub first_gradient_ms: f64,
    /// Logits only.
    pub forward_ms: f64,
    /// One energy gradient.
    pub gradient_ms: f64,
    /// One proximal step with noise.
    pub proximal_step_ms: f64,
    /// Ten proximal steps.
    pub ten_proximal_steps_ms: f64,
    /// Ten PYLD steps with five inner steps, affine first layer.
    pub pyld_10_5_ms: f64,
    /// `proximal_step_ms / gradient_ms`, pair by pair.
    pub step_over_gradient: f64,
    /// `pyld_10_5_ms / ten_proximal_steps_ms`, pair by pair.
    pub pyld_over_proximal: f64,
}

/// Times a network on a device.
///
/// # Errors
/// A network that does not exist.
pub fn run(request: &BenchRequest, device: &ComputeDevice) -> Result<BenchReport, ModelError> {
    let (size, on) = (request.image_size, &device.device);
    let model = ModelConfig { arch: request.arch.clone(), ..ModelConfig::default() };
    let channels = if request.arch.starts_with("wrn") { 3 } else { 1 };
    let network = Network::new(&model, [channels, size, size], 10, 0, on)?;
    let energy = JointEnergy::new(&network);
    let noise = NoiseKey { seed: 0, stream: 0, step: 0 };
    let x = kernels::uniform_start([request.batch_size, channels, size, size], noise, on);
    let proximal =
        Sampler::ProximalSgld { step_size: 1.0, noise_std: 0.01, proximal_radius: 1.0 };
    let pyld = Sampler::Pyld {
        num_inner_steps: 5,
        inner_step_size: 0.2,
        noise_std: 0.01,
        proximal_radius: 1.0,
    };
    let chain = |sampler: Sampler, steps: usize| {
        let state = ChainState { x: x.clone(), noise };
        sampler.run(state, &energy, steps).0.x
    };
    let first_gradient_ms = millis(on, || energy.gradient(x.clone()).gradient);
    chain(proximal, 1);

    let mut rows: Vec<[f64; 5]> = Vec::new();
    for _ in 0..request.repetitions {
        rows.push([
            millis(on, || energy.logits(x.clone())),
            millis(on, || energy.gradient(x.clone()).gradient),
            millis(on, || chain(proximal, 1)),
            millis(on, || chain(proximal, 10)),
            millis(on, || chain(pyld, 10)),
        ]);
    }
    let column = |index: usize| median(rows.iter().map(|row| row[index]).collect());
    let ratio = |a: usize, b: usize| median(rows.iter().map(|row| row[a] / row[b]).collect());
    Ok(BenchReport {
        device: device.description.clone(),
        arch: request.arch.clone(),
        batch_size: request.batch_size,
        image_size: size,
        first_gradient_ms,
        forward_ms: column(0),
        gradient_ms: column(1),
        proximal_step_ms: column(2),
        ten_proximal_steps_ms: column(3),
        pyld_10_5_ms: column(4),
        step_over_gradient: ratio(2, 1),
        pyld_over_proximal: ratio(4, 3),
    })
}

/// Milliseconds until the work's last value is on the host.
fn millis<const D: usize>(device: &Device, work: impl FnOnce() -> Tensor<D>) -> f64 {
    let begin = Instant::now();
    let result = work();
    // A sync reports errors that a later read would report as well.
    let _ = device.sync();
    drop(result);
    begin.elapsed().as_secs_f64() * 1e3
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

impl fmt::Display for BenchReport {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "{}", self.device)?;
        writeln!(
            f,
            "{}, {} chains of {2}×{2}, medians in ms",
            self.arch, self.batch_size, self.image_size
        )?;
        for (name, value) in [
            ("first gradient", self.first_gradient_ms),
            ("forward only", self.forward_ms),
            ("energy gradient", self.gradient_ms),
            ("proximal step", self.proximal_step_ms),
            ("10 proximal steps", self.ten_proximal_steps_ms),
            ("PYLD-10-5, affine", self.pyld_10_5_ms),
        ] {
            writeln!(f, "  {name:<20} {value:>10.2}")?;
        }
        writeln!(f, "  step / gradient      {:>10.3}", self.step_over_gradient)?;
        writeln!(f, "  PYLD-10-5 / 10 steps {:>10.3}", self.pyld_over_proximal)
    }
}
