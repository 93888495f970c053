//! The lab: chains on a 2-D energy, which is given by a formula, by a trained network, or by a network in training.

mod formula;
mod learner;
mod plane_lane;
mod slice;
mod starts;

use burn::tensor::{Device, Tensor, TensorData};

use super::JobError;
use crate::{
    assets, bundled,
    checkpoint::Checkpoint,
    config::{
        DatasetName, LabState, LabTarget, LaneConfig, MAX_RULES, ModelConfig, Norm, RunConfig,
    },
    device::{ReadError, read},
    diagnostics::cells,
    energy::{AnalyticEnergy, Energy, JointEnergy, energy_of_logits},
    numbers::argmax,
};

use formula::Analytic;
use plane_lane::{Ground, PlaneLane};

pub use super::message::lab::*;
pub use learner::Learner;
pub(super) use slice::slice;

/// The number of squares along a side of the plane, for a formula and for a network. They are multiples of the number
/// of cells.
const SIDES: [usize; 2] = [4 * cells::NUM_CELLS, 3 * cells::NUM_CELLS];
/// The batch size of points for a network.
const BATCH: usize = 4096;
const POINT: [usize; 3] = [2, 1, 1];

/// The source of the energy.
enum EnergySource {
    Analytic(Analytic),
    Trained(Box<Checkpoint>),
    /// The network that the lab trains.
    Learned,
}

/// The effects of a change of the lab's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Whether the energy surface changed.
    pub surface: bool,
    /// Whether the chains restarted.
    pub restarted: bool,
}

/// The lab on the device: its energy, its chains and its training run.
pub struct Lab {
    device: Device,
    state: LabState,
    source: EnergySource,
    surface: LabSurface,
    lanes: Vec<PlaneLane>,
    step: u64,
    tracked: usize,
    learner: Option<Learner>,
}

impl Lab {
    /// Opens the lab in this state, with the chains at their starts.
    ///
    /// # Errors
    /// The rules are not compatible, or the model does not exist.
    pub async fn open(state: LabState, device: &Device) -> Result<Self, JobError> {
        let (source, learner) = source_of(&state, None, device).await?;
        let mut lab = Self {
            device: device.clone(),
            surface: LabSurface {
                energy: [].into(),
                around: [].into(),
                classes: Vec::new(),
                num_classes: 1,
            },
            source,
            lanes: Vec::new(),
            step: 0,
            tracked: 0,
            learner,
            state,
        };
        lab.evaluate_surface().await?;
        lab.restart().await?;
        Ok(lab)
    }

    /// Changes the state. The chains keep their positions unless their number, their starts or their energy changes.
    ///
    /// # Errors
    /// The same errors as [`Lab::open`]; the lab is then unchanged.
    pub async fn set(&mut self, state: LabState) -> Result<Changes, JobError> {
        check(&state)?;
        let (old, new) = (&self.state.config, &state.config);
        let is_other_surface = new.has_other_source_than(old)
            || self.is_analytic() && (old.width, &old.painted) != (new.width, &new.painted);
        let restarted = state.begins_anew_after(&self.state);
        let (source, learner) = match is_other_surface {
            true => {
                let source = source_of(&state, self.learner.as_ref(), &self.device).await?;
                (Some(source.0), source.1)
            }
            false => (None, None),
        };
        let before = std::mem::replace(&mut self.state, state);
        let source = source.map(|source| std::mem::replace(&mut self.source, source));
        let learner = learner.map(|learner| self.learner.replace(learner));
        let surface = self.surface.clone();
        let changes = Changes { surface: is_other_surface, restarted };
        let result = self.show(changes).await;
        if result.is_err() {
            self.state = before;
            if let Some(source) = source {
                self.source = source;
            }
            if let Some(learner) = learner {
                self.learner = learner;
            }
            self.surface = surface;
            self.update_learner()?;
        }
        result.map(|()| changes)
    }

    /// Applies the effects of a change.
    async fn show(&mut self, changes: Changes) -> Result<(), JobError> {
        self.update_learner()?;
        if changes.surface {
            self.evaluate_surface().await?;
        }
        match changes.restarted {
            true => self.restart().await,
            false => self.follow_rules(changes.surface),
        }
    }

    fn update_learner(&mut self) -> Result<(), JobError> {
        match &mut self.learner {
            Some(learner) => learner.retune(&self.state.config),
            None => Ok(()),
        }
    }

    fn is_analytic(&self) -> bool {
        matches!(self.source, EnergySource::Analytic(_))
    }

    /// Makes the chains follow the rules of the state.
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

    /// Draws new starts and moves the chains to them.
    ///
    /// # Errors
    /// The energy does not have the requested start.
    pub async fn restart(&mut self) -> Result<(), JobError> {
        check(&self.state)?;
        let mut lanes = Vec::new();
        for rule in self.state.rules.clone() {
            let (x, labels) = self.starts(rule.start).await?;
            let ground = self.ground(&rule)?;
            let mut lane = PlaneLane::new(rule, ground, x, labels, self.state.config.seed);
            lane.look().await?;
            lanes.push(lane);
        }
        self.lanes = lanes;
        self.step = 0;
        Ok(())
    }

    /// Moves the chains of each rule to `x`, (N, 2) flattened, where they were after `step` steps. From there they continue with
    /// the same noise.
    ///
    /// # Errors
    /// There are other rules or another number of chains, or the device failed.
    pub async fn branch(&mut self, step: u64, x: Vec<Vec<f32>>) -> Result<(), JobError> {
        let length = 2 * self.state.config.num_chains;
        if x.len() != self.lanes.len() || x.iter().any(|x| x.len() != length) {
            return Err(JobError::Request("the recorded chains belong to another run".into()));
        }
        for (index, x) in x.into_iter().enumerate() {
            let x = self.points(x);
            self.lanes[index].branch(x, step).await?;
        }
        self.step = step;
        Ok(())
    }

    /// The number of steps done since the start.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// The current state of the lab.
    pub fn state(&self) -> &LabState {
        &self.state
    }

    /// The energies over the plane.
    pub fn surface(&self) -> &LabSurface {
        &self.surface
    }

    /// The class of each chain, for each rule.
    pub fn labels(&self) -> Vec<Vec<u8>> {
        self.lanes.iter().map(|lane| lane.labels.clone()).collect()
    }

    /// The training run of the lab, if there is one.
    pub fn learner(&mut self) -> Option<&mut Learner> {
        self.learner.as_mut()
    }

    /// The data set of the training run, if there is one.
    pub(super) fn learned_dataset(&self) -> Option<DatasetName> {
        self.learner.as_ref().map(Learner::dataset)
    }

    /// Restarts training, with initial weights from this seed.
    ///
    /// # Errors
    /// The training run could not be created, or the device failed.
    pub(crate) async fn start_over(&mut self, seed: u64) -> Result<(), JobError> {
        self.learner = Some(Learner::new(&self.state.config, seed, &self.device)?);
        self.follow_learner().await
    }

    /// Shows the energy with the current weights of the training run.
    ///
    /// # Errors
    /// The device failed.
    pub async fn follow_learner(&mut self) -> Result<(), JobError> {
        if matches!(self.source, EnergySource::Learned) {
            self.evaluate_surface().await?;
            self.follow_rules(true)?;
        }
        Ok(())
    }

    /// Selects the chain whose every step is reported from now on.
    pub fn track(&mut self, chain: usize) {
        self.tracked = chain;
    }

    /// Moves all chains by one step, with one readback for all rules.
    ///
    /// # Errors
    /// The device failed.
    pub async fn advance(&mut self) -> Result<(), ReadError> {
        let num_steps = self.state.config.num_steps;
        let steps = self.lanes.iter_mut().map(|lane| lane.encode(self.tracked, num_steps));
        let (reads, tracked): (Vec<_>, Vec<_>) = steps.unzip();
        let read = read(reads).await?;
        for ((lane, read), tracked) in self.lanes.iter_mut().zip(read).zip(tracked) {
            lane.decode(read, tracked);
        }
        self.step += 1;
        Ok(())
    }

    /// The current chains, with all traces since the last call.
    pub fn frame(&mut self) -> LabFrame {
        let lanes = self.lanes.iter_mut().map(|lane| {
            let traces = std::mem::take(&mut lane.seen.traces);
            LabLaneFrame { traces, ..lane.seen.clone() }
        });
        LabFrame { step: self.step, lanes: lanes.collect() }
    }

    /// The energy that the chains of a rule sample.
    fn ground(&self, rule: &LaneConfig) -> Result<Ground, JobError> {
        Ok(match (&self.source, &self.learner) {
            (EnergySource::Analytic(analytic), _) => {
                let form = analytic.form.clone();
                Ground::Analytic(Box::new(AnalyticEnergy::new(form, &self.device)))
            }
            (EnergySource::Trained(checkpoint), _) => {
                let config = &checkpoint.config.model;
                let model = ModelConfig { split: rule.split, norm: Norm::None, ..config.clone() };
                let network = checkpoint.network_with(&model, &self.device)?;
                Ground::Network(Box::new(JointEnergy::new(&network)))
            }
            (EnergySource::Learned, Some(learner)) => Ground::Network(Box::new(learner.energy())),
            (EnergySource::Learned, None) => {
                return Err(JobError::Request("no model is being trained".into()));
            }
        })
    }

    /// Evaluates the energy over the plane.
    async fn evaluate_surface(&mut self) -> Result<(), JobError> {
        let side = SIDES[usize::from(!self.is_analytic())];
        let ground = self.ground(&LaneConfig::default())?;
        let around = self.is_analytic().then(cells::surroundings).into_iter().flatten();
        let points: Vec<f32> = cells::grid(side).chain(around).flatten().collect();
        let (mut energy, mut classes) = (Vec::new(), Vec::new());
        let mut num_classes = 1;
        let reads = points.chunks(2 * BATCH).map(|part| {
            let x = self.points(part.to_vec());
            match &ground {
                Ground::Analytic(ground) => (ground.gradient(x).energy, None),
                Ground::Network(ground) => {
                    let logits = ground.logits(x);
                    (energy_of_logits(logits.clone()), Some(logits))
                }
            }
        });
        for (energies, logits) in read(reads.collect::<Vec<_>>()).await? {
            let logits = logits.unwrap_or_default();
            if !logits.is_empty() {
                num_classes = logits.len() / energies.len();
            }
            energy.extend(energies);
            let class = |row| argmax(row).unwrap_or(0) as u8;
            classes.extend(logits.chunks(num_classes).map(class));
        }
        if let EnergySource::Analytic(analytic) = &self.source {
            num_classes = analytic.num_classes() as usize;
            classes = cells::grid(side).map(|point| analytic.class_of(point) as u8).collect();
        }
        let around = energy.split_off(side * side);
        self.surface = LabSurface {
            energy: energy.into(),
            around: around.into(),
            classes,
            num_classes: num_classes as u32,
        };
        Ok(())
    }

    fn points(&self, values: Vec<f32>) -> Tensor<4> {
        let count = values.len() / 2;
        Tensor::from_data(TensorData::new(values, [count, 2, 1, 1]), &self.device)
    }
}

/// The energy source that the configuration names, and a new learner if the current one trains on other data.
async fn source_of(
    state: &LabState,
    learner: Option<&Learner>,
    device: &Device,
) -> Result<(EnergySource, Option<Learner>), JobError> {
    let LabState { config, .. } = state;
    if let Some(analytic) = Analytic::of(config) {
        return Ok((EnergySource::Analytic(analytic), None));
    }
    if config.target == LabTarget::Learned {
        let is_other = learner.is_none_or(|learner| learner.dataset() != config.learn_data);
        let learner = is_other.then(|| Learner::new(config, config.seed, device)).transpose()?;
        return Ok((EnergySource::Learned, learner));
    }
    let model =
        bundled::find(&config.model).map_err(|error| JobError::Request(error.to_string()))?;
    assets::bring(&[model.file]).await?;
    let checkpoint = model.load()?;
    if checkpoint.input_shape != POINT {
        let name = model.name;
        return Err(JobError::Request(format!("{name} is a model of images, not of points")));
    }
    Ok((EnergySource::Trained(Box::new(checkpoint)), None))
}

/// Checks that the settings of the lab are compatible.
fn check(state: &LabState) -> Result<(), JobError> {
    if state.rules.is_empty() || state.rules.len() > MAX_RULES {
        let what = format!("the lab takes one to {MAX_RULES} rules");
        return Err(JobError::Request(what));
    }
    for rule in &state.rules {
        RunConfig { sampler: rule.sampler.clone(), ..RunConfig::default() }.validate()?;
    }
    Ok(())
}
