//! The plan of a sweep: its file, and the runs that it asks for.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use toml::{Table, Value};

use crate::{
    config::{AUTO, DatasetName, RunConfig},
    files,
};

/// The size limit of a sweep's file, in bytes.
const MAX_BYTES: u64 = 1 << 20;
/// The largest number of runs of a sweep.
const MAX_RUNS: usize = 10_000;
/// The largest number of characters of a run's name.
const MAX_NAME: usize = 100;
/// The preset of runs that name none.
const PRESET: &str = "fashion-quick";

/// The content of a sweep's file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SweepFile {
    preset: Option<String>,
    data: Option<PathBuf>,
    #[serde(default = "one_seed")]
    seeds: Vec<u64>,
    #[serde(default)]
    set: Table,
    #[serde(default)]
    grid: Table,
    #[serde(default)]
    run: Vec<Table>,
}

fn one_seed() -> Vec<u64> {
    vec![0]
}

/// The runs of a sweep, in the order in which they start: all settings with the first seed, then with the next.
#[derive(Debug, PartialEq)]
pub(super) struct Plan {
    pub(super) preset: String,
    pub(super) data: Option<PathBuf>,
    pub(super) runs: Vec<Run>,
}

/// One run of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Run {
    /// The name of its folder.
    pub(super) name: String,
    /// Its keys with their values, as `--set` takes them.
    pub(super) settings: Vec<(String, String)>,
    pub(super) seed: u64,
}

/// Keys with their values, each as `--set` takes it.
type Settings = Vec<(String, String)>;

impl Plan {
    /// Reads a sweep's file and checks every run before the first one starts.
    ///
    /// # Errors
    /// The file cannot be read, has unknown keys, asks for no run or for too many, or one of its runs is not valid.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let name = path.display();
        let bytes =
            files::read_at_most(path, MAX_BYTES).with_context(|| format!("cannot read {name}"))?;
        let text = String::from_utf8(bytes)
            .ok()
            .with_context(|| format!("{name} is not text in UTF-8, as TOML must be"))?;
        Self::parse(&text).with_context(|| name.to_string())
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let file: SweepFile = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            let message = error.message().replace('`', "").replace('\n', " ");
            anyhow::anyhow!(
                "line {line}: {message}; a sweep has preset, data, seeds, [set], [grid] and [[run]]"
            )
        })?;
        let variants = variants(&file)?;
        ensure!(
            !file.seeds.is_empty(),
            "`seeds` is empty: give at least one, as in seeds = [0, 1]"
        );
        for (index, seed) in file.seeds.iter().enumerate() {
            ensure!(!file.seeds[..index].contains(seed), "seed {seed} is there twice");
        }
        let count = variants.len() * file.seeds.len();
        ensure!(count <= MAX_RUNS, "{count} runs are too many: at most {MAX_RUNS}");
        let common = flat(file.set)?;
        let mut runs = Vec::with_capacity(count);
        for seed in &file.seeds {
            for (name, own) in &variants {
                let settings = common.iter().filter(|(key, _)| own.iter().all(|(k, _)| k != key));
                runs.push(Run {
                    name: match name.is_empty() {
                        true => format!("seed-{seed}"),
                        false => format!("{name}-seed-{seed}"),
                    },
                    settings: settings.chain(own).cloned().collect(),
                    seed: *seed,
                });
            }
        }
        let plan =
            Self { preset: file.preset.unwrap_or_else(|| PRESET.into()), data: file.data, runs };
        plan.check()?;
        Ok(plan)
    }

    /// Checks the configuration of every run, and that no two have the same name.
    fn check(&self) -> anyhow::Result<()> {
        for (index, run) in self.runs.iter().enumerate() {
            if self.runs[..index].iter().any(|other| other.name == run.name) {
                bail!("two runs are named {}: give each `name` of [[run]] once", run.name);
            }
            self.config(run).with_context(|| format!("run {}", run.name))?;
        }
        Ok(())
    }

    /// The configuration of a run, as far as it does not depend on the data.
    fn config(&self, run: &Run) -> anyhow::Result<RunConfig> {
        let mut config = RunConfig::default();
        if self.data.is_some() {
            config.data.dataset = DatasetName::Custom;
        }
        let is_auto = self.preset == AUTO;
        if !is_auto {
            config = config.with_preset(&self.preset)?;
        }
        for (key, value) in &run.settings {
            ensure!(key != "seed", "`seed` belongs into `seeds`, a list, as in seeds = [0, 1]");
            config = config.with_assignment(&format!("{key}={value}"))?;
        }
        if !is_auto {
            config.validate()?;
        }
        Ok(config)
    }
}

/// Every combination of the grid's values with each listed run: its name and its keys.
fn variants(file: &SweepFile) -> anyhow::Result<Vec<(String, Settings)>> {
    let mut listed = Vec::new();
    for table in &file.run {
        let mut table = table.clone();
        let name = match table.remove("name") {
            Some(Value::String(name)) if !name.trim().is_empty() => plain(&name),
            _ => bail!("every [[run]] needs a name, as in name = \"no noise\""),
        };
        listed.push((name, flat(table)?));
    }
    if listed.is_empty() {
        listed.push((String::new(), Vec::new()));
    }
    let mut axes = Vec::new();
    for (key, values) in arrays(file.grid.clone(), "")? {
        ensure!(!values.is_empty(), "`grid` has no value for `{key}`");
        axes.push((key, values));
    }
    let short = |key: &str| {
        let last = key.rsplit('.').next().unwrap_or(key).to_string();
        let is_shared = axes.iter().filter(|(other, _)| other.rsplit('.').next() == Some(&last));
        if is_shared.count() > 1 { key.to_string() } else { last }
    };
    let mut all = listed;
    for (key, values) in &axes {
        all = all
            .iter()
            .flat_map(|(name, settings)| {
                values.iter().map(move |value| {
                    let mut settings = settings.clone();
                    settings.push((key.clone(), value.clone()));
                    let part = format!("{}-{}", short(key), plain(value.trim_matches('"')));
                    let name = match name.is_empty() {
                        true => part,
                        false => format!("{name}-{part}"),
                    };
                    (name, settings)
                })
            })
            .collect();
        ensure!(all.len() <= MAX_RUNS, "more than {MAX_RUNS} runs");
    }
    for (name, settings) in &mut all {
        if name.chars().count() > MAX_NAME {
            // A folder's name has a limit; the end keeps long names apart.
            let hash = files::sha256(format!("{settings:?}").as_bytes());
            *name = name
                .chars()
                .take(MAX_NAME)
                .chain("-".chars())
                .chain(hash.chars().take(8))
                .collect();
        }
    }
    Ok(all)
}

/// A text as part of a folder's name.
fn plain(text: &str) -> String {
    let kept = |letter: char| letter.is_alphanumeric() || matches!(letter, '.' | '_' | '+');
    let words: Vec<String> = text
        .split(|letter: char| !kept(letter))
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    let sign = if text.trim_start().starts_with('-') { "minus-" } else { "" };
    format!("{sign}{}", words.join("-"))
}

/// The keys of a table with their sections, as in `sampler.step_size`, and their values.
fn leaves(table: Table, prefix: &str) -> Vec<(String, Value)> {
    let values = table.into_iter().flat_map(|(key, value)| {
        let key = format!("{prefix}{key}");
        match value {
            Value::Table(inner) => leaves(inner, &format!("{key}.")),
            value => vec![(key, value)],
        }
    });
    values.collect()
}

fn flat(table: Table) -> anyhow::Result<Settings> {
    Ok(leaves(table, "").into_iter().map(|(key, value)| (key, value.to_string())).collect())
}

fn arrays(table: Table, prefix: &str) -> anyhow::Result<Vec<(String, Vec<String>)>> {
    let list = |(key, value): (String, Value)| match value {
        Value::Array(values) => {
            Ok((key, values.iter().map(ToString::to_string).collect::<Vec<_>>()))
        }
        _ => bail!(
            "`grid` needs a list of values for `{key}`, as in {key} = [1, 2]; one value belongs into [set]"
        ),
    };
    leaves(table, prefix).into_iter().map(list).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_is_every_combination_for_every_seed() {
        let plan = Plan::parse(
            "seeds = [3, 4]\n[set]\ntraining.epochs = 2\n[grid]\noptimizer.learning_rate = [1e-3, 1e-4]\n\
             sampler.kind = [\"sgld\", \"pyld\"]",
        )
        .unwrap();
        let names: Vec<&str> = plan.runs.iter().map(|run| run.name.as_str()).collect();
        assert_eq!(
            &names[..4],
            [
                "learning_rate-0.001-kind-sgld-seed-3",
                "learning_rate-0.001-kind-pyld-seed-3",
                "learning_rate-0.0001-kind-sgld-seed-3",
                "learning_rate-0.0001-kind-pyld-seed-3"
            ]
        );
        assert_eq!(plan.runs.len(), 8);
        let keys: Vec<&str> = plan.runs[0].settings.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["training.epochs", "optimizer.learning_rate", "sampler.kind"]);
        assert_eq!(plan.runs[7].seed, 4);
    }

    #[test]
    fn listed_runs_have_names_and_win_over_what_is_set_for_all() {
        let text = "[set]\ndata.input_noise_std = 0.03\n[[run]]\nname = \"No noise\"\ndata.input_noise_std = 0\n\
                    [[run]]\nname = \"as it is\"";
        let plan = Plan::parse(text).unwrap();
        assert_eq!(plan.runs[0].name, "no-noise-seed-0");
        assert_eq!(plan.runs[0].settings, [("data.input_noise_std".into(), "0".into())]);
        assert_eq!(plan.runs[1].settings, [("data.input_noise_std".into(), "0.03".into())]);
    }

    #[test]
    fn a_wrong_file_is_refused_in_words() {
        for (text, words) in [
            ("seed = [1]", "seeds"),
            ("[grid]\noptimizer.learning_rat = [1]", "did you mean `optimizer.learning_rate`"),
            ("[grid]\noptimizer.learning_rate = 1e-3", "a list of values"),
            ("[grid]\noptimizer.learning_rate = []", "no value"),
            ("[set]\nseed = 3", "seeds = [0, 1]"),
            ("[set]\ntraining.epochs = -1", "training.epochs"),
            ("preset = \"fashon\"", "did you mean"),
            ("seeds = []", "empty"),
            ("seeds = [1, 1]", "twice"),
            ("[[run]]\ntraining.epochs = 1", "needs a name"),
            ("[[run]]\nname = \"a\"\n[[run]]\nname = \"A\"", "two runs are named"),
            ("[grid]\nseed = [1, 2]", "seeds = [0, 1]"),
            ("seeds = [", "line 1"),
        ] {
            let said = format!("{:#}", Plan::parse(text).unwrap_err());
            assert!(said.contains(words), "{text}: {said}");
        }
        let many: Vec<String> = (0..200).map(|nth| nth.to_string()).collect();
        let axis = |key: &str| format!("{key} = [{}]\n", many.join(", "));
        let text = format!("[grid]\n{}{}", axis("data.batch_size"), axis("training.epochs"));
        assert!(format!("{:#}", Plan::parse(&text).unwrap_err()).contains("runs"));
    }

    #[test]
    fn long_names_stay_apart_and_signs_are_kept() {
        let long = "x".repeat(300);
        let text = format!(
            "[[run]]\nname = \"{long} a\"\ntraining.epochs = 1\n[[run]]\nname = \"{long} b\"\ntraining.epochs = 2"
        );
        let plan = Plan::parse(&text).unwrap();
        assert!(plan.runs.iter().all(|run| run.name.chars().count() < 140));
        assert_ne!(plan.runs[0].name, plan.runs[1].name);
        assert_eq!(plain("-0.5"), "minus-0.5");
        assert_eq!(plain("../A b"), "..-a-b");
    }
}
