//! What a sampling job says of its chains: convergence, acceptance, and whether long chains stay where short ones end.
//!
//! Weights stand still, and everything is said of scalar summaries, never of single pixels.

mod acceptance;
mod report;
mod short_run;
mod summaries;
mod superchains;

use std::collections::BTreeSet;

use burn::tensor::{Tensor, Transaction};
use pollster::block_on;

use super::SampleRequest;
use crate::{
    checkpoint::Checkpoint,
    class_centers::ClassCentersError,
    config::{Norm, SamplerConfig, StepSchedule},
    device,
    diagnostics::{self, Diagnostic, DoesNotApply, applicability},
    energy::JointEnergy,
    model::Network,
    sampler::{Sampler, StepInfo, inverse_temperature},
    trainer::TrainerError,
    worker::JobError,
};
use acceptance::Watch;
use summaries::{DISTANCE, SATURATION, Summaries};

pub use acceptance::Acceptance;
pub use report::{Diagnosis, Numbers};
pub use short_run::{Distance, ShortRun, Spread, SummaryEnds};
pub use summaries::Seen;
pub use superchains::Superchains;

/// Fewest draws of a chain after the warm-up: halves of two.
const MIN_DRAWS: usize = 4;

/// What to diagnose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiagnoseRequest {
    /// Steps of each chain that are left out; half of them if nobody says.
    pub warmup: Option<usize>,
    /// Steps of the short run that long chains are compared with; those of training if nobody says.
    pub short: Option<usize>,
    /// Chains that leave each start, a superchain of nested R̂. With one, the chains of a class are a superchain.
    pub chains_per_start: usize,
}

impl DiagnoseRequest {
    fn warmup(&self, num_steps: usize) -> usize {
        self.warmup.unwrap_or(num_steps / 2)
    }

    /// Checks that there will be something to say.
    ///
    /// # Errors
    /// Too few chains or draws; chains of a class that cannot be shared out among starts; a short run that
    /// is not short.
    pub(super) fn check(&self, num_chains: usize, request: &SampleRequest) -> Result<(), JobError> {
        let num_draws = request.num_steps.saturating_sub(self.warmup(request.num_steps));
        let wrong = if num_chains < 2 {
            "--diagnose compares chains: sample at least 2, with --per-class or more classes".into()
        } else if num_draws < MIN_DRAWS {
            format!(
                "--diagnose needs at least {MIN_DRAWS} draws of each chain: {} steps less a warm-up of {} leave \
                 {num_draws}. Set --steps higher or --warmup lower",
                request.num_steps,
                self.warmup(request.num_steps)
            )
        } else if !request.per_class.is_multiple_of(self.chains_per_start) {
            format!(
                "--per-class {} chains cannot be shared out among starts of --chains-per-start {}",
                request.per_class, self.chains_per_start
            )
        } else if self.short == Some(0) {
            "--short 0: a short run has at least one step".into()
        } else if let Some(short) = self.short.filter(|&short| short >= request.num_steps) {
            format!(
                "--short {short} is no shorter than the run of {} steps: set --steps higher",
                request.num_steps
            )
        } else {
            return Ok(());
        };
        Err(JobError::Request(wrong))
    }
}

/// What a sampling job is about.
pub(super) struct Run<'a> {
    pub(super) checkpoint: &'a Checkpoint,
    pub(super) request: &'a SampleRequest,
    pub(super) network: &'a Network,
    /// The class of each chain.
    pub(super) labels: &'a [u32],
}

impl Run<'_> {
    /// The energy of such chains, with logits.
    fn energy_for(&self, labels: Vec<u32>) -> JointEnergy {
        match self.request.is_conditional {
            true => JointEnergy::for_labels(self.network, labels),
            false => JointEnergy::new(self.network),
        }
        .with_logits()
    }

    /// Which chains began alike.
    fn superchains(&self) -> Superchains {
        let wanted = self.request.diagnose.as_ref();
        Superchains::new(&self.request.start, wanted.map_or(1, |wanted| wanted.chains_per_start))
    }

    /// Why one summary has no law that all chains share, though the chains have.
    fn refusal_of(&self, summary: &str) -> Option<DoesNotApply> {
        let is_own = summary == DISTANCE && self.superchains() != Superchains::All;
        is_own.then_some(DoesNotApply::OwnStarts)
    }

    /// The classes that are sampled.
    fn classes(&self) -> BTreeSet<u32> {
        self.labels.iter().copied().collect()
    }
}

/// Collects draws while the chains run.
pub(super) struct Recorder {
    request: DiagnoseRequest,
    warmup: usize,
    num_steps: usize,
    summaries: Summaries,
    start: Tensor<4>,
    start_values: Vec<f32>,
    refusal: Option<DoesNotApply>,
    watch: Watch,
    /// Per summary and chain, the draws.
    draws: Vec<Vec<Vec<f64>>>,
    /// Per chain, the class that the network sees in each draw.
    classes: Vec<Vec<u32>>,
    /// Summaries of the last state.
    last: Vec<Vec<f32>>,
    secs: f64,
}

impl Recorder {
    /// For chains that leave `start` (N, C, H, W).
    ///
    /// # Errors
    /// Class means without principal axes.
    pub(super) fn new(
        run: &Run,
        request: &DiagnoseRequest,
        start: Tensor<4>,
    ) -> Result<Self, JobError> {
        let axes = |error: ClassCentersError| JobError::from(TrainerError::from(error));
        let summaries = Summaries::new(run.checkpoint).map_err(axes)?;
        let config = &run.checkpoint.config;
        let has_different_laws = run.request.is_conditional && run.classes().len() > 1;
        let couples_chains = config.model.norm == Norm::Batch;
        let refusal = applicability(config.sampler.noise_std, couples_chains, has_different_laws);
        let num_chains = run.labels.len();
        let watch = Watch::new(
            Sampler::new(&config.sampler),
            refusal,
            run.network.first_layer_is_affine(),
            num_chains,
        );
        let num_steps = run.request.num_steps;
        Ok(Self {
            request: *request,
            warmup: request.warmup(num_steps),
            num_steps,
            draws: vec![vec![Vec::new(); num_chains]; summaries.names().len()],
            summaries,
            start_values: read(start.clone()),
            start,
            refusal,
            watch,
            classes: vec![Vec::new(); num_chains],
            last: Vec::new(),
            secs: 0.0,
        })
    }

    /// Takes in the state after `step` steps, which `sampler` leaves next and which `secs` went into looking at.
    pub(super) fn see(
        &mut self,
        step: usize,
        sampler: &Sampler,
        x: Tensor<4>,
        info: &StepInfo,
        seen: &Seen,
        secs: f64,
    ) {
        // The last state is evaluated but not left.
        let is_left = step < self.num_steps;
        self.watch.see(sampler, x, info, is_left && step >= self.warmup);
        if step <= self.warmup {
            return;
        }
        self.secs += secs;
        self.last = self.summaries.of(seen, Some(&self.start_values));
        for (draws, column) in self.draws.iter_mut().zip(&self.last) {
            for (chain, &value) in draws.iter_mut().zip(column) {
                chain.push(value.into());
            }
        }
        let num_classes = (seen.logits.len() / self.classes.len()).max(1);
        for (chain, logits) in self.classes.iter_mut().zip(seen.logits.chunks(num_classes)) {
            let best = |&a: &usize, &b: &usize| logits[a].total_cmp(&logits[b]);
            chain.push((0..num_classes).max_by(best).unwrap_or_default() as u32);
        }
    }

    /// The diagnosis, and the draws as a table.
    ///
    /// # Errors
    /// The short run cannot be made.
    pub(super) fn finish(
        self,
        run: &Run,
        energy: &JointEnergy,
    ) -> Result<(Diagnosis, String), JobError> {
        let section = &run.checkpoint.config.sampler;
        let num_short = self.request.short.unwrap_or(section.num_steps);
        let short_run = match num_short < self.num_steps {
            true => {
                let Self { summaries, start, last, .. } = &self;
                Ok(short_run::compare(run, summaries, energy, start.clone(), num_short, last)?)
            }
            false => Err(format!(
                "the run is no longer than the {num_short} steps of training's: set --steps higher"
            )),
        };
        let names = self.summaries.names();
        let table = report::table(&names, &self.draws);
        let superchains = run.superchains();
        let ids = superchains.ids(run.labels);
        let values = names.iter().zip(&self.draws).map(|(name, draws)| {
            let refusal = self.refusal.or(run.refusal_of(name));
            assess(draws, &ids, self.secs, refusal)
        });
        let values: Vec<Numbers> = values.collect();
        // Where nothing is projected, nothing is at the border but by chance.
        let meets_border = Sampler::new(section).proximal_radius().is_some()
            && names.iter().zip(&self.draws).any(|(name, draws)| {
                name == SATURATION && draws.iter().flatten().any(|&share| share > 0.0)
            });
        let switches: usize =
            self.classes.iter().map(|classes| diagnostics::switches(classes)).sum();
        let diagnosis = Diagnosis {
            num_chains: run.labels.len(),
            warmup: self.warmup,
            num_draws: self.num_steps - self.warmup,
            secs: self.secs,
            inverse_temperature: inverse_temperature(section.whole_step_size(), section.noise_std),
            caveats: caveats(section),
            superchains,
            summaries: names.into_iter().zip(values).collect(),
            switches: switches as f64 / run.labels.len() as f64,
            acceptance: self.watch.finish(meets_border),
            short_run,
        };
        Ok((diagnosis, table))
    }
}

/// What to bear in mind.
fn caveats(section: &SamplerConfig) -> Vec<&'static str> {
    let is_falling = section.step_schedule != StepSchedule::Constant;
    let text = "the step size falls along the run, so late draws move less than early ones; \
                --set sampler.step_schedule=constant keeps one rule";
    is_falling.then_some(text).into_iter().collect()
}

/// The diagnostics of one summary, in the order of [`report::OF_SUMMARIES`].
fn assess(
    draws: &[Vec<f64>],
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
        (None, _) => found.integrated_time,
    };
    report::OF_SUMMARIES.map(|diagnostic| (diagnostic, value(diagnostic))).to_vec()
}

/// The values of a tensor.
fn read(x: Tensor<4>) -> Vec<f32> {
    block_on(device::read(Transaction::default().register(x))).concat()
}
