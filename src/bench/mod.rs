//! Benchmarks of Langevin steps and training on a device, compared with the device's peak rates.
//!
//! The workloads W1 to W5 are fixed, so that results of different machines and versions can be compared.

mod ceilings;
mod check;
mod choices;
mod paper;
mod report;
mod work;

use burn::tensor::Tensor;
use jempp_cpu::reference::{NoiseKey, ProximalStep};
use serde::Serialize;
use web_time::Instant;

use crate::{
    config::{ConfigError, ModelConfig, RunConfig},
    data::{self, DataError},
    device::ComputeDevice,
    energy::{Energy, JointEnergy},
    kernels,
    memory::{Demand, TooMuchMemory},
    model::{ModelError, Network},
    sampler::{ChainState, Sampler},
    streams,
    trainer::{StepError, Trainer, TrainerError},
};
pub use ceilings::Ceilings;
pub use check::{DeviceCheck, Differs};
pub use choices::KernelChoices;
pub use paper::PaperTraining;
pub use work::{StepWork, Work};

/// The reason why a benchmark could not run.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The network is not valid.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The benchmark needs more memory than allowed.
    #[error(transparent)]
    Memory(#[from] TooMuchMemory),
    /// Does not occur: the configuration is fixed.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Does not occur: the data is embedded.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Training could not start.
    #[error(transparent)]
    Trainer(#[from] TrainerError),
    /// Training diverged, which twenty iterations should not do, or the device failed.
    #[error("the training iteration failed: {0}")]
    Step(#[from] StepError),
    /// The CPU back end was to be checked.
    #[error("the CPU back end needs no check: adapters are compared with it")]
    NothingToCheck,
}

/// All measurements on one device.
#[derive(Clone, Debug, Serialize)]
pub struct BenchReport {
    /// The name of the device.
    pub device: String,
    /// The load average of the last minute before the benchmark (Linux), to judge whether the results are reliable.
    pub load: Option<f64>,
    /// The peak rates of the device.
    pub ceilings: Ceilings,
    /// The costs of Langevin steps, one entry per workload.
    pub steps: Vec<StepCost>,
    /// The costs of training iterations.
    pub training: Option<TrainingReport>,
    /// The costs of training iterations of the paper's network.
    pub paper_training: Option<PaperTraining>,
    /// The variants of the kernels that computed the layers.
    pub kernels: KernelChoices,
}

/// The costs of a Langevin step and its parts, as medians in milliseconds. The parts are timed in turn, so that a
/// drift of the machine affects all equally; ratios are medians over the turns.
#[derive(Clone, Debug, Serialize)]
pub struct StepCost {
    /// The workload that was timed.
    pub work: StepWork,
    /// The very first step, which includes the compilation of pipelines.
    pub first_step_ms: f64,
    /// The forward pass: logits only.
    pub forward_ms: f64,
    /// One energy gradient of the batch.
    pub gradient_ms: f64,
    /// One proximal step with noise.
    pub step_ms: f64,
    /// Everything in a step except the energy gradient, timed alone.
    pub update_ms: f64,
    /// Ten proximal steps with noise.
    pub ten_steps_ms: f64,
    /// Ten PYLD steps with five inner steps and an affine first layer.
    pub pyld_10_5_ms: f64,
    /// The ratio `update_ms / step_ms`.
    pub update_share: f64,
    /// The ratio `pyld_10_5_ms / ten_steps_ms`.
    pub pyld_over_ten_steps: f64,
    /// The multiplications and additions of one energy gradient by direct convolution, in 10⁹.
    pub gradient_gflop: f64,
    /// Their rate in a step, in 10⁹ per second. Minimal filtering does fewer, so the rate may exceed the peak rate.
    pub gflops: f64,
    /// `gflops` as a share of [`Ceilings::fma_gflops`].
    pub share_of_ceiling: f64,
    /// The number of GPU kernels launched in a step; 0 on the CPU back end.
    pub launches: usize,
    /// The size in bytes of the buffers that our kernels bind in a step; 0 on the CPU back end.
    pub bound_bytes: u64,
    /// The number of command buffers submitted to the GPU in a step.
    pub submissions: u64,
    /// The number of command buffers per step in a run of ten steps.
    pub submissions_of_ten: f64,
}

/// The costs of training iterations, as medians in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct TrainingReport {
    /// A JEM++ iteration: PYLD-10-5 from class centres.
    pub jem_plus_plus_ms: f64,
    /// A JEM iteration: 20 steps of SGLD from uniform noise.
    pub jem_ms: f64,
    /// The median over the turns of `jem_ms / jem_plus_plus_ms`.
    pub speedup: f64,
}

/// A named function to time.
pub type NamedWork<'a> = (&'static str, Box<dyn Fn() + 'a>);

/// A network on a device, and the parts of a step that are timed on it.
#[derive(Debug)]
pub struct Works {
    energy: JointEnergy,
    x: Tensor<4>,
    gradient: Tensor<4>,
    device: ComputeDevice,
    gradient_gflop: f64,
}

const NOISE: NoiseKey = streams::UNUSED.key(0, 0);
const UPDATE: ProximalStep = ProximalStep {
    step_size: 1.0,
    noise_std: 0.01,
    proximal_radius: 1.0,
    project: true,
    noise: NOISE,
};
const PROXIMAL: Sampler =
    Sampler::ProximalSgld { step_size: 1.0, noise_std: 0.01, proximal_radius: 1.0 };
const PYLD: Sampler = Sampler::Pyld {
    num_inner_steps: 5,
    inner_step_size: 0.2,
    noise_std: 0.01,
    proximal_radius: 1.0,
};

/// The configuration of the network of a workload.
fn config_of(work: &StepWork) -> RunConfig {
    let model = ModelConfig { arch: work.arch.clone(), norm: work.norm, ..ModelConfig::default() };
    RunConfig { model, ..RunConfig::default() }
}

fn demand_of(work: &StepWork, device: &ComputeDevice) -> Result<Demand, ModelError> {
    let StepWork { batch_size, channels, image_size: size, .. } = *work;
    let shape = [channels, size, size];
    Demand::of_chains(&config_of(work), shape, 10, batch_size, &device.device)
}

/// Estimates the memory of the workload that needs most.
///
/// # Errors
/// A network is not valid.
pub fn demand(works: &[Work], device: &ComputeDevice) -> Result<Demand, BenchError> {
    let demand = |work: &Work| match work {
        Work::Steps(work) => Ok(demand_of(work, device)?),
        Work::Training => {
            let (config, device) = (RunConfig::default().with_toml(TRAINING)?, &device.device);
            let train = data::load(&config.data, config.seed)?.train;
            let num_classes = train.num_classes();
            Ok(Demand::of_training(&config, train.shape, num_classes, train.len(), device)?)
        }
        Work::PaperTraining => paper::demand(device),
    };
    let demands = works.iter().map(demand).collect::<Result<Vec<_>, BenchError>>()?;
    Ok(demands.into_iter().max_by_key(Demand::total).unwrap_or_default())
}

impl Works {
    /// Prepares the network and its inputs.
    ///
    /// # Errors
    /// The network is not valid, or needs more memory than allowed.
    pub fn new(work: &StepWork, device: &ComputeDevice) -> Result<Self, BenchError> {
        let StepWork { batch_size, channels, image_size: size, .. } = *work;
        let (config, shape) = (config_of(work), [channels, size, size]);
        demand_of(work, device)?.check(&config)?;
        let network = Network::new(&config.model, shape, 10, 0, &device.device)?;
        let x = kernels::uniform_start([batch_size, channels, size, size], NOISE, &device.device);
        let flops = 2 * network.forward_flops([size, size]) * batch_size as u64;
        Ok(Self {
            energy: JointEnergy::new(&network),
            gradient: x.clone() * 0.5,
            x,
            device: device.clone(),
            gradient_gflop: flops as f64 / 1e9,
        })
    }

    fn forward(&self) {
        self.device.wait(self.energy.logits(self.x.clone()));
    }

    fn gradient(&self) {
        self.device.wait(self.energy.gradient(self.x.clone()).gradient);
    }

    fn update(&self) {
        let (x, gradient) = (self.x.clone(), self.gradient.clone());
        let summary = kernels::chain_summary(x.clone(), gradient.clone(), UPDATE.proximal_radius);
        self.device.wait((kernels::proximal_step(x, gradient, &UPDATE), summary));
    }

    fn run_chain(&self, sampler: Sampler, steps: usize) {
        let state = ChainState { x: self.x.clone(), noise: NOISE };
        // The results are kept until the device has finished, as in a real sampler.
        self.device.wait(sampler.run(state, &self.energy, steps));
    }

    /// All parts with their names.
    pub fn named(&self) -> [NamedWork<'_>; 6] {
        [
            ("forward only", Box::new(|| self.forward())),
            ("energy gradient", Box::new(|| self.gradient())),
            ("proximal step", Box::new(|| self.run_chain(PROXIMAL, 1))),
            ("update alone", Box::new(|| self.update())),
            ("10 proximal steps", Box::new(|| self.run_chain(PROXIMAL, 10))),
            ("PYLD-10-5, affine", Box::new(|| self.run_chain(PYLD, 10))),
        ]
    }
}

/// Times Langevin steps.
///
/// # Errors
/// The network is not valid.
pub(crate) fn time_steps(
    work: &StepWork,
    repetitions: usize,
    ceilings: &Ceilings,
    device: &ComputeDevice,
) -> Result<StepCost, BenchError> {
    let works = Works::new(work, device)?;
    let step = |count| works.run_chain(PROXIMAL, count);
    let first_step_ms = millis(|| step(1));
    let launches = kernels::count_launches(|| step(1));
    let bound_bytes = kernels::count_bound_bytes(|| step(1));
    let submissions = device.count_submissions(|| step(1));
    let submissions_of_ten = device.count_submissions(|| step(10)) as f64 / 10.0;
    let named = works.named();
    let rows: Vec<[f64; 6]> =
        (0..repetitions).map(|_| std::array::from_fn(|index| millis(&named[index].1))).collect();
    let column = |index: usize| median(rows.iter().map(|row| row[index]).collect());
    let ratio = |a: usize, b: usize| median(rows.iter().map(|row| row[a] / row[b]).collect());
    let gflops = works.gradient_gflop / column(2) * 1e3;
    Ok(StepCost {
        work: work.clone(),
        first_step_ms,
        forward_ms: column(0),
        gradient_ms: column(1),
        step_ms: column(2),
        update_ms: column(3),
        ten_steps_ms: column(4),
        pyld_10_5_ms: column(5),
        update_share: ratio(3, 2),
        pyld_over_ten_steps: ratio(5, 4),
        gradient_gflop: works.gradient_gflop,
        gflops,
        share_of_ceiling: gflops / ceilings.fma_gflops,
        launches,
        bound_bytes,
        submissions,
        submissions_of_ten,
    })
}

const TRAINING: &str = "
    data = { batch_size = 64 }
    model = { arch = 'cnn-base' }
    optimizer = { learning_rate = 1e-5, warmup_steps = 0 }
    replay_buffer = { replay_buffer_size = 1000 }
    sampler = { kind = 'pyld', num_steps = 10, num_inner_steps = 5 }
";
const JEM: &str = "sampler = { kind = 'sgld', num_steps = 20, step_size = 1.0, noise_std = 0.01, start = 'uniform' }";

/// Times training iterations.
///
/// # Errors
/// A training iteration that diverges.
pub(crate) fn time_training(
    repetitions: usize,
    device: &ComputeDevice,
) -> Result<TrainingReport, BenchError> {
    let config = RunConfig::default().with_toml(TRAINING)?;
    let trainer = |config: RunConfig| -> Result<Trainer, BenchError> {
        let train = data::load(&config.data, config.seed)?.train;
        Ok(Trainer::new(config, train, &device.device)?)
    };
    let mut trainers = [trainer(config.clone())?, trainer(config.with_toml(JEM)?)?];
    let mut turn = || -> Result<[f64; 2], BenchError> {
        let mut times = [0.0; 2];
        for (time, trainer) in times.iter_mut().zip(&mut trainers) {
            let begin = Instant::now();
            pollster::block_on(trainer.step())?;
            device.wait(());
            *time = begin.elapsed().as_secs_f64() * 1e3;
        }
        Ok(times)
    };
    turn()?;
    let rows = (0..repetitions).map(|_| turn()).collect::<Result<Vec<_>, _>>()?;
    let column = |index: usize| median(rows.iter().map(|row| row[index]).collect());
    Ok(TrainingReport {
        jem_plus_plus_ms: column(0),
        jem_ms: column(1),
        speedup: median(rows.iter().map(|row| row[1] / row[0]).collect()),
    })
}

/// Times all `works`, with `repetitions` runs of each part.
///
/// # Errors
/// The network is not valid, or a training iteration diverges.
pub fn run(
    works: &[Work],
    repetitions: usize,
    device: &ComputeDevice,
) -> Result<BenchReport, BenchError> {
    let (load, ceilings) = (load(), Ceilings::measure(device));
    let (mut steps, mut training, mut paper_training) = (Vec::new(), None, None);
    for work in works {
        match work {
            Work::Steps(work) => steps.push(time_steps(work, repetitions, &ceilings, device)?),
            Work::Training => training = Some(time_training(repetitions, device)?),
            Work::PaperTraining => paper_training = Some(paper::time(repetitions, device)?),
        }
    }
    Ok(BenchReport {
        device: device.description.clone(),
        load,
        ceilings,
        steps,
        training,
        paper_training,
        kernels: KernelChoices::so_far(device),
    })
}

/// The load average of the last minute, if the operating system provides it.
fn load() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split_whitespace().next()?.parse().ok()
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
