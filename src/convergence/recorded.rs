//! What a recorder has seen of chains, as plain numbers. It may be that of a part of the chains: the parts together give
//! the diagnosis of the whole.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    NoShortRun, Superchains, acceptance::Watched, applicability, assess, caveats, refusal_of,
    report::Diagnosis, short_run::ShortSeen,
};
use crate::{config::SamplerConfig, diagnostics::DoesNotApply, sampler::Sampler};

/// The draws of chains, and everything else that their diagnosis needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    pub(super) sampler: SamplerConfig,
    pub(super) is_conditional: bool,
    /// Whether the chains of a batch influence each other.
    pub(super) couples_chains: bool,
    /// Whether the first layer of the network is affine.
    pub(super) is_affine: bool,
    /// Whether the energy was trained with the logistic loss.
    pub(super) is_logistic: bool,
    pub(super) superchains: Superchains,
    pub(super) chains_per_start: usize,
    pub(super) num_steps: usize,
    pub(super) warmup: usize,
    pub(super) every: usize,
    /// The names of the summaries.
    pub(super) names: Vec<String>,
    /// The class of each chain.
    pub(super) labels: Vec<u32>,
    /// The kept draws, per summary and chain.
    pub(super) draws: Vec<Vec<Vec<f32>>>,
    /// The summaries of the last state, one column each.
    pub(super) last: Vec<Vec<f32>>,
    /// The number of changes of the predicted class, over all chains.
    pub(super) switches: usize,
    pub(super) is_saturated: bool,
    pub(super) secs: f64,
    pub(super) watched: Watched,
    /// The number of steps of the short run.
    pub(super) num_short: usize,
    /// The short run, or the reason why there is none.
    pub(super) short: Result<ShortSeen, NoShortRun>,
}

impl Recorded {
    /// Joins what was seen of the parts of a run, in the order of its chains; the seconds are summed. `None` if they are
    /// no parts of one run, or there is none.
    pub fn join(parts: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut parts = parts.into_iter();
        let mut whole = parts.next()?;
        for part in parts {
            let is_same = whole.names == part.names
                && (whole.num_steps, whole.warmup, whole.every, whole.num_short)
                    == (part.num_steps, part.warmup, part.every, part.num_short)
                && whole.last.len() == part.last.len()
                && whole.watched.num_steps == part.watched.num_steps;
            if !is_same {
                return None;
            }
            whole.labels.extend(part.labels);
            extend(&mut whole.draws, part.draws);
            extend(&mut whole.last, part.last);
            whole.switches += part.switches;
            whole.is_saturated |= part.is_saturated;
            whole.secs += part.secs;
            whole.watched.sums.extend(part.watched.sums);
            match (&mut whole.short, part.short) {
                (Ok(whole), Ok(part)) => whole.join(part),
                (Err(_), Err(_)) => {}
                _ => return None,
            }
        }
        whole.is_consistent().then_some(whole)
    }

    /// Whether every column has a value for each chain.
    fn is_consistent(&self) -> bool {
        let (num_chains, num_draws) = (self.labels.len(), self.num_draws());
        num_chains > 0
            && self.names.len() == self.draws.len()
            && self.names.len() == self.last.len()
            && self.draws.iter().all(|chains| chains.len() == num_chains)
            && self.draws.iter().flatten().all(|chain| chain.len() == num_draws)
            && self.last.iter().all(|column| column.len() == num_chains)
            && self.watched.sums.len() == num_chains
            && match &self.short {
                Ok(short) => short.fits(self.names.len(), num_chains),
                Err(_) => true,
            }
    }

    /// The names of the summaries, as [`super::Recorder::names`].
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether there was a short run, or the reason why not.
    pub fn short_run(&self) -> Result<(), NoShortRun> {
        self.short.as_ref().map(|_| ()).map_err(|reason| *reason)
    }

    /// The number of draws of each chain.
    pub fn num_draws(&self) -> usize {
        self.num_steps.saturating_sub(self.warmup).div_ceil(self.every.max(1))
    }

    /// The diagnosis of these chains.
    pub fn diagnose(self) -> Diagnosis {
        let refusal = self.refusal();
        let ids = self.superchains.ids(&self.labels);
        let values = self.names.iter().zip(&self.draws).map(|(name, draws)| {
            let refusal = refusal.or(refusal_of(self.superchains, name));
            let wide = |chain: &Vec<f32>| chain.iter().copied().map(f64::from).collect();
            let draws: Vec<Vec<f64>> = draws.iter().map(wide).collect();
            (name.clone(), assess(&draws, self.every, &ids, self.secs, refusal))
        });
        let summaries = values.collect();
        let sampler = Sampler::new(&self.sampler);
        // Without projection, pixels are at the border only by chance.
        let meets_border = sampler.proximal_radius().is_some() && self.is_saturated;
        let num_chains = self.labels.len();
        let short_run = match &self.short {
            Ok(seen) => Ok(seen.compare(
                self.num_short,
                &self.last,
                &self.names,
                self.superchains,
                self.chains_per_start,
            )),
            Err(reason) => Err(*reason),
        };
        Diagnosis {
            num_chains,
            num_steps: self.num_steps,
            warmup: self.warmup,
            num_draws: self.num_draws(),
            every: self.every,
            secs: self.secs,
            inverse_temperature: self.sampler.inverse_temperature(),
            caveats: caveats(&self.sampler, self.is_logistic),
            superchains: self.superchains,
            summaries,
            switches: self.switches as f64 / num_chains as f64,
            acceptance: self.watched.acceptance(&sampler, refusal, self.is_affine, meets_border),
            short_run,
        }
    }

    /// The reason why the chains have no common distribution that is sampled.
    fn refusal(&self) -> Option<DoesNotApply> {
        let num_classes = self.labels.iter().collect::<BTreeSet<_>>().len();
        let has_different_laws = self.is_conditional && num_classes > 1;
        applicability(self.sampler.noise_std, self.couples_chains, has_different_laws)
    }
}

/// Appends to each column the one of a further part.
fn extend<T>(columns: &mut [Vec<T>], part: Vec<Vec<T>>) {
    columns.iter_mut().zip(part).for_each(|(column, part)| column.extend(part));
}
