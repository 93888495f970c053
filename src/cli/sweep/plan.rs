//! The plan of a sweep: the runs that its file asks for, each of them checked.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use toml::{Table, Value};

use super::super::{settings, used};
use super::file::{Settings, SweepFile, flat, is_of_file, leaves};
use crate::{
    config::{AUTO, DatasetName, RunConfig},
    data, files,
    run_folder::record::{self, DATA_DIR},
    training::TrainingError,
};

/// The size limit of a sweep's file, in bytes.
const MAX_BYTES: u64 = 1 << 20;
/// The largest number of runs of a sweep.
const MAX_RUNS: usize = 10_000;
/// The most bytes of a run's name that are kept; a file system counts bytes.
const MAX_NAME: usize = 100;
/// The preset of runs that name none.
const PRESET: &str = "fashion-quick";

/// The runs of a sweep, in the order in which they start: all settings with the first seed, then with the next.
#[derive(Debug, PartialEq)]
pub(super) struct Plan {
    pub(super) preset: String,
    /// The path of the data, absolute; so are those in the settings of the runs.
    pub(super) data: Option<PathBuf>,
    pub(super) runs: Vec<Run>,
    /// The paths of the runs' own data, in which nothing may be written.
    pub(super) own_data: BTreeSet<PathBuf>,
}

/// One run of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Run {
    /// The name of its folder.
    pub(super) name: String,
    /// Its keys with their values, as `--set` takes them.
    pub(super) settings: Settings,
    pub(super) seed: u64,
}

impl Plan {
    /// Reads a sweep's file and checks every run, as far as the files of the data need not be read.
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
        let SweepFile { preset, data, seeds, set, grid, run } = SweepFile::parse(text)?;
        let (common, listed, axes) = (flat(set, "[set]")?, listed(run)?, axes(grid)?);
        check_keys(&common, &listed, &axes, data.is_some())?;
        let variants = combined(listed, &axes)?;
        ensure!(!seeds.is_empty(), "`seeds` is empty: give at least one, as in seeds = [0, 1]");
        let count = variants.len() * seeds.len();
        ensure!(count <= MAX_RUNS, "{count} runs are too many: at most {MAX_RUNS}");
        for (index, seed) in seeds.iter().enumerate() {
            ensure!(!seeds[..index].contains(seed), "seed {seed} is there twice");
        }
        let mut runs = Vec::with_capacity(count);
        for seed in &seeds {
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
        let preset = preset.unwrap_or_else(|| PRESET.into());
        let mut plan = Self { preset, data, runs, own_data: BTreeSet::new() };
        plan.own_data = plan.check()?;
        // After the check, whose errors name the paths as they were given. In another working folder the same path is that of
        // other data.
        plan.data = plan.data.as_deref().map(record::absolute);
        plan.runs.iter_mut().for_each(|run| record::make_absolute(&mut run.settings));
        Ok(plan)
    }

    /// Checks every run, and that no two have the same name. Returns the paths of their own data.
    fn check(&self) -> anyhow::Result<BTreeSet<PathBuf>> {
        let mut own_data = BTreeSet::new();
        for (index, run) in self.runs.iter().enumerate() {
            if self.runs[..index].iter().any(|other| other.name == run.name) {
                bail!(
                    "two runs are named {}, as values in [grid] differ only in capitals and signs: list them as [[run]], each \
                     with a name",
                    run.name
                );
            }
            let config = self.check_run(run).with_context(|| format!("run {}", run.name))?;
            own_data.insert(config.data.own_path().to_path_buf());
        }
        Ok(own_data)
    }

    /// Checks a run as its training will, except for what depends on files, or on the recipe that fits them. Returns its
    /// configuration, so far as it is known.
    fn check_run(&self, run: &Run) -> anyhow::Result<RunConfig> {
        let keys = || run.settings.iter().map(|(key, _)| key.as_str());
        let mut config = RunConfig::default();
        if self.data.is_some() || keys().any(|key| key == DATA_DIR) {
            config.data.dataset = DatasetName::Custom;
        }
        let is_auto = self.preset == AUTO;
        if !is_auto {
            config = config.with_preset(&self.preset)?;
        }
        let data = self.data.as_deref().map(settings::data_dir).transpose()?;
        let own = run.settings.iter().map(|(key, value)| format!("{key}={value}"));
        let seed = format!("seed={}", run.seed);
        for assignment in
            data.map(|(_, assignment)| assignment).into_iter().chain(own).chain([seed])
        {
            config = config.with_assignment(&assignment)?;
        }
        match is_auto {
            // The recipe chooses a batch that the data can fill, and keys that nothing has set.
            true => config.data.batch_size = 1,
            false => keys().try_for_each(|key| used::check(&config, key))?,
        }
        config.validate()?;
        // The words alone, because the advice to the error names options that a sweep does not have.
        data::check(&config.data).map_err(|error| anyhow::anyhow!("{error}"))?;
        let has_own_parts = config.data.dataset == DatasetName::Custom;
        if config.training.early_stop_epochs > 0
            && config.data.num_validation == 0
            && !has_own_parts
        {
            bail!("{}", TrainingError::NoValidation);
        }
        Ok(config)
    }
}

/// The listed runs with their names; one without a name if there are none.
fn listed(tables: Vec<Table>) -> anyhow::Result<Vec<(String, Settings)>> {
    let mut listed: Vec<(String, Settings)> = Vec::new();
    for mut table in tables {
        let name = match table.remove("name") {
            Some(Value::String(name)) => plain(&name),
            _ => String::new(),
        };
        ensure!(
            name.contains(char::is_alphanumeric),
            "every [[run]] needs a name with a letter or a digit, as in name = \"no noise\""
        );
        ensure!(
            listed.iter().all(|(other, _)| *other != name),
            "two runs are named {name}: give each [[run]] a name of its own, which differs in more than capitals and signs"
        );
        let own = flat(table, &format!("[[run]] {name}"))?;
        listed.push((name, own));
    }
    if listed.is_empty() {
        listed.push((String::new(), Vec::new()));
    }
    Ok(listed)
}

/// The keys of the grid, each with its values.
fn axes(grid: Table) -> anyhow::Result<Vec<(String, Vec<String>)>> {
    let axis = |(key, value): (String, Value)| {
        let Value::Array(values) = value else {
            bail!(
                "`grid` needs a list of values for `{key}`, as in {key} = [1, 2]; one value belongs into [set]"
            );
        };
        ensure!(!values.is_empty(), "`grid` has no value for `{key}`");
        ensure!(values.len() <= MAX_RUNS, "more than {MAX_RUNS} runs");
        for (index, value) in values.iter().enumerate() {
            ensure!(
                !values[..index].iter().any(|other| is_same(other, value)),
                "`grid` has {value} twice for `{key}`"
            );
        }
        Ok((key, values.iter().map(ToString::to_string).collect()))
    };
    leaves(grid, "[grid]")?.into_iter().map(axis).collect()
}

/// Whether two values are the same for a run: 1 is 1.0.
fn is_same(a: &Value, b: &Value) -> bool {
    let number = |value: &Value| value.as_float().or(value.as_integer().map(|whole| whole as f64));
    match (number(a), number(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

/// Checks that no key is given twice, and none in the wrong place. A listed run may replace what is set for all.
fn check_keys(
    common: &Settings,
    listed: &[(String, Settings)],
    axes: &[(String, Vec<String>)],
    has_data: bool,
) -> anyhow::Result<()> {
    let in_common = common.iter().map(|(key, _)| (key, "[set]".to_string()));
    let in_listed = listed
        .iter()
        .flat_map(|(name, own)| own.iter().map(move |(key, _)| (key, format!("[[run]] {name}"))));
    for (key, place) in in_common.chain(in_listed) {
        ensure!(
            axes.iter().all(|(axis, _)| axis != key),
            "`{key}` is in {place} and in [grid]: keep it in one of them"
        );
    }
    let all = common.iter().chain(listed.iter().flat_map(|(_, own)| own)).map(|(key, _)| key);
    for key in all.chain(axes.iter().map(|(key, _)| key)) {
        ensure!(key != "seed", "`seed` belongs into `seeds`, a list, as in seeds = [0, 1]");
        ensure!(
            !is_of_file(key),
            "`{key}` is below the first section, so it counts as a key of that section: put it at the top of the file"
        );
        ensure!(
            !has_data || key != DATA_DIR,
            "`data` and `{DATA_DIR}` both name the place of the data: keep one of them"
        );
    }
    Ok(())
}

/// Every combination of the grid's values with each listed run: its name and its keys.
fn combined(
    listed: Vec<(String, Settings)>,
    axes: &[(String, Vec<String>)],
) -> anyhow::Result<Vec<(String, Settings)>> {
    let short = |key: &str| {
        let last = key.rsplit('.').next().unwrap_or(key).to_string();
        let is_shared = axes.iter().filter(|(other, _)| other.rsplit('.').next() == Some(&last));
        if is_shared.count() > 1 { key.to_string() } else { last }
    };
    let mut all = listed;
    for (key, values) in axes {
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
        if name.len() > MAX_NAME {
            // A folder's name has a limit; the end keeps long names apart, also of runs with the same settings.
            let hash = files::sha256(format!("{name} {settings:?}").as_bytes());
            name.truncate(name.floor_char_boundary(MAX_NAME));
            *name = format!("{name}-{}", &hash[..8]);
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
            ("seed = [1]", "did you mean `seeds`?"),
            ("[grid]\noptimizer.learning_rat = [1]", "did you mean `optimizer.learning_rate`"),
            ("[grid]\noptimizer.learning_rate = 1e-3", "a list of values"),
            ("[grid]\noptimizer.learning_rate = []", "no value"),
            ("[set]\nseed = 3", "seeds = [0, 1]"),
            ("[set]\ntraining.epochs = -1", "training.epochs"),
            ("preset = \"fashon\"", "did you mean"),
            ("seeds = []", "empty"),
            ("seeds = [1, 1]", "twice"),
            ("[[run]]\ntraining.epochs = 1", "needs a name"),
            (
                "[[run]]\nname = \"a\"\n[[run]]\nname = \"A\"",
                "two runs are named a: give each [[run]]",
            ),
            ("[[run]]\nname = \"?!\"", "needs a name with a letter"),
            (
                "[grid]\noptimizer.learning_rate = [1e-3, 0.001]",
                "`grid` has 0.001 twice for `optimizer.learning_rate`",
            ),
            ("[grid]\nobjective.p_x_weight = [1, 1.0]", "`grid` has 1.0 twice"),
            ("[grid]\ndata.dir = [\"a b\", \"A-b\"]", "list them as [[run]]"),
            (
                "[set]\ntraining.epochs = 2\n[grid]\ntraining.epochs = [2, 3]",
                "`training.epochs` is in [set] and in [grid]: keep it in one of them",
            ),
            (
                "[grid]\ntraining.epochs = [2, 3]\n[[run]]\nname = \"A\"\ntraining.epochs = 2",
                "`training.epochs` is in [[run]] a and in [grid]",
            ),
            (
                "[grid]\n\"training.epochs\" = [1, 2]\ntraining.epochs = [3, 4]",
                "`training.epochs` is in [grid] twice: keep one of them",
            ),
            (
                "[set]\n\"training.epochs\" = 1\ntraining.epochs = 3",
                "`training.epochs` is in [set] twice",
            ),
            (
                "[[run]]\nname = \"A\"\n\"training.epochs\" = 1\ntraining.epochs = 3",
                "`training.epochs` is in [[run]] a twice",
            ),
            ("data = \"x\"\n[set]\ndata.dir = \"y\"", "`data` and `data.dir` both name the place"),
            (
                "data = \"x\"\n[grid]\ndata.dir = [\"y\"]",
                "`data` and `data.dir` both name the place",
            ),
            ("[set]\nseeds = [1]", "put it at the top of the file"),
            (
                "[set]\nsampler.kind = \"sgld\"\n[grid]\nsampler.inner_step_size = [1, 2]",
                "`sampler.inner_step_size` is not used by the sampler sgld",
            ),
            (
                "preset = \"toy-two-moons\"\n[set]\ndata.batch_size = 4000\ndata.num_points = 100",
                "data.batch_size = 4000 is more than the 100 training images",
            ),
            ("[set]\ndata.num_train = 5001", "the 5000 training images"),
            (
                "preset = \"toy-two-moons\"\n[set]\ntraining.early_stop_epochs = 2",
                "training.early_stop_epochs needs images that are held out",
            ),
            ("preset = \"auto\"\n[set]\ntraining.max_chain_steps = 1", "training.max_chain_steps"),
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
        for letter in ["x", "\u{e4}", "\u{d55c}", "\u{20000}"] {
            let long = letter.repeat(90);
            let long = format!("{long} {long}");
            let text = format!(
                "[[run]]\nname = \"{long} a\"\ntraining.epochs = 1\n[[run]]\nname = \"{long} b\"\ntraining.epochs = 2"
            );
            let plan = Plan::parse(&text).unwrap();
            assert!(plan.runs.iter().all(|run| (100..140).contains(&run.name.len())), "{letter}");
            assert_ne!(plan.runs[0].name, plan.runs[1].name);
        }
        // They differ only in what is cut off.
        let long = "x".repeat(110);
        let text = format!("[[run]]\nname = \"{long}a\"\n[[run]]\nname = \"{long}b\"");
        let plan = Plan::parse(&text).unwrap();
        assert_eq!(plan.runs[0].name[..100], plan.runs[1].name[..100]);
        assert_ne!(plan.runs[0].name, plan.runs[1].name);
        assert_eq!(plain("-0.5"), "minus-0.5");
        assert_eq!(plain("../A b"), "..-a-b");
    }

    #[test]
    fn paths_of_data_are_absolute_and_names_are_not() {
        let here = std::env::current_dir().unwrap();
        let plan = Plan::parse("data = \"pics\"").unwrap();
        assert_eq!(plan.data, Some(here.join("pics")));
        let plan = Plan::parse("[grid]\ndata.dir = [\"pics\", \"points.csv\"]").unwrap();
        for (run, name) in plan.runs.iter().zip(["pics", "points.csv"]) {
            assert_eq!(run.name, format!("dir-{name}-seed-0"));
            let path = here.join(name).display().to_string();
            let value = Value::String(path).to_string();
            assert_eq!(run.settings, [(DATA_DIR.to_string(), value)]);
        }
        assert!(plan.own_data.contains(Path::new("pics")), "errors name what was given");
    }
}
