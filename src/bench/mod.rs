//! What the program's work costs on a device, beside what the device could do.
//!
//! The works W1 to W4 are fixed, so that figures of different machines and programs compare.

mod ceilings;
mod report;
mod work;

use burn::tensor::Tensor;
use serde::Serialize;
use web_time::Instant;

use crate::{
    config::{ConfigError, ModelConfig, RunConfig},
    data::{self, DataError},
    device::ComputeDevice,
    energy::{Energy, JointEnergy},
    kernels::{self, reference::NoiseKey, reference::ProximalStep},
    memory::{Demand, TooMuchMemory},
    model::{ModelError, Network},
    sampler::{ChainState, Sampler},
    streams,
    trainer::{StepError, Trainer, TrainerError},
};
pub use ceilings::Ceilings;
pub use work::{StepWork, Work};

/// Why a work could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A network that cannot be.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// More memory than there may be.
    #[error(transparent)]
    Memory(#[from] TooMuchMemory),
    /// Never seen: the configuration is fixed.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Never seen: the data is embedded.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Training could not start.
    #[error(transparent)]
    Trainer(#[from] TrainerError),
    /// Training diverged, which twenty iterations should not, or the device failed.
    #[error("the training iteration failed: {0}")]
    Step(#[from] StepError),
}

/// All that was measured on one device.
#[derive(Clone, Debug, Serialize)]
pub struct BenchReport {
    /// What computed.
    pub device: String,
    /// Processes that wanted a core in the minute before (Linux), to judge the figures by.
    pub load: Option<f64>,
    /// What the device could do.
    pub ceilings: Ceilings,
    /// Langevin steps.
    pub steps: Vec<StepCost>,
    /// Training iterations.
    pub training: Option<TrainingReport>,
}

/// What a step and its parts cost: medians in milliseconds, the parts taken in turn so that a drift of the machine
/// hits all alike; ratios are medians over the turns.
#[derive(Clone, Debug, Serialize)]
pub struct StepCost {
    /// What was timed.
    pub work: StepWork,
    /// The very first step, pipelines compiled on the way.
    pub first_step_ms: f64,
    /// Logits only.
    pub forward_ms: f64,
    /// One energy gradient.
    pub gradient_ms: f64,
    /// One proximal step with noise.
    pub step_ms: f64,
    /// Everything of a step but the energy gradient, alone.
    pub update_ms: f64,
    /// Ten proximal steps.
    pub ten_steps_ms: f64,
    /// Ten PYLD steps with five inner steps, affine first layer.
    pub pyld_10_5_ms: f64,
    /// `update_ms / step_ms`.
    pub update_share: f64,
    /// `pyld_10_5_ms / ten_steps_ms`.
    pub pyld_over_ten_steps: f64,
    /// Multiplications and additions of one energy gradient by the direct sums, in 10⁹.
    pub gradient_gflop: f64,
    /// Their rate in a step, in 10⁹ a second. Minimal filtering does fewer, so it may pass the ceiling.
    pub gflops: f64,
    /// `gflops` as a share of [`Ceilings::fma_gflops`].
    pub share_of_ceiling: f64,
    /// GPU kernels launched for a step; 0 on the CPU back end.
    pub launches: usize,
    /// Bytes of the buffers that our kernels are launched on in a step; 0 on the CPU back end.
    pub bound_bytes: u64,
    /// Command buffers sent to the GPU for a step.
    pub submissions: u64,
    /// The same for each of ten steps in a row.
    pub submissions_of_ten: f64,
}

/// Training iterations, medians in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct TrainingReport {
    /// JEM++: PYLD-10-5 from class centres.
    pub jem_plus_plus_ms: f64,
    /// JEM: 20 steps of SGLD from uniform noise.
    pub jem_ms: f64,
    /// `jem_ms / jem_plus_plus_ms`, turn by turn.
    pub speedup: f64,
}

/// A piece of work under its name.
pub type NamedWork<'a> = (&'static str, Box<dyn Fn() + 'a>);

/// A network on a device with the parts of a step that are timed on it.
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

impl Works {
    /// Sets the parts up.
    ///
    /// # Errors
    /// A network that does not exist, or one that needs more memory than there may be.
    pub fn new(work: &StepWork, device: &ComputeDevice) -> Result<Self, BenchError> {
        let StepWork { batch_size, channels, image_size: size, .. } = *work;
        let model =
            ModelConfig { arch: work.arch.clone(), norm: work.norm, ..ModelConfig::default() };
        let (config, shape) = (RunConfig { model, ..RunConfig::default() }, [channels, size, size]);
        Demand::of_chains(&config, shape, 10, batch_size)?.check(&config)?;
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
        // Nothing is dropped before the device is waited for, as a sampler would keep it.
        self.device.wait(sampler.run(state, &self.energy, steps));
    }

    /// Every part under its name.
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
/// A network that does not exist.
pub fn time_steps(
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
/// An iteration that diverges.
pub fn time_training(
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

/// Times all `works`, each part `repetitions` times.
///
/// # Errors
/// A network that does not exist, a training iteration that diverges.
pub fn run(
    works: &[Work],
    repetitions: usize,
    device: &ComputeDevice,
) -> Result<BenchReport, BenchError> {
    let (load, ceilings) = (load(), Ceilings::measure(device));
    let (mut steps, mut training) = (Vec::new(), None);
    for work in works {
        match work {
            Work::Steps(work) => steps.push(time_steps(work, repetitions, &ceilings, device)?),
            Work::Training => training = Some(time_training(repetitions, device)?),
        }
    }
    Ok(BenchReport { device: device.description.clone(), load, ceilings, steps, training })
}

/// The load average of the last minute, where the system tells it.
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
