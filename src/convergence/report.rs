//! A diagnosis as data, as JSON and as a table of draws.

use serde_json::{Map, Value, json};

use super::{Acceptance, Distance, NoShortRun, ShortRun, Spread, SummaryEnds, Superchains};
use crate::diagnostics::{Diagnostic, DoesNotApply};

/// The diagnostics of every summary.
pub(super) const OF_SUMMARIES: [Diagnostic; 6] = [
    Diagnostic::SplitRHat,
    Diagnostic::NestedRHat,
    Diagnostic::EssBulk,
    Diagnostic::EssTail,
    Diagnostic::EssPerSec,
    Diagnostic::IntegratedTime,
];

/// The diagnostics of one summary, each with its value or the reason why there is none.
pub type Numbers = Vec<(Diagnostic, Result<f64, DoesNotApply>)>;

/// The diagnosis of a run of chains.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnosis {
    /// The number of chains.
    pub num_chains: usize,
    /// The number of steps per chain.
    pub num_steps: usize,
    /// The number of warm-up steps per chain.
    pub warmup: usize,
    /// The number of draws per chain: the steps after the warm-up, or every k-th of them.
    pub num_draws: usize,
    /// The number of steps from one draw to the next: 1, unless there are more draws than can be kept.
    pub every: usize,
    /// The seconds that all steps after the warm-up took.
    pub secs: f64,
    /// The inverse temperature β = 2α/σ² of the distribution p^β that small steps would sample; infinite without
    /// noise, `None` for normalised gradients, which have no known distribution.
    pub inverse_temperature: Option<f64>,
    /// Warnings about how to read the diagnosis.
    pub caveats: Vec<&'static str>,
    /// The groups of chains that nested R̂ compares.
    pub superchains: Superchains,
    /// The diagnostics of every summary, by its name.
    pub summaries: Vec<(String, Numbers)>,
    /// The number of changes of the predicted class, as the mean over chains.
    pub switches: f64,
    /// The acceptance probability of the steps.
    pub acceptance: Acceptance,
    /// The comparison of long chains with short ones, or the reason why there is none.
    pub short_run: Result<ShortRun, NoShortRun>,
}

impl Diagnosis {
    /// Whether the diagnosis is complete; false if the job was stopped.
    pub fn is_complete(&self) -> bool {
        !matches!(self.short_run, Err(NoShortRun::Stopped))
    }

    /// The content of `diagnostics.json`: each value is a number or `{"does_not_apply": reason}`.
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
            "inverse_temperature": self.inverse_temperature.map(finite),
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

/// JSON has no infinity, the value of R̂ if chains differ but none moves.
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
