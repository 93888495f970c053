//! Convergence diagnostics of every lane, over the second half of the record. If a diagnostic does not apply,
//! the report says why.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};

use super::{
    missing::{Departure, Missing, departure},
    series::has_exploded,
};
use crate::{
    app::record::Record,
    config::{LaneConfig, Norm, SamplerKind, StepSchedule, ViewStart},
    diagnostics::{self, Diagnostic, DoesNotApply},
    worker::LaneNumbers,
};

/// The maximum number of draws of all chains of a lane together, so that a frame has enough time.
const MAX_DRAWS: usize = 50_000;
/// The maximum number of lags of the autocorrelation.
const MAX_LAGS: usize = 150;
/// The approximate number of points of the curve of R̂, the first step that has one, and the maximum number of draws of
/// each.
const NUM_R_HATS: u64 = 24;
const FIRST_R_HAT: u64 = 16;
const MAX_R_HAT_DRAWS: usize = 10_000;
/// The minimum time between two updates, in seconds.
const INTERVAL_SECS: f64 = 0.5;

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Row {
    /// A diagnostic of the chains.
    Chains(Diagnostic),
    /// The acceptance rate, for MALA only.
    Acceptance,
}

impl Row {
    /// All rows, from the top.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        Diagnostic::ALL.into_iter().map(Self::Chains).chain([Self::Acceptance])
    }

    /// The name of this row.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Chains(diagnostic) => diagnostic.name(),
            Self::Acceptance => "MALA acceptance",
        }
    }

    /// A one-line explanation of this row.
    pub(super) fn meaning(self) -> &'static str {
        match self {
            Self::Chains(diagnostic) => diagnostic.meaning(),
            Self::Acceptance => diagnostics::ACCEPTANCE_MEANING,
        }
    }

    /// The number of this row as text, and its interpretation if there is a usual threshold.
    pub(super) fn text(self, value: f64) -> (String, &'static str) {
        match self {
            Self::Chains(diagnostic) => diagnostic.text(value),
            Self::Acceptance => (format!("{:.0} %", 100.0 * value), ""),
        }
    }
}

/// The part of the record that was evaluated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Window {
    /// The first step of this part.
    pub first: u64,
    /// The last step of this part.
    pub last: u64,
    /// The number of steps between two draws.
    pub stride: u64,
    /// The number of draws per chain.
    pub num_draws: usize,
}

/// The report on one lane.
#[derive(Clone, Debug, Default)]
pub(super) struct LaneReport {
    /// The part of the record that was evaluated.
    pub window: Window,
    /// For every [`Row`], a number, or the reason why there is none.
    pub values: Vec<Result<f64, Missing>>,
    /// The autocorrelation of the energy: lag in steps, correlation.
    pub autocorrelation: Vec<(f64, f64)>,
    /// Whether it is that of all chains together, and not the mean over the chains.
    pub is_joint: bool,
    /// Split R̂ along the run: at each step, over the second half of the steps up to it.
    pub r_hat: Vec<(f64, f64)>,
    /// Warnings about the interpretation.
    pub caveats: Vec<&'static str>,
    /// The chains that left the box, if the numbers end before.
    pub departure: Option<Departure>,
}

impl LaneReport {
    /// Why there is no R̂, if there is none.
    pub(super) fn why_no_r_hat(&self) -> Option<&str> {
        let row = Row::all().position(|row| row == Row::Chains(Diagnostic::SplitRHat))?;
        self.values.get(row)?.as_ref().err().map(|missing| missing.reason.as_str())
    }
}

/// The values of R̂ along a run by their steps, each with the entry of the record at its step: another run has other entries.
type RHats = BTreeMap<u64, (Weak<Vec<LaneNumbers>>, f64)>;

/// The reports on all lanes. They are updated at most twice a second, one lane per frame.
#[derive(Default)]
pub(super) struct Convergence {
    lanes: Vec<LaneReport>,
    /// The points of the curve of R̂ of each lane that were computed so far.
    r_hats: Vec<RHats>,
    /// The revision of the record that the reports belong to.
    revision: u64,
    next_lane: usize,
    next_at: f64,
}

impl Convergence {
    /// The report on each lane.
    pub(super) fn lanes(&self) -> &[LaneReport] {
        &self.lanes
    }

    /// Updates the next lane if it is due. Returns true if there is more to do soon.
    pub(super) fn update(
        &mut self,
        record: &Record,
        lanes: &[LaneConfig],
        revision: u64,
        now: f64,
    ) -> bool {
        let is_other_run = self.lanes.len() != lanes.len();
        if is_other_run {
            self.lanes = vec![LaneReport::default(); lanes.len()];
            self.r_hats = vec![RHats::new(); lanes.len()];
            (self.next_lane, self.next_at) = (0, now);
        }
        if self.next_lane == 0 {
            let has_news = is_other_run || self.revision != revision;
            if !has_news || now < self.next_at {
                return has_news;
            }
            self.revision = revision;
            self.next_at = now + INTERVAL_SECS;
        }
        let nth = self.next_lane;
        if let (Some(lane), Some(report), Some(known)) =
            (lanes.get(nth), self.lanes.get_mut(nth), self.r_hats.get_mut(nth))
        {
            *report = assess(record, nth, lane);
            if report.why_no_r_hat().is_none() {
                let newest = record.numbers.last_step().unwrap_or(0);
                let last = report.departure.as_ref().map_or(newest, |departure| departure.before);
                report.r_hat = r_hat_curve(record, nth, last, known);
            }
        }
        self.next_lane = (self.next_lane + 1) % lanes.len().max(1);
        self.next_lane != 0
    }

    /// Discards the reports, so that a change of a rule shows at once.
    pub(super) fn forget(&mut self) {
        self.lanes.clear();
        self.next_lane = 0;
    }
}

/// Equally spaced steps of the second half of the record up to step `last`, with the numbers of a lane.
fn window(
    record: &Record,
    lane: usize,
    last: u64,
    max_draws: usize,
) -> (Window, Vec<&LaneNumbers>) {
    let entries = record.numbers.entries();
    let first = last.div_ceil(2);
    let most = (max_draws / record.num_chains().max(1)).max(16);
    let mut stride = record.numbers.stride().max(1);
    loop {
        let kept: Vec<_> = entries
            .iter()
            .filter(|(step, _)| (first..=last).contains(step) && step % stride == 0)
            .filter_map(|(step, lanes)| lanes.get(lane).map(|numbers| (*step, numbers)))
            .collect();
        if kept.len() > most {
            stride *= 2;
            continue;
        }
        let first = kept.first().map_or(last, |entry| entry.0);
        let last = kept.last().map_or(last, |entry| entry.0);
        let window = Window { first, last, stride, num_draws: kept.len() };
        return (window, kept.into_iter().map(|entry| entry.1).collect());
    }
}

/// Computes the report on a lane.
fn assess(record: &Record, lane: usize, rule: &LaneConfig) -> LaneReport {
    let Some(newest) = record.numbers.last_step() else { return LaneReport::default() };
    let num_chains = record.num_chains();
    let refusal = refusal(record, rule)
        .or_else(|| exploded(&window(record, lane, newest, MAX_DRAWS).1, num_chains));
    let departure = match refusal {
        Some(_) => None,
        None => departure(record, lane, rule),
    };
    // Chains that left are not left out of the numbers, for that would look as if all were well: the numbers end before.
    let last = departure.as_ref().map_or(newest, |departure| departure.before);
    let (refusal, departure) = match departure {
        Some(departure) if departure.before < FIRST_R_HAT => {
            (Some(format!("{}: no number is valid for this lane", departure.what)), None)
        }
        departure => (refusal, departure),
    };
    let (window, numbers) = window(record, lane, last, MAX_DRAWS);
    let draws = energies(&numbers, num_chains);
    let needs_law = |value: &dyn Fn() -> Result<f64, DoesNotApply>| match &refusal {
        Some(reason) => Err(Missing::never(reason.as_str())),
        None => value().map_err(Missing::from),
    };
    let report = refusal.is_none().then(|| diagnostics::report(&draws));
    let of_report =
        |value: fn(&diagnostics::Report) -> Result<f64, DoesNotApply>| match (&report, &refusal) {
            (Some(report), _) => value(report).map_err(Missing::from),
            (None, reason) => Err(Missing::never(reason.clone().unwrap_or_default())),
        };
    let seconds = match (numbers.first(), numbers.last()) {
        (Some(first), Some(last)) => last.seconds - first.seconds,
        _ => 0.0,
    };
    let superchains = superchains(record, lane);
    let values = Row::all().map(|row| match row {
        Row::Chains(Diagnostic::SplitRHat) => of_report(|report| report.split_r_hat),
        Row::Chains(Diagnostic::NestedRHat) => {
            needs_law(&|| diagnostics::nested_r_hat(&draws, &superchains))
        }
        Row::Chains(Diagnostic::EssBulk) => of_report(|report| report.ess_bulk),
        Row::Chains(Diagnostic::EssTail) => of_report(|report| report.ess_tail),
        Row::Chains(Diagnostic::EssPerSec) => match seconds > 0.0 {
            true => of_report(|report| report.ess_bulk).map(|ess| ess / seconds),
            false => Err(Missing::early("no time has passed yet")),
        },
        Row::Chains(Diagnostic::IntegratedTime) => {
            of_report(|report| report.integrated_time).map(|draws| draws * window.stride as f64)
        }
        Row::Chains(Diagnostic::Switches) => switches(&numbers, num_chains),
        Row::Acceptance => acceptance(&numbers, rule.sampler.kind),
    });
    LaneReport {
        window,
        values: values.collect(),
        autocorrelation: autocorrelation(&draws, window.stride, refusal.is_none()),
        is_joint: refusal.is_none(),
        r_hat: Vec::new(),
        caveats: caveats(record, lane, rule, window.stride),
        departure,
    }
}

/// The superchain of each chain, those that share a start, as `convergence::Superchains` has them: chains from one picture
/// all share it, and those from uniform noise share nothing.
fn superchains(record: &Record, lane: usize) -> Vec<usize> {
    let start = record.request.lanes.get(lane).map(|lane| lane.start);
    let of_chain = |(chain, &label): (usize, &u32)| match start {
        Some(ViewStart::Image) => 0,
        Some(ViewStart::Uniform) => chain,
        Some(ViewStart::ClassCenters | ViewStart::Data | ViewStart::Buffer) | None => {
            label as usize
        }
    };
    record.request.labels.iter().enumerate().map(of_chain).collect()
}

/// The energies of each chain at these steps.
fn energies(numbers: &[&LaneNumbers], num_chains: usize) -> Vec<Vec<f64>> {
    (0..num_chains)
        .map(|chain| numbers.iter().map(|numbers| f64::from(numbers.energy[chain])).collect())
        .collect()
}

/// Why there are no numbers, if chains have exploded: those of the others would look as if all were well.
fn exploded(numbers: &[&LaneNumbers], num_chains: usize) -> Option<String> {
    let is_lost = |&chain: &usize| numbers.iter().any(|lane| has_exploded(lane, chain));
    let count = (0..num_chains).filter(is_lost).count();
    (count > 0).then(|| {
        format!("{count} of {num_chains} chains exploded: no number is valid for this lane")
    })
}

/// Split R̂ at about [`NUM_R_HATS`] steps of the run up to step `last`. `known` holds those that were computed before.
fn r_hat_curve(record: &Record, lane: usize, last: u64, known: &mut RHats) -> Vec<(f64, f64)> {
    known.retain(|&step, (entry, _)| step <= last && record.still_has(step, entry));
    // A power of two, so that a longer run needs a part of the same steps.
    let stride = (last / NUM_R_HATS).max(4).next_power_of_two();
    let steps = (1..=last / stride).map(|nth| nth * stride).filter(|&step| step >= FIRST_R_HAT);
    let value = |step: u64| {
        let (_, numbers) = window(record, lane, step, MAX_R_HAT_DRAWS);
        let value = diagnostics::split_r_hat(&energies(&numbers, record.num_chains()));
        let entry = record.numbers.at(step).map(|(_, entry)| Arc::downgrade(entry));
        (entry.unwrap_or_default(), value.unwrap_or(f64::NAN))
    };
    steps.map(|step| (step as f64, known.entry(step).or_insert_with(|| value(step)).1)).collect()
}

/// Why chains of this rule have no common stationary distribution, as far as the rule alone tells.
fn refusal(record: &Record, rule: &LaneConfig) -> Option<String> {
    if record.weights_change {
        return Some(
            "the weights changed while these chains ran: there was no single distribution".into(),
        );
    }
    let couples_chains = rule.norm == Norm::Batch;
    let labels = &record.request.labels;
    let has_classes = labels.iter().any(|label| Some(label) != labels.first());
    let has_different_laws = rule.is_conditional && has_classes;
    diagnostics::applicability(rule.sampler.noise_std, couples_chains, has_different_laws)
        .map(|reason| reason.to_string())
}

fn caveats(record: &Record, lane: usize, rule: &LaneConfig, stride: u64) -> Vec<&'static str> {
    let is_changed = record.request.lanes.get(lane).is_some_and(|at_start| {
        // The length of the run does not count as a change of the rule.
        let mut rule = rule.clone();
        rule.sampler.num_steps = at_start.sampler.num_steps;
        *at_start != rule
    });
    let is_falling = rule.sampler.step_schedule != StepSchedule::Constant;
    let caveats = [
        (is_changed, "The sampler was changed during the run: these draws may mix both samplers."),
        (is_falling, "The step size changes during the run, so early and late steps differ."),
        (
            rule.sampler.inverse_temperature().is_none(),
            "No formula is known for the distribution that normalised gradients sample.",
        ),
        (stride > 1, "Switches between the recorded steps are not counted."),
    ];
    caveats.into_iter().filter_map(|(applies, text)| applies.then_some(text)).collect()
}

/// The number of changes of the predicted class, as the mean over the chains.
fn switches(numbers: &[&LaneNumbers], num_chains: usize) -> Result<f64, Missing> {
    if numbers.len() < 2 {
        return Err(DoesNotApply::TooFewDraws { needed: 2, found: numbers.len() }.into());
    }
    let mut total = 0;
    for chain in 0..num_chains {
        let classes: Option<Vec<u32>> = numbers
            .iter()
            .map(|numbers| numbers.prediction(chain).map(|(class, _)| class as u32))
            .collect();
        let Some(classes) = classes else {
            let reason = format!("p(y|x) of chain {} is not a finite number", chain + 1);
            return Err(Missing::never(reason));
        };
        total += diagnostics::switches(&classes);
    }
    Ok(total as f64 / num_chains.max(1) as f64)
}

fn acceptance(numbers: &[&LaneNumbers], kind: SamplerKind) -> Result<f64, Missing> {
    if kind != SamplerKind::Mala {
        return Err(Missing::never("only MALA accepts or rejects"));
    }
    let all = numbers.iter().flat_map(|numbers| &numbers.acceptance);
    let finite = all.copied().filter(|value| value.is_finite());
    let (sum, count) =
        finite.fold((0.0, 0usize), |(sum, count), value| (sum + f64::from(value), count + 1));
    match count {
        0 => Err(Missing::early("no step was proposed yet")),
        _ => Ok(sum / count as f64),
    }
}

/// The correlation of the energy with itself some steps later. Chains of one distribution are taken together, as in the
/// autocorrelation time, so that those which disagree stay above 0. Otherwise it is the mean over the chains.
fn autocorrelation(
    draws: &[Vec<f64>],
    stride: u64,
    have_one_distribution: bool,
) -> Vec<(f64, f64)> {
    let num_draws = draws.first().map_or(0, Vec::len);
    if num_draws < 8 {
        return Vec::new();
    }
    let max_lag = (num_draws / 2).min(MAX_LAGS);
    let values = match have_one_distribution {
        true => diagnostics::joint_autocorrelation(draws, max_lag).unwrap_or_default(),
        false => mean_autocorrelation(draws, max_lag),
    };
    values.into_iter().enumerate().map(|(lag, v)| ((lag as u64 * stride) as f64, v)).collect()
}

/// The mean over the chains that move of their autocorrelation at the lags 0 to `max_lag`.
fn mean_autocorrelation(draws: &[Vec<f64>], max_lag: usize) -> Vec<f64> {
    let chains = draws.iter().map(|chain| diagnostics::autocorrelation(chain, max_lag));
    let finite: Vec<_> = chains.filter(|chain| !chain.is_empty()).collect();
    let mean =
        |lag: usize| finite.iter().map(|chain| chain[lag]).sum::<f64>() / finite.len() as f64;
    (0..=max_lag).filter(|_| !finite.is_empty()).map(mean).collect()
}

#[cfg(test)]
mod tests;
