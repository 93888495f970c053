//! The lab: chains on an energy of the plane, which is given by a formula, was trained, or is being trained.

mod densities;
mod learner;
mod news;
mod service;
mod slice;

use burn::tensor::{Device, Tensor, TensorData, Transaction};
use rand::RngExt;

use super::JobError;
use crate::{
    assets, bundled,
    checkpoint::Checkpoint,
    class_centers::ClassCentersData,
    config::{
        ClassCentersConfig, LabState, LabTarget, LaneConfig, MAX_RULES, ModelConfig, Norm,
        RunConfig, StartKind, ViewStart,
    },
    data::{Dataset, random_stream},
    device,
    diagnostics::cells,
    energy::{AnalyticEnergy, Energy, EnergyGradient, JointEnergy, energy_of_logits},
    kernels::{
        self,
        reference::{NoiseKey, standard_normal_4},
    },
    replay_buffer::Start,
    sampler::{ChainState, Sampler, StepInfo},
    sampling::{self, NOISE_STREAM, START_STREAM, SampleStart},
};

use densities::Analytic;
pub use learner::Learner;
pub use news::*;
pub(super) use service::LabSeat;

/// Squares along a side of the plane, of a formula and of a network. Multiples of the cells.
const SIDES: [usize; 2] = [4 * cells::NUM_CELLS, 3 * cells::NUM_CELLS];
/// Points that a network looks at together.
const BATCH: usize = 4096;
/// Draws that class centres of a formula are estimated from.
const NUM_DRAWS: usize = 4000;
const DRAW_STREAM: u32 = 60;
const POINT: [usize; 3] = [2, 1, 1];

/// Where the energy comes from.
enum Subject {
    Analytic(Analytic),
    Trained(Box<Checkpoint>),
    /// The lab's own learner.
    Learned,
}

/// What a rule walks on.
enum Ground {
    Analytic(AnalyticEnergy),
    Network(Box<JointEnergy>),
}

impl Ground {
    fn energy(&self) -> &dyn Energy {
        match self {
            Self::Analytic(energy) => energy,
            Self::Network(energy) => &**energy,
        }
    }
}

/// The chains of one rule.
struct Lane {
    rule: LaneConfig,
    ground: Ground,
    state: ChainState,
    labels: Vec<u8>,
    /// What was read of the last step.
    seen: LabLaneFrame,
}

/// What a change of the lab calls for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Another surface is to be shown.
    pub surface: bool,
    /// The chains stand at new starts.
    pub restarted: bool,
}

/// The lab's state on the device.
pub struct Lab {
    device: Device,
    state: LabState,
    subject: Subject,
    surface: LabSurface,
    lanes: Vec<Lane>,
    step: u64,
    tracked: usize,
    learner: Option<Learner>,
}

impl Lab {
    /// The lab in this state, chains at their starts.
    ///
    /// # Errors
    /// Rules that do not go together, a model that is not there.
    pub async fn open(state: LabState, device: &Device) -> Result<Self, JobError> {
        let mut learner = None;
        let subject = subject_of(&state, &mut learner, device).await?;
        let mut lab = Self {
            device: device.clone(),
            surface: LabSurface { energy: [].into(), classes: Vec::new(), num_classes: 1 },
            subject,
            lanes: Vec::new(),
            step: 0,
            tracked: 0,
            learner,
            state,
        };
        lab.survey().await?;
        lab.restart().await?;
        Ok(lab)
    }

    /// Shows another state; chains go on where they are unless their number, starts or ground are others.
    ///
    /// # Errors
    /// As [`Lab::open`]; then everything is as it was.
    pub async fn set(&mut self, state: LabState) -> Result<Changes, JobError> {
        check(&state)?;
        let (old, new) = (&self.state.config, &state.config);
        let is_other_subject = (old.target, &old.model) != (new.target, &new.model)
            || new.target == LabTarget::Learned && old.learn_data != new.learn_data;
        let is_other_surface = is_other_subject
            || self.is_analytic() && (old.width, &old.painted) != (new.width, &new.painted);
        let starts = |state: &LabState| -> Vec<_> {
            let point = |start| (start == ViewStart::Image).then(|| state.config.point.clone());
            state.rules.iter().map(|rule| (rule.start, point(rule.start))).collect()
        };
        let restarted = is_other_subject
            || (old.num_chains, old.seed) != (new.num_chains, new.seed)
            || starts(&self.state) != starts(&state);
        if is_other_surface {
            self.subject = subject_of(&state, &mut self.learner, &self.device).await?;
        }
        let before = std::mem::replace(&mut self.state, state);
        if let Some(learner) = &mut self.learner {
            learner.retune(&self.state.config);
        }
        if is_other_surface {
            self.survey().await?;
        }
        let result = match restarted {
            true => self.restart().await,
            false => self.follow_rules(is_other_surface),
        };
        if let Err(error) = result {
            self.state = before;
            return Err(error);
        }
        Ok(Changes { surface: is_other_surface, restarted })
    }

    fn is_analytic(&self) -> bool {
        matches!(self.subject, Subject::Analytic(_))
    }

    /// Lets the chains go on by the rules of the state.
    fn follow_rules(&mut self, is_other_ground: bool) -> Result<(), JobError> {
        for index in 0..self.lanes.len() {
            let rule = self.state.rules[index].clone();
            if is_other_ground || self.lanes[index].rule.split != rule.split {
                self.lanes[index].ground = self.ground(&rule)?;
            }
            self.lanes[index].rule = rule;
        }
        Ok(())
    }

    /// Draws the starts anew.
    ///
    /// # Errors
    /// A start that this energy does not have.
    pub async fn restart(&mut self) -> Result<(), JobError> {
        check(&self.state)?;
        let mut lanes = Vec::new();
        for rule in self.state.rules.clone() {
            let (x, labels) = self.starts(rule.start).await?;
            let noise = NoiseKey { seed: self.state.config.seed, stream: NOISE_STREAM, step: 0 };
            let ground = self.ground(&rule)?;
            let mut lane = Lane {
                rule,
                ground,
                state: ChainState { x, noise },
                labels,
                seen: LabLaneFrame {
                    x: Vec::new(),
                    mean_energy: 0.0,
                    clamp_rate: 0.0,
                    acceptance: None,
                    traces: Vec::new(),
                    tracked: None,
                },
            };
            lane.look().await;
            lanes.push(lane);
        }
        self.lanes = lanes;
        self.step = 0;
        Ok(())
    }

    /// Steps done since the start.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// What is asked for.
    pub fn state(&self) -> &LabState {
        &self.state
    }

    /// Energies over the plane.
    pub fn surface(&self) -> &LabSurface {
        &self.surface
    }

    /// The class of each chain, rule by rule.
    pub fn labels(&self) -> Vec<Vec<u8>> {
        self.lanes.iter().map(|lane| lane.labels.clone()).collect()
    }

    /// What is being trained, if anything is.
    pub fn learner(&mut self) -> Option<&mut Learner> {
        self.learner.as_mut()
    }

    /// Begins to learn anew, from weights of this seed.
    ///
    /// # Errors
    /// There is nothing to learn from.
    pub async fn start_over(&mut self, seed: u64) -> Result<(), JobError> {
        self.learner = Some(Learner::new(&self.state.config, seed, &self.device)?);
        self.follow_learner().await
    }

    /// Takes the weights that are being learned as they are now.
    ///
    /// # Errors
    /// None in practice: the network is the same.
    pub async fn follow_learner(&mut self) -> Result<(), JobError> {
        if matches!(self.subject, Subject::Learned) {
            self.survey().await?;
            self.follow_rules(true)?;
        }
        Ok(())
    }

    /// Tells every step of this chain from now on.
    pub fn track(&mut self, chain: usize) {
        self.tracked = chain;
    }

    /// Moves all chains one step on.
    pub async fn advance(&mut self) {
        for lane in &mut self.lanes {
            lane.advance(self.tracked).await;
        }
        self.step += 1;
    }

    /// Where the chains are, with all traces since the last call.
    pub fn frame(&mut self) -> LabFrame {
        let lanes = self.lanes.iter_mut().map(|lane| {
            let traces = std::mem::take(&mut lane.seen.traces);
            LabLaneFrame { traces, ..lane.seen.clone() }
        });
        LabFrame { step: self.step, lanes: lanes.collect() }
    }

    /// The ground of a rule.
    fn ground(&self, rule: &LaneConfig) -> Result<Ground, JobError> {
        Ok(match (&self.subject, &self.learner) {
            (Subject::Analytic(analytic), _) => {
                Ground::Analytic(AnalyticEnergy(analytic.form.clone()))
            }
            (Subject::Trained(checkpoint), _) => {
                let config = &checkpoint.config.model;
                let model = ModelConfig { split: rule.split, norm: Norm::None, ..config.clone() };
                let network = sampling::network_of(checkpoint, &model, &self.device)?;
                Ground::Network(Box::new(JointEnergy::new(&network)))
            }
            (Subject::Learned, Some(learner)) => Ground::Network(Box::new(learner.energy())),
            (Subject::Learned, None) => {
                return Err(JobError::Request("nothing is being learned".into()));
            }
        })
    }

    /// Evaluates the energy over the plane.
    async fn survey(&mut self) -> Result<(), JobError> {
        let side = SIDES[usize::from(!self.is_analytic())];
        let ground = self.ground(&LaneConfig::default())?;
        let points: Vec<f32> = cells::grid(side).flatten().collect();
        let (mut energy, mut classes) = (Vec::new(), Vec::new());
        let mut num_classes = 1;
        for part in points.chunks(2 * BATCH) {
            let x = self.points(part.to_vec());
            match &ground {
                Ground::Analytic(ground) => {
                    let reads = Transaction::default().register(ground.gradient(x).energy);
                    energy.extend(device::read(reads).await.concat());
                }
                Ground::Network(ground) => {
                    let logits = ground.logits(x);
                    num_classes = logits.dims()[1];
                    let reads = Transaction::default()
                        .register(energy_of_logits(logits.clone()))
                        .register(logits);
                    let read = device::read(reads).await;
                    energy.extend_from_slice(&read[0]);
                    classes.extend(read[1].chunks(num_classes).map(most_probable));
                }
            }
        }
        if let Subject::Analytic(analytic) = &self.subject {
            num_classes = analytic.num_classes() as usize;
            classes = points
                .chunks_exact(2)
                .map(|point| analytic.class_of([point[0], point[1]]) as u8)
                .collect();
        }
        self.surface =
            LabSurface { energy: energy.into(), classes, num_classes: num_classes as u32 };
        Ok(())
    }

    fn points(&self, values: Vec<f32>) -> Tensor<4> {
        let count = values.len() / 2;
        Tensor::from_data(TensorData::new(values, [count, 2, 1, 1]), &self.device)
    }

    /// Starts (N, 2, 1, 1) and the class of each.
    async fn starts(&self, start: ViewStart) -> Result<(Tensor<4>, Vec<u8>), JobError> {
        let config = &self.state.config;
        let (count, seed) = (config.num_chains, config.seed);
        let num_classes = self.surface.num_classes;
        let labels: Vec<u32> = (0..count as u32).map(|chain| chain % num_classes).collect();
        let noise = NoiseKey { seed, stream: START_STREAM, step: 0 };
        let bytes = |labels: &[u32]| labels.iter().map(|&label| label as u8).collect::<Vec<u8>>();
        let x = match (start, &self.subject, &self.learner) {
            (ViewStart::Uniform, ..) => {
                kernels::uniform_start([count, 2, 1, 1], noise, &self.device)
            }
            (ViewStart::Image, ..) => self.points(config.start_point().repeat(count)),
            (ViewStart::Data, Subject::Analytic(analytic), _) => {
                let (points, labels) = self.draws(analytic, count);
                return Ok((self.points(points), bytes(&labels)));
            }
            (ViewStart::ClassCenters, Subject::Analytic(analytic), _) => {
                let (points, labels_drawn) = self.draws(analytic, NUM_DRAWS);
                let names = (0..num_classes).map(|class| format!("class {class}")).collect();
                let draws = Dataset::from_floats(points, labels_drawn, POINT, names);
                let config = ClassCentersConfig { max_components: 2, ..Default::default() };
                let centers = ClassCentersData::estimate(&draws, &config)
                    .map_err(crate::trainer::TrainerError::from)?
                    .to_device(POINT, &self.device);
                Start::ClassCenters(centers).draw(&labels, noise, &self.device)
            }
            (ViewStart::Buffer, Subject::Analytic(_), _) => {
                return Err(JobError::Request(
                    "a formula has no replay buffer to start from".into(),
                ));
            }
            (_, Subject::Trained(checkpoint), _) => {
                sampling::starts(checkpoint, &wanted(start), &labels, seed, &self.device)?
            }
            (_, Subject::Learned, Some(learner)) => {
                let checkpoint = learner.checkpoint().await?;
                sampling::starts(&checkpoint, &wanted(start), &labels, seed, &self.device)?
            }
            (_, Subject::Learned, None) => {
                return Err(JobError::Request("nothing is being learned".into()));
            }
        };
        Ok((x, bytes(&labels)))
    }

    /// Exact draws of the density at temperature 1, and the class of each.
    fn draws(&self, analytic: &Analytic, count: usize) -> (Vec<f32>, Vec<u32>) {
        let mut rng = random_stream(self.state.config.seed, DRAW_STREAM, 0);
        let uniforms = std::iter::from_fn(|| Some(std::array::from_fn(|_| rng.random::<f64>())));
        let points = cells::draw(&self.surface.energy, uniforms.take(count));
        let (points, labels): (Vec<[f32; 2]>, Vec<u32>) =
            points.map(|point| (point, analytic.class_of(point))).unzip();
        (points.concat(), labels)
    }
}

/// The start of a network's chains.
fn wanted(start: ViewStart) -> SampleStart {
    match start {
        ViewStart::Data => SampleStart::Data,
        ViewStart::Buffer => SampleStart::Buffer,
        _ => SampleStart::Fresh(StartKind::ClassCenters),
    }
}

/// Finds what the configuration names.
async fn subject_of(
    state: &LabState,
    learner: &mut Option<Learner>,
    device: &Device,
) -> Result<Subject, JobError> {
    if let Some(analytic) = Analytic::of(&state.config) {
        return Ok(Subject::Analytic(analytic));
    }
    if state.config.target == LabTarget::Learned {
        if learner.as_ref().is_none_or(|learner| learner.dataset() != state.config.learn_data) {
            *learner = Some(Learner::new(&state.config, 0, device)?);
        }
        return Ok(Subject::Learned);
    }
    let model =
        bundled::find(&state.config.model).map_err(|error| JobError::Request(error.to_string()))?;
    assets::bring(&[model.file]).await?;
    let checkpoint = model.load()?;
    if checkpoint.input_shape != POINT {
        let name = model.name;
        return Err(JobError::Request(format!("{name} is a model of images, not of points")));
    }
    Ok(Subject::Trained(Box::new(checkpoint)))
}

/// Checks that the numbers go together.
fn check(state: &LabState) -> Result<(), JobError> {
    if state.rules.is_empty() || state.rules.len() > MAX_RULES {
        let what = format!("the lab takes one to {MAX_RULES} rules");
        return Err(JobError::Request(what));
    }
    for rule in &state.rules {
        RunConfig { sampler: rule.sampler.clone(), ..RunConfig::default() }.check()?;
    }
    Ok(())
}

fn most_probable(logits: &[f32]) -> u8 {
    let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
    best.map_or(0, |best| best.0 as u8)
}

impl Lane {
    /// The rule at the step where the chains stand.
    fn sampler(&self) -> Sampler {
        let section = &self.rule.sampler;
        Sampler::at_step(section, self.state.noise.step as usize, section.num_steps)
    }

    /// Moves the chains one step on and reads what it did.
    async fn advance(&mut self, tracked: usize) {
        let sampler = self.sampler();
        let (next, info) = sampler.step(self.state.clone(), self.ground.energy());
        let before = std::mem::replace(&mut self.state, next);
        let tracked = tracked.min(before.x.dims()[0] - 1);
        let row = |x: &Tensor<4>| x.clone().slice([tracked..tracked + 1, 0..2, 0..1, 0..1]);
        let moved = Tensor::cat(vec![row(&before.x), row(&info.gradient)], 0);
        let Read { moved: [from, gradient], accepted } = self.read(&info, Some(moved)).await;
        let lanes = standard_normal_4((2 * tracked / 4) as u32, before.noise);
        let noise = [0, 1].map(|axis| sampler.noise_std() * lanes[2 * tracked % 4 + axis]);
        self.seen.tracked = Some(LabMove {
            chain: tracked,
            from,
            gradient,
            noise,
            to: [self.seen.x[2 * tracked], self.seen.x[2 * tracked + 1]],
            step_size: sampler.length(),
            accepted: accepted.chunks_exact(2).nth(tracked).map(|pair| (pair[0] > 0.5, pair[1])),
        });
    }

    /// Reads the chains where they stand, before any step.
    async fn look(&mut self) {
        let EnergyGradient { energy, gradient, .. } =
            self.ground.energy().gradient(self.state.x.clone());
        let summary = kernels::chain_summary(self.state.x.clone(), gradient.clone(), 0.0);
        let info = StepInfo { energy, summary, acceptance: None, gradient, logits: None };
        self.read(&info, None).await;
    }

    async fn read(&mut self, info: &StepInfo, moved: Option<Tensor<4>>) -> Read {
        let clamped = info.summary.clone().mean_dim(0);
        let mut reads = Transaction::default()
            .register(self.state.x.clone())
            .register(info.energy.clone())
            .register(clamped);
        let optional = [moved.is_some(), info.acceptance.is_some()];
        if let Some(moved) = moved {
            reads = reads.register(moved);
        }
        if let Some(acceptance) = &info.acceptance {
            reads = reads.register(acceptance.clone());
        }
        let mut read = device::read(reads).await.into_iter();
        let mut next = || read.next().unwrap_or_default();
        let [x, energy, summary] = [(); 3].map(|()| next());
        let [moved, accepted] = optional.map(|is_there| if is_there { next() } else { Vec::new() });
        // Energies are of the state before the step.
        let before = std::mem::replace(&mut self.seen.x, x);
        for (point, energy) in before.chunks_exact(2).zip(&energy).take(NUM_TRACED) {
            self.seen.traces.extend([point[0], point[1], *energy]);
        }
        self.seen.mean_energy = energy.iter().sum::<f32>() / energy.len() as f32;
        self.seen.clamp_rate = summary.get(1).copied().unwrap_or_default();
        self.seen.acceptance = (!accepted.is_empty()).then(|| {
            accepted.chunks_exact(2).map(|pair| pair[1]).sum::<f32>() / energy.len() as f32
        });
        let pair = |at: usize| [0, 1].map(|axis| moved.get(at + axis).copied().unwrap_or_default());
        Read { moved: [pair(0), pair(2)], accepted }
    }
}

/// What is read of a step beside where it led.
struct Read {
    /// Where the tracked chain was, and the gradient there.
    moved: [[f32; 2]; 2],
    /// Shape (N, 2), see [`StepInfo::acceptance`].
    accepted: Vec<f32>,
}
