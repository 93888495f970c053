//! What a sampling job says of its chains: convergence, acceptance, and whether long chains stay where short ones end.
//!
//! Weights stand still, and everything is said of scalar summaries, never of single pixels.

mod acceptance;
mod report;
mod short_run;
mod summaries;
mod superchains;

use std::{collections::BTreeSet, path::PathBuf};

use burn::tensor::{Tensor, Transaction};
use pollster::block_on;

use super::{Report, SampleRequest, SamplingError, table::Table};
use crate::{
    checkpoint::Checkpoint,
    config::{Norm, SamplerConfig, StepSchedule},
    device,
    diagnostics::{self, Diagnostic, DoesNotApply, applicability},
    energy::JointEnergy,
    model::Network,
    results_folder::ResultsError,
    sampler::{Sampler, StepInfo, inverse_temperature},
};
use acceptance::Watch;
use summaries::{DISTANCE, Summaries};

pub use acceptance::Acceptance;
pub use report::{Diagnosis, Numbers};
pub use short_run::{Distance, NoShortRun, ShortRun, Spread, SummaryEnds};
pub use summaries::Seen;
pub use superchains::Superchains;

/// Fewest draws of a chain after the warm-up: halves of two.
const MIN_DRAWS: usize = 4;

/// Most values of each summary, all chains together, that are diagnosed and written down: some 10 MiB in all. Of more
/// draws every k-th is taken, the last among them.
const MAX_VALUES: usize = 1 << 18;

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

    /// Of how many draws one is diagnosed and written down: 1, unless that would be too much to keep.
    pub fn every(&self, num_steps: usize, num_chains: usize) -> usize {
        let num_draws = num_steps.saturating_sub(self.warmup(num_steps));
        (num_draws * num_chains).div_ceil(MAX_VALUES).max(1)
    }

    /// Checks that there will be something to say.
    ///
    /// # Errors
    /// Too few chains or draws; chains of a class that cannot be shared out among starts; a short run that
    /// is not short.
    pub(super) fn check(
        &self,
        num_chains: usize,
        request: &SampleRequest,
    ) -> Result<(), SamplingError> {
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
        Err(SamplingError::Request(wrong))
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

/// Collects draws while the chains run, and writes them down.
pub(super) struct Recorder {
    request: DiagnoseRequest,
    warmup: usize,
    num_steps: usize,
    /// Of so many draws one is kept.
    every: usize,
    summaries: Summaries,
    start: Tensor<4>,
    start_values: Vec<f32>,
    refusal: Option<DoesNotApply>,
    watch: Watch,
    /// `draws.csv`.
    table: Table,
    /// Per summary and chain, the draws that are kept.
    draws: Vec<Vec<Vec<f32>>>,
    /// Per chain, the class that the network sees in the last draw.
    classes: Vec<Option<usize>>,
    /// How often that changed, all chains together.
    switches: usize,
    /// Whether a pixel was at the border.
    is_saturated: bool,
    /// Summaries of the last state.
    last: Vec<Vec<f32>>,
    secs: f64,
}

impl Recorder {
    /// For chains that leave `start` (N, C, H, W); the draws go into the file `path`.
    ///
    /// # Errors
    /// Class means without principal axes, a file that cannot be written.
    pub(super) fn new(
        run: &Run,
        request: &DiagnoseRequest,
        start: Tensor<4>,
        path: PathBuf,
    ) -> Result<Self, SamplingError> {
        let summaries = Summaries::new(run.checkpoint)?;
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
        let warmup = request.warmup(num_steps);
        let names = summaries.names();
        Ok(Self {
            request: *request,
            warmup,
            num_steps,
            every: request.every(num_steps, num_chains),
            draws: vec![vec![Vec::new(); num_chains]; names.len()],
            table: Table::new(path, &format!("chain,draw,{}", names.join(",")))?,
            summaries,
            start_values: read(start.clone()),
            start,
            refusal,
            watch,
            classes: vec![None; num_chains],
            switches: 0,
            is_saturated: false,
            last: Vec::new(),
            secs: 0.0,
        })
    }

    /// Takes in the state after `step` steps, which `sampler` leaves next, if it is left, and which `secs` went into
    /// looking at.
    ///
    /// # Errors
    /// The draws cannot be written.
    pub(super) fn see(
        &mut self,
        step: usize,
        sampler: Option<&Sampler>,
        x: Tensor<4>,
        info: &StepInfo,
        seen: &Seen,
        secs: f64,
    ) -> Result<(), ResultsError> {
        self.watch.see(sampler.filter(|_| step >= self.warmup), x, info);
        if step <= self.warmup {
            return Ok(());
        }
        self.secs += secs;
        self.last = self.summaries.of(seen, Some(&self.start_values));
        self.is_saturated |= seen.saturations().any(|share| share > 0.0);
        let num_classes = (seen.logits.len() / self.classes.len()).max(1);
        for (class, logits) in self.classes.iter_mut().zip(seen.logits.chunks(num_classes)) {
            let best = |&a: &usize, &b: &usize| logits[a].total_cmp(&logits[b]);
            let now = (0..num_classes).max_by(best);
            self.switches += usize::from(class.is_some() && *class != now);
            *class = now;
        }
        // From the last draw backwards.
        if (self.num_steps - step).is_multiple_of(self.every) {
            self.keep(step - self.warmup - 1)?;
        }
        Ok(())
    }

    /// Keeps the last summaries as draw `draw`.
    fn keep(&mut self, draw: usize) -> Result<(), ResultsError> {
        for (draws, column) in self.draws.iter_mut().zip(&self.last) {
            draws.iter_mut().zip(column).for_each(|(chain, &value)| chain.push(value));
        }
        for chain in 0..self.classes.len() {
            self.table.add(format_args!("{chain},{draw}"));
            for column in &self.last {
                // With all digits: what is read back is the same number.
                self.table.add(format_args!(",{}", f64::from(column[chain])));
            }
            self.table.end_row();
        }
        self.table.keep()
    }

    /// Ends the table of draws without a diagnosis.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn stop(self) -> Result<PathBuf, ResultsError> {
        self.table.finish()
    }

    /// The diagnosis. Once `stop` says so, it goes without a short run.
    ///
    /// # Errors
    /// The short run cannot be made, the draws cannot be written.
    pub(super) fn finish(
        self,
        run: &Run,
        energy: &JointEnergy,
        stop: &dyn Fn() -> bool,
        report: Report,
    ) -> Result<Diagnosis, SamplingError> {
        self.table.finish()?;
        let section = &run.checkpoint.config.sampler;
        let num_short = self.request.short.unwrap_or(section.num_steps);
        let short_run = match num_short < self.num_steps {
            true => {
                let long = short_run::Long { start: self.start, last: &self.last };
                short_run::compare(run, &self.summaries, energy, long, num_short, stop, report)?
            }
            false => Err(NoShortRun::NotShorter { num_short }),
        };
        let superchains = run.superchains();
        let ids = superchains.ids(run.labels);
        let names = self.summaries.names();
        let values = names.iter().zip(self.draws).map(|(name, draws)| {
            let refusal = self.refusal.or(run.refusal_of(name));
            let wide = |chain: Vec<f32>| chain.into_iter().map(f64::from).collect();
            let draws: Vec<Vec<f64>> = draws.into_iter().map(wide).collect();
            assess(&draws, self.every, &ids, self.secs, refusal)
        });
        let values: Vec<Numbers> = values.collect();
        // Where nothing is projected, nothing is at the border but by chance.
        let is_projected = Sampler::new(section).proximal_radius().is_some();
        Ok(Diagnosis {
            num_chains: run.labels.len(),
            num_steps: self.num_steps,
            warmup: self.warmup,
            num_draws: (self.num_steps - self.warmup).div_ceil(self.every),
            every: self.every,
            secs: self.secs,
            inverse_temperature: inverse_temperature(section.whole_step_size(), section.noise_std),
            caveats: caveats(section),
            superchains,
            summaries: names.into_iter().zip(values).collect(),
            switches: self.switches as f64 / run.labels.len() as f64,
            acceptance: self.watch.finish(is_projected && self.is_saturated),
            short_run,
        })
    }
}

/// What to bear in mind.
fn caveats(section: &SamplerConfig) -> Vec<&'static str> {
    let is_falling = section.step_schedule != StepSchedule::Constant;
    let text = "the step size falls along the run, so late draws move less than early ones; \
                --set sampler.step_schedule=constant keeps one rule";
    is_falling.then_some(text).into_iter().collect()
}

/// The diagnostics of one summary, in the order of [`report::OF_SUMMARIES`]; there are `every` steps from one of
/// `draws` to the next.
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

/// The values of a tensor.
fn read(x: Tensor<4>) -> Vec<f32> {
    block_on(device::read(Transaction::default().register(x))).concat()
}
