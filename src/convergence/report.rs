//! A diagnosis as data, as JSON and as a table of draws.

use serde_json::{Map, Value, json};

use super::{Acceptance, Distance, NoShortRun, ShortRun, Spread, SummaryEnds, Superchains};
use crate::diagnostics::{Diagnostic, DoesNotApply};

/// What is said of every summary.
pub(super) const OF_SUMMARIES: [Diagnostic; 6] = [
    Diagnostic::SplitRHat,
    Diagnostic::NestedRHat,
    Diagnostic::EssBulk,
    Diagnostic::EssTail,
    Diagnostic::EssPerSec,
    Diagnostic::IntegratedTime,
];

/// The diagnostics of one summary, each with its number or why there is none.
pub type Numbers = Vec<(Diagnostic, Result<f64, DoesNotApply>)>;

/// Everything that is said of some chains.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnosis {
    /// How many chains.
    pub num_chains: usize,
    /// Steps of each.
    pub num_steps: usize,
    /// Steps of each that are left out.
    pub warmup: usize,
    /// Draws of each: the steps after the warm-up, or every so many of them.
    pub num_draws: usize,
    /// Steps from one draw to the next: 1, unless there are more draws than are kept.
    pub every: usize,
    /// Seconds that all steps after the warm-up took.
    pub secs: f64,
    /// β = 2α/σ² of the law p^β that small steps would follow; infinite without noise.
    pub inverse_temperature: f64,
    /// What to bear in mind.
    pub caveats: Vec<&'static str>,
    /// What nested R̂ compares.
    pub superchains: Superchains,
    /// Every summary with its diagnostics.
    pub summaries: Vec<(String, Numbers)>,
    /// How often the class that the network sees in a chain changed, the mean over chains.
    pub switches: f64,
    /// How probable acceptance was.
    pub acceptance: Acceptance,
    /// Long chains against short ones, or why there is nothing to compare.
    pub short_run: Result<ShortRun, NoShortRun>,
}

impl Diagnosis {
    /// Whether nothing was left out because the job was stopped.
    pub fn is_complete(&self) -> bool {
        !matches!(self.short_run, Err(NoShortRun::Stopped))
    }

    /// The content of `diagnostics.json`: numbers, or `{"does_not_apply": reason}` in their place.
    pub fn to_json(&self) -> Value {
        let summaries = self.summaries.iter().map(|(name, values)| {
            let values = values.iter().map(|(diagnostic, value)| {
                (key(*diagnostic).to_string(), or_reason(*value, finite))
            });
            (name.clone(), Value::Object(values.collect()))
        });
        let names = self.summaries.iter().map(|(name, _)| name.clone());
        let short_run = match &self.short_run {
            Err(reason) => json!({ "does_not_apply": reason.to_string() }),
            Ok(short) => json!({
                "num_steps": short.num_steps,
                "num_test_images": short.num_test_images.as_ref().map_or_else(
                    |reason| json!({ "does_not_apply": reason }),
                    |count| json!(count),
                ),
                "summaries": names.zip(short.summaries.iter().map(ends)).collect::<Map<_, _>>(),
            }),
        };
        json!({
            "num_chains": self.num_chains,
            "warmup": self.warmup,
            "num_draws": self.num_draws,
            "steps_per_draw": self.every,
            "secs": self.secs,
            "inverse_temperature": finite(self.inverse_temperature),
            "caveats": self.caveats,
            "superchains": self.superchains.to_string(),
            "summaries": summaries.collect::<Map<_, _>>(),
            "switches_per_chain": self.switches,
            "acceptance": {
                "is_shadow": self.acceptance.is_shadow,
                "meets_border": self.acceptance.meets_border,
                "probability": or_reason(self.acceptance.probability, |value| json!(value)),
                "accepted": self.acceptance.accepted,
                "of_chains": self.acceptance.of_chains,
            },
            "short_run": short_run,
        })
    }
}

fn key(diagnostic: Diagnostic) -> &'static str {
    match diagnostic {
        Diagnostic::SplitRHat => "split_r_hat",
        Diagnostic::NestedRHat => "nested_r_hat",
        Diagnostic::EssBulk => "ess_bulk",
        Diagnostic::EssTail => "ess_tail",
        Diagnostic::EssPerSec => "ess_per_sec",
        Diagnostic::IntegratedTime => "integrated_time",
        Diagnostic::Switches => "switches",
    }
}

/// JSON knows no infinity, which R̂ is where chains differ but none moves.
fn finite(value: f64) -> Value {
    if value.is_finite() { json!(value) } else { json!("infinite") }
}

fn or_reason<T>(value: Result<T, DoesNotApply>, write: impl Fn(T) -> Value) -> Value {
    value.map_or_else(|reason| json!({ "does_not_apply": reason.to_string() }), write)
}

fn ends(ends: &SummaryEnds) -> Value {
    let spread =
        |spread: Spread| or_reason(spread, |(mean, std)| json!({"mean": mean, "std": std}));
    let distance = |distance: Distance| {
        or_reason(distance, |found| json!({"ks": found.distance, "critical": found.critical}))
    };
    json!({
        "short": spread(ends.short),
        "long": spread(ends.long),
        "test": ends.test.map(spread),
        "short_long": distance(ends.short_long),
        "short_test": ends.short_test.map(distance),
        "long_test": ends.long_test.map(distance),
    })
}
