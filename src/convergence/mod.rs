//! Convergence diagnostics of chains: R-hat, effective sample sizes, acceptance, and whether long chains stay where
//! short ones end.
//!
//! The weights are fixed. All diagnostics use scalar summaries of the chains, never single pixels.

mod acceptance;
mod recorded;
mod report;
mod short_run;
mod summaries;
mod superchains;

use std::ops::ControlFlow;

use crate::{
    chains::{ChainRun, ChainStep},
    checkpoint::Checkpoint,
    class_centers::ClassCentersError,
    config::{GapLoss, Norm, SamplerConfig, StepSchedule},
    device::ReadError,
    diagnostics::{self, Diagnostic, DoesNotApply, applicability},
    energy::Energy,
    numbers::argmax,
    sampler::Sampler,
};
use acceptance::Watch;
use summaries::{DISTANCE, Seen, Summaries};

pub use acceptance::Acceptance;
pub use recorded::Recorded;
pub use report::{Diagnosis, Numbers};
pub use short_run::{Distance, NoShortRun, ShortRun, Spread, SummaryEnds};
pub use superchains::Superchains;

/// The smallest number of draws per chain after the warm-up: halves of two.
const MIN_DRAWS: usize = 4;

/// The largest number of values per summary, over all chains, that are diagnosed and saved: some 10 MiB in total. If
/// there are more draws, only every k-th is used, including the last.
const MAX_VALUES: usize = 1 << 18;

/// The settings of a diagnosis: warm-up and length of the short run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConvergenceSettings {
    /// The number of warm-up steps per chain that are left out; half of the steps if `None`.
    pub warmup: Option<usize>,
    /// The number of steps of the short run to compare with; that of training if `None`.
    pub short: Option<usize>,
}

/// The reason why chains cannot be diagnosed.
#[derive(Debug, thiserror::Error)]
pub enum ConvergenceError {
    /// There is only one chain and none to compare it with.
    #[error("diagnostics compare chains: there must be at least 2, found {num_chains}")]
    TooFewChains {
        /// The number of chains.
        num_chains: usize,
    },
    /// Each chain has too few draws.
    #[error(
        "diagnostics need at least {MIN_DRAWS} draws of each chain: {num_steps} steps less a warm-up of {warmup} leave \
         {num_draws}"
    )]
    TooFewDraws {
        /// The number of steps per chain.
        num_steps: usize,
        /// The number of warm-up steps.
        warmup: usize,
        /// The number of draws that remain.
        num_draws: usize,
    },
    /// The short run has no steps.
    #[error("a short run needs at least one step")]
    NoShortSteps,
    /// The short run is not shorter than the run itself.
    #[error("a short run of {short} steps is no shorter than the run of {num_steps} steps")]
    NotShorter {
        /// The number of steps of the short run.
        short: usize,
        /// The number of steps of the run.
        num_steps: usize,
    },
    /// The means of the classes have no principal axes.
    #[error(transparent)]
    ClassCenters(#[from] ClassCentersError),
    /// Reading from the device failed.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl ConvergenceSettings {
    fn warmup(&self, num_steps: usize) -> usize {
        self.warmup.unwrap_or(num_steps / 2)
    }

    /// The number k of which every k-th draw is diagnosed and saved: 1, unless that would be too many draws to keep.
    pub fn every(&self, num_steps: usize, num_chains: usize) -> usize {
        let num_draws = num_steps.saturating_sub(self.warmup(num_steps));
        (num_draws * num_chains).div_ceil(MAX_VALUES).max(1)
    }

    /// Checks that chains of this number and length can be diagnosed.
    ///
    /// # Errors
    /// Too few chains or draws, a short run that is not shorter.
    pub fn check(&self, num_chains: usize, num_steps: usize) -> Result<(), ConvergenceError> {
        let warmup = self.warmup(num_steps);
        let num_draws = num_steps.saturating_sub(warmup);
        if num_chains < 2 {
            return Err(ConvergenceError::TooFewChains { num_chains });
        }
        if num_draws < MIN_DRAWS {
            return Err(ConvergenceError::TooFewDraws { num_steps, warmup, num_draws });
        }
        match self.short {
            Some(0) => Err(ConvergenceError::NoShortSteps),
            Some(short) if short >= num_steps => {
                Err(ConvergenceError::NotShorter { short, num_steps })
            }
            _ => Ok(()),
        }
    }
}

/// Groups the chains of a run by their starts.
fn superchains(run: &ChainRun) -> Superchains {
    let settings = run.settings();
    Superchains::new(&settings.start, settings.chains_per_start)
}

/// The reason why one summary has no common distribution although the chains have one; `None` if it has.
fn refusal_of(superchains: Superchains, summary: &str) -> Option<DoesNotApply> {
    let is_own = summary == DISTANCE && superchains != Superchains::All;
    is_own.then_some(DoesNotApply::OwnStarts)
}

/// The summaries of all chains at one draw.
#[derive(Clone, Copy, Debug)]
pub struct Draw<'a> {
    /// The number of the draw: steps since the first one after the warm-up.
    pub draw: usize,
    /// One column per summary, in the order of [`Recorder::names`], with one value per chain.
    pub summaries: &'a [Vec<f32>],
}

/// Collects draws during a run of chains and diagnoses them at the end.
///
/// # Source
/// The diagnostics are those of [`crate::diagnostics`]; [`Recorder::names`] says how the summaries are computed.
pub struct Recorder {
    settings: ConvergenceSettings,
    warmup: usize,
    num_steps: usize,
    /// One of this many draws is kept.
    every: usize,
    summaries: Summaries,
    watch: Watch,
    /// The kept draws, per summary and chain.
    draws: Vec<Vec<Vec<f32>>>,
    /// The predicted class in the last draw, per chain.
    classes: Vec<Option<usize>>,
    /// The number of changes of the predicted class, over all chains.
    switches: usize,
    /// Whether a pixel has been at the border.
    is_saturated: bool,
    /// The summaries of the last state.
    last: Vec<Vec<f32>>,
    secs: f64,
}

impl Recorder {
    /// Creates a recorder for a run that is at its starts. From then on, the run reads logits, and where the chains are.
    ///
    /// # Errors
    /// Too few chains or draws, a short run that is not shorter, class means without principal axes.
    pub fn new(
        run: &mut ChainRun,
        settings: &ConvergenceSettings,
    ) -> Result<Self, ConvergenceError> {
        let (num_chains, num_steps) = (run.labels().len(), run.settings().num_steps);
        settings.check(run.all_labels().len(), num_steps)?;
        run.read_logits();
        let start = run.start().clone();
        let summaries = Summaries::new(run.checkpoint(), &start.device())?;
        let places = summaries.places().clone();
        run.measure(move |x| places.of(x, Some(start.clone())));
        let config = &run.checkpoint().config;
        let has_different_laws = run.settings().is_conditional && run.classes().len() > 1;
        let couples_chains = config.model.norm == Norm::Batch;
        let refusal = applicability(config.sampler.noise_std, couples_chains, has_different_laws);
        let is_affine = run.energy().first_layer_is_affine();
        Ok(Self {
            settings: *settings,
            warmup: settings.warmup(num_steps),
            num_steps,
            every: settings.every(num_steps, run.all_labels().len()),
            draws: vec![vec![Vec::new(); num_chains]; summaries.names().len()],
            summaries,
            watch: Watch::new(Sampler::new(&config.sampler), refusal, is_affine, num_chains),
            classes: vec![None; num_chains],
            switches: 0,
            is_saturated: false,
            last: Vec::new(),
            secs: 0.0,
        })
    }

    /// The names of the summaries:
    /// * `energy`: the energy of the density that the chain samples, E(x) or E(x, y);
    /// * `max_probability`, `entropy`: of p(y|x), the entropy in nats;
    /// * `gradient_norm`: ‖∂E/∂x‖;
    /// * `distance`: ‖x - x_0‖;
    /// * `clamp_rate`, `saturation`: the shares of clamped gradient components and of pixels at the border;
    /// * `class_axis_1`, `class_axis_2`: the coordinates of x along the first principal axes of the class means, in
    ///   units of x from their centre. For two classes, there is one axis: the line through both means.
    pub fn names(&self) -> Vec<String> {
        self.summaries.names()
    }

    /// Records the next step of the run. Returns its summaries if they are kept as a draw.
    ///
    /// # Errors
    /// The device failed.
    pub fn see(&mut self, step: &ChainStep) -> Result<Option<Draw<'_>>, ReadError> {
        let leaves = step.sampler.as_ref().filter(|_| step.step >= self.warmup);
        self.watch.see(leaves, step.x.clone(), &step.info)?;
        if step.step <= self.warmup {
            return Ok(None);
        }
        self.secs += step.secs;
        let seen = Seen::of(step);
        self.last = self.summaries.of(&seen, true);
        self.is_saturated |= seen.saturations.iter().any(|&share| share > 0.0);
        let num_classes = (seen.logits.len() / self.classes.len()).max(1);
        for (class, logits) in self.classes.iter_mut().zip(seen.logits.chunks(num_classes)) {
            let now = argmax(logits);
            self.switches += usize::from(class.is_some() && *class != now);
            *class = now;
        }
        // Counted back from the last draw.
        if !(self.num_steps - step.step).is_multiple_of(self.every) {
            return Ok(None);
        }
        for (draws, column) in self.draws.iter_mut().zip(&self.last) {
            draws.iter_mut().zip(column).for_each(|(chain, &value)| chain.push(value));
        }
        Ok(Some(Draw { draw: step.step - self.warmup - 1, summaries: &self.last }))
    }

    /// Computes the diagnosis at the end of a run. `progress` is called before each step of the short run with the
    /// steps done and all steps, and may stop it: the diagnosis is then without a short run.
    ///
    /// # Errors
    /// The device failed.
    pub fn finish(
        self,
        run: &ChainRun,
        progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Diagnosis, ReadError> {
        Ok(self.record(run, progress)?.diagnose())
    }

    /// What was seen of the chains of a run, at its end: that of a part of the chains gives a diagnosis with the other
    /// parts. `progress` is as for [`Self::finish`].
    ///
    /// # Errors
    /// The device failed.
    pub fn record(
        self,
        run: &ChainRun,
        progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Recorded, ReadError> {
        let Checkpoint { config, counters, .. } = run.checkpoint();
        let num_short = self.settings.short.unwrap_or(counters.chain_steps(config));
        let short = match num_short < self.num_steps {
            true => short_run::see(run, &self.summaries, num_short, progress)?,
            false => Err(NoShortRun::NotShorter { num_short }),
        };
        Ok(Recorded {
            sampler: config.sampler.clone(),
            is_conditional: run.settings().is_conditional,
            couples_chains: config.model.norm == Norm::Batch,
            is_affine: run.energy().first_layer_is_affine(),
            is_logistic: config.objective.p_x_weight > 0.0
                && config.objective.gap_loss == GapLoss::Logistic,
            superchains: superchains(run),
            chains_per_start: run.settings().chains_per_start,
            num_steps: self.num_steps,
            warmup: self.warmup,
            every: self.every,
            names: self.summaries.names(),
            labels: run.labels().to_vec(),
            draws: self.draws,
            last: self.last,
            switches: self.switches,
            is_saturated: self.is_saturated,
            secs: self.secs,
            watched: self.watch.finish()?,
            num_short,
            short,
        })
    }
}

/// Warnings about how to read the diagnosis.
fn caveats(section: &SamplerConfig, is_logistic: bool) -> Vec<&'static str> {
    let is_falling = section.step_schedule != StepSchedule::Constant;
    let falling = "the step size falls along the run, so late draws move less than early ones; \
                   sampler.step_schedule = constant keeps one rule";
    let unknown = "no formula is known for the distribution of chains along normalised gradients: these numbers say whether the \
                   chains agree, not what they sample";
    let has_no_law = section.inverse_temperature().is_none();
    let support = "the logistic loss tells data from chains by the sign of E: the p(x) of such an energy says where data lie, and \
                   hardly how frequent they are there";
    let said = [
        is_falling.then_some(falling),
        has_no_law.then_some(unknown),
        is_logistic.then_some(support),
    ];
    said.into_iter().flatten().collect()
}

/// The diagnostics of one summary, in the order of [`report::OF_SUMMARIES`]; successive `draws` are `every` steps
/// apart.
fn assess(
    draws: &[Vec<f64>],
    every: usize,
    superchains: &[usize],
    secs: f64,
    refusal: Option<DoesNotApply>,
) -> Numbers {
    let found = diagnostics::report(draws);
    let value = |diagnostic| match (refusal, diagnostic) {
        (Some(reason), _) => Err(reason),
        (None, Diagnostic::SplitRHat) => found.split_r_hat,
        (None, Diagnostic::NestedRHat) => diagnostics::nested_r_hat(draws, superchains),
        (None, Diagnostic::EssBulk) => found.ess_bulk,
        (None, Diagnostic::EssTail) => found.ess_tail,
        (None, Diagnostic::EssPerSec) => found.ess_bulk.map(|ess| ess / secs),
        (None, _) => found.integrated_time.map(|draws| draws * every as f64),
    };
    report::OF_SUMMARIES.map(|diagnostic| (diagnostic, value(diagnostic))).to_vec()
}
