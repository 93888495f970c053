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
    /// Kernels launched for one energy gradient; 0 on the CPU back end.
    pub gradient_launches: usize,
    /// Kernels launched for one proximal step, its gradient and summary included.
    pub proximal_step_launches: usize,
    /// `proximal_step_ms / gradient_ms`, pair by pair.
    pub step_over_gradient: f64,
    /// `pyld_10_5_ms / ten_proximal_steps_ms`, pair by pair.
    pub pyld_over_proximal: f64,
}

/// A piece of work under its name.
pub type NamedWork<'a> = (&'static str, Box<dyn Fn() + 'a>);

/// A network on a device with the works that are timed on it.
#[derive(Debug)]
pub struct Works {
    energy: JointEnergy,
    x: Tensor<4>,
    device: Device,
}

const NOISE: NoiseKey = NoiseKey { seed: 0, stream: 0, step: 0 };
const PROXIMAL: Sampler =
    Sampler::ProximalSgld { step_size: 1.0, noise_std: 0.01, proximal_radius: 1.0 };
const PYLD: Sampler = Sampler::Pyld {
    num_inner_steps: 5,
    inner_step_size: 0.2,
    noise_std: 0.01,
    proximal_radius: 1.0,
};

impl Works {
    /// Sets the works up.
    ///
    /// # Errors
    /// A network that does not exist.
    pub fn new(request: &BenchRequest, device: &ComputeDevice) -> Result<Self, ModelError> {
        let (size, on) = (request.image_size, &device.device);
        let model = ModelConfig { arch: request.arch.clone(), ..ModelConfig::default() };
        let channels = if request.arch.starts_with("wrn") { 3 } else { 1 };
        let network = Network::new(&model, [channels, size, size], 10, 0, on)?;
        let shape = [request.batch_size, channels, size, size];
        Ok(Self {
            energy: JointEnergy::new(&network),
            x: kernels::uniform_start(shape, NOISE, on),
            device: on.clone(),
        })
    }

    fn forward(&self) {
        self.wait(self.energy.logits(self.x.clone()));
    }

    fn gradient(&self) {
        self.wait(self.energy.gradient(self.x.clone()).gradient);
    }

    fn chain(&self, sampler: Sampler, steps: usize) {
        let state = ChainState { x: self.x.clone(), noise: NOISE };
        self.wait(sampler.run(state, &self.energy, steps).0.x);
    }

    /// Waits for the device; an error it reports would show in any later read as well.
    fn wait<const D: usize>(&self, result: Tensor<D>) {
        let _ = self.device.sync();
        drop(result);
    }

    /// Every work under its name.
    pub fn named(&self) -> [NamedWork<'_>; 5] {
        [
            ("forward only", Box::new(|| self.forward())),
            ("energy gradient", Box::new(|| self.gradient())),
            ("proximal step", Box::new(|| self.chain(PROXIMAL, 1))),
            ("10 proximal steps", Box::new(|| self.chain(PROXIMAL, 10))),
            ("PYLD-10-5, affine", Box::new(|| self.chain(PYLD, 10))),
        ]
    }

    /// Kernels launched for one energy gradient and for one proximal step.
    pub fn launches(&self) -> [usize; 2] {
        self.gradient();
        self.chain(PROXIMAL, 1);
        [
            kernels::count_launches(|| self.gradient()),
            kernels::count_launches(|| self.chain(PROXIMAL, 1)),
        ]
    }
}

/// Times a network on a device.
///
/// # Errors
/// A network that does not exist.
pub fn run(request: &BenchRequest, device: &ComputeDevice) -> Result<BenchReport, ModelError> {
    let works = Works::new(request, device)?;
    let first_gradient_ms = millis(|| works.gradient());
    let [gradient_launches, proximal_step_launches] = works.launches();
    let named = works.named();
    let rows: Vec<[f64; 5]> = (0..request.repetitions)
        .map(|_| std::array::from_fn(|index| millis(&named[index].1)))
        .collect();
    let column = |index: usize| median(rows.iter().map(|row| row[index]).collect());
    let ratio = |a: usize, b: usize| median(rows.iter().map(|row| row[a] / row[b]).collect());
    Ok(BenchReport {
        device: device.description.clone(),
        arch: request.arch.clone(),
        batch_size: request.batch_size,
        image_size: request.image_size,
        first_gradient_ms,
        forward_ms: column(0),
        gradient_ms: column(1),
        proximal_step_ms: column(2),
        ten_proximal_steps_ms: column(3),
        pyld_10_5_ms: column(4),
        gradient_launches,
        proximal_step_launches,
        step_over_gradient: ratio(2, 1),
        pyld_over_proximal: ratio(4, 3),
    })
}

fn millis(work: impl Fn()) -> f64 {
    let begin = Instant::now();
    work();
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
        writeln!(
            f,
            "  kernel launches: {} a gradient, {} a step",
            self.gradient_launches, self.proximal_step_launches
        )?;
        writeln!(f, "  step / gradient      {:>10.3}", self.step_over_gradient)?;
        writeln!(f, "  PYLD-10-5 / 10 steps {:>10.3}", self.pyld_over_proximal)
    }
}
