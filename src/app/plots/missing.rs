//! Why there are no numbers on convergence, or none after a step.

use crate::{
    app::{atlas::far, record::Record},
    config::LaneConfig,
    diagnostics::DoesNotApply,
    worker::LaneImages,
};

/// Why there is no number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Missing {
    /// The reason, as a part of a sentence.
    pub reason: String,
    /// Whether there is one after more steps.
    pub is_early: bool,
}

impl Missing {
    /// No step brings a number.
    pub(super) fn never(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_early: false }
    }

    /// More steps bring a number.
    pub(super) fn early(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_early: true }
    }
}

impl From<DoesNotApply> for Missing {
    fn from(reason: DoesNotApply) -> Self {
        let is_early = matches!(reason, DoesNotApply::TooFewDraws { .. });
        Self { reason: reason.to_string(), is_early }
    }
}

/// What is known of chains of images that have left the box, where no image is, whatever their energy.
#[derive(Clone, Debug)]
pub(super) struct Departure {
    /// The last recorded step at which all chains were in the box; the start if there is none.
    pub before: u64,
    /// How many chains left, and when the first did.
    pub what: String,
}

impl Departure {
    /// What follows for the numbers.
    pub(super) fn text(&self) -> String {
        format!("{}. R-hat and all numbers use only the steps before.", self.what)
    }
}

/// The chains of images that have left the box, beyond what the noise of their data explains; `None` if all are in it.
pub(super) fn departure(record: &Record, lane: usize, rule: &LaneConfig) -> Option<Departure> {
    let (far, num_chains) = (far(Some(rule)), record.num_chains());
    let num_outside = |(_, lanes): &(u64, Vec<LaneImages>)| {
        let x = lanes.get(lane).map_or(&[][..], |images| &images.x[..]);
        let width = x.len() / num_chains.max(1);
        let is_outside = |chain: &&[f32]| chain.iter().any(|value| value.abs() > far);
        // Points in the plane have no box.
        if width > 2 { x.chunks_exact(width).filter(is_outside).count() } else { 0 }
    };
    let entries = record.images.entries();
    let count = num_outside(entries.last()?);
    if count == 0 {
        return None;
    }
    // Chains that have left do not return, so the first is found by halving.
    let num_before = entries.partition_point(|entry| num_outside(entry) == 0);
    let first = entries.get(num_before)?.0;
    let before = num_before.checked_sub(1).map_or(0, |nth| entries[nth].0);
    let what =
        format!("{count} of {num_chains} chains left the box [−1, 1], the first by step {first}");
    Some(Departure { before, what })
}
