//! The options of `jempp sample`, and the check that each given option is used.

use std::path::{Path, PathBuf};

use anyhow::{bail, ensure};
use clap::Args;

use super::DEFAULT_STEPS;
use crate::{
    cli::{
        opening::{ModelArgs, OutArgs},
        settings,
        tune::TuneArgs,
    },
    config::{RunConfig, SamplerConfig, StartKind, meant, nearest, shortened},
    shard::Shard,
    starts::SampleStart,
};

/// The longest name that an error repeats in full, in characters.
const MAX_ECHO: usize = 80;

#[derive(Debug, Args)]
pub(in crate::cli) struct SampleArgs {
    #[command(flatten)]
    pub(super) model: ModelArgs,
    #[command(flatten)]
    pub(super) out: OutArgs,
    /// Sample only this class, a name, or a number counted from 0 where no class has that name; may be repeated.
    #[arg(long = "class", value_name = "CLASS")]
    pub(super) classes: Vec<String>,
    /// Number of chains per class.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=500))]
    pub(super) per_class: u16,
    /// Start of the chains: class-centers, uniform, data, buffer, or a picture file. Transparent parts of a picture
    /// become black, or white if the visible part is dark.
    #[arg(long, default_value = "class-centers")]
    pub(super) start: String,
    /// Number of steps of each chain.
    #[arg(long, default_value_t = DEFAULT_STEPS, value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    pub(super) steps: u32,
    /// Sampler: sgld, proximal-sgld, pyld, normalized-gradient or mala [default: the sampler of the training run].
    #[arg(long)]
    pub(super) sampler: Option<String>,
    /// Sample p(x|y) of each row's class instead of p(x).
    #[arg(long)]
    pub(super) conditional: bool,
    /// Seed of starts and noise [default: 0].
    #[arg(long, value_parser = settings::seed)]
    pub(super) seed: Option<u64>,
    /// Compute device: auto, gpu, cpu, or an adapter's index, name or graphics API, as in vulkan.
    #[arg(long, default_value = "auto")]
    pub(super) device: String,
    #[command(flatten)]
    pub(super) tune: TuneArgs,
    /// Folder with the data set's files, for --start data and --diagnose.
    #[arg(long, value_name = "DIR")]
    pub(super) data: Option<PathBuf>,
    /// Set one key of the sampler, as in sampler.step_size=0.2, or model.norm, model.split, data.micro_batch or
    /// training.max_memory_mib; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(super) assignments: Vec<String>,
    /// Another model of the same data; traces.csv then also has its predicted class of every chain.
    #[arg(long, value_name = "FILE")]
    pub(super) judge: Option<PathBuf>,
    /// Also run convergence diagnostics, and write draws.csv and diagnostics.json.
    #[arg(long)]
    pub(super) diagnose: bool,
    /// First steps of each chain that the diagnostics leave out [default: half of them].
    #[arg(long, requires = "diagnose")]
    pub(super) warmup: Option<u32>,
    /// Steps of the short run that the chains are compared with [default: as many as in training].
    #[arg(long, requires = "diagnose", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) short: Option<u32>,
    /// Chains per start, a superchain of nested R-hat [default: 1; the chains of a class then form a superchain].
    #[arg(long, requires = "diagnose", value_parser = clap::value_parser!(u16).range(1..=500))]
    pub(super) chains_per_start: Option<u16>,
    /// Run only the chains of part I of N, counted from 1, as in 2/3; `jempp merge` makes the whole of all parts.
    #[arg(long, value_name = "I/N")]
    pub(super) shard: Option<Shard>,
    /// Largest number of frames in chains.gif [default: 21].
    #[arg(long, value_parser = clap::value_parser!(u16).range(2..=1000))]
    pub(super) frames: Option<u16>,
}

impl SampleArgs {
    pub(super) fn start(&self) -> anyhow::Result<SampleStart> {
        Ok(match self.start.as_str() {
            "class-centers" => SampleStart::Fresh(StartKind::ClassCenters),
            "uniform" => SampleStart::Fresh(StartKind::Uniform),
            "data" => SampleStart::Data,
            "buffer" => SampleStart::Buffer,
            path if Path::new(path).is_file() => SampleStart::File(PathBuf::from(path)),
            other => bail!(
                "--start {other}: no such file, and none of class-centers, uniform, data, buffer"
            ),
        })
    }

    /// The configuration of the model with the keys of the command line replaced.
    pub(super) fn apply(&self, config: &RunConfig) -> anyhow::Result<RunConfig> {
        let sampler =
            self.sampler.as_ref().map(|kind| ("--sampler", format!("sampler.kind={kind}")));
        let data = self.data.as_deref().map(settings::data_dir).transpose()?;
        let options: Vec<_> = sampler.into_iter().chain(data).collect();
        Ok(settings::apply(config.clone(), &options, &self.assignments)?)
    }

    /// The numbers of the classes that are asked for; none means all.
    ///
    /// # Errors
    /// There is no such class, or one is named twice.
    pub(super) fn classes(&self, names: &[String]) -> anyhow::Result<Vec<u32>> {
        let mut classes = Vec::new();
        for word in &self.classes {
            let named = names.iter().position(|name| name == word);
            let numbered = || word.parse().ok().filter(|&class| class < names.len());
            let Some(class) = named.or_else(numbered) else {
                bail!(
                    "--class {}: the model has no such class{} There are {}, or by number 0 to {}",
                    shortened(word, MAX_ECHO),
                    meant(nearest(word, names.iter().map(String::as_str))),
                    names.join(", "),
                    names.len().saturating_sub(1)
                );
            };
            ensure!(!classes.contains(&(class as u32)), "--class {word} is given twice");
            classes.push(class as u32);
        }
        Ok(classes)
    }

    /// Whether the command needs the data set.
    pub(super) fn reads_data(&self) -> bool {
        self.start == "data" || self.diagnose
    }

    /// Checks that every given option is used.
    pub(super) fn check_used(
        &self,
        start: &SampleStart,
        sampler: &SamplerConfig,
    ) -> anyhow::Result<()> {
        for key in settings::keys(&self.assignments) {
            self.check_key(key, sampler)?;
        }
        ensure!(
            self.data.is_none() || self.reads_data(),
            "--data is not used: the data set is read only by --start data and --diagnose"
        );
        ensure!(
            self.frames.is_none() || self.steps > 0,
            "--frames is not used: chains of 0 steps have a single state"
        );
        let is_picture = matches!(start, SampleStart::File(_));
        ensure!(
            self.chains_per_start.is_none() || !is_picture,
            "--chains-per-start is not used: all chains leave one picture"
        );
        ensure!(
            self.seed.is_none() || !is_picture || (self.steps > 0 && sampler.noise_std > 0.0),
            "--seed is not used: the start is a picture, and without noise nothing is drawn at random; \
             --set sampler.noise_std above 0 adds noise to every step"
        );
        Ok(())
    }

    fn check_key(&self, key: &str, sampler: &SamplerConfig) -> anyhow::Result<()> {
        match key.split_once('.').unwrap_or(("", key)) {
            ("", "seed") => bail!("`seed` is the training run's; that of these chains is --seed"),
            ("sampler", "num_steps") => bail!(
                "`{key}` is for training; the steps of these chains are --steps, those of the short run of --diagnose \
                 are --short"
            ),
            ("sampler", "start") => bail!("`{key}` is for training; these chains take --start"),
            ("sampler", _) => Ok(sampler.check_used(key)?),
            ("model", "norm" | "split")
            | ("data", "micro_batch")
            | ("training", "max_memory_mib") => Ok(()),
            ("data", "dataset" | "dir" | "num_points") if self.reads_data() => Ok(()),
            ("data", "dataset" | "dir" | "num_points") => {
                bail!(
                    "`{key}` is not used: the data set is read only by --start data and --diagnose"
                )
            }
            _ => bail!(
                "`{key}` is not used: sampling takes the keys of the section sampler, model.norm, model.split, \
                 data.micro_batch, training.max_memory_mib and, with --start data or --diagnose, data.dataset, data.dir and data.num_points"
            ),
        }
    }
}
