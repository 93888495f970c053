//! The command `jempp fetch`: downloads a data set.

use std::{path::PathBuf, time::Duration};

use anyhow::Context;
use clap::{
    Args,
    builder::{PossibleValuesParser, RangedI64ValueParser},
};
use indicatif::{DecimalBytes, ProgressBar};

use super::progress::style;
use crate::{
    config::DatasetName,
    data::fetch::{self, FetchEvent, FetchOptions},
    say::say,
};

/// The data sets that can be downloaded, each with the options of `train` that use it.
const DATASETS: [(&str, DatasetName, &str); 5] = [
    ("mnist", DatasetName::Mnist, "--preset mnist-showcase"),
    ("fashion-mnist", DatasetName::FashionMnist, "--preset fashion-showcase"),
    ("cifar10", DatasetName::Cifar10, "--preset paper-cifar10"),
    ("cifar100", DatasetName::Cifar100, "--preset paper-cifar10 --dataset cifar100"),
    ("svhn", DatasetName::Svhn, "--preset paper-cifar10 --dataset svhn"),
];

#[derive(Debug, Args)]
pub(super) struct FetchArgs {
    /// Data set to download.
    #[arg(value_parser = PossibleValuesParser::new(DATASETS.map(|(name, ..)| name)))]
    dataset: String,
    /// Folder for the files [default: $JEMPP_CACHE/DATASET, or jempp/DATASET in the user's cache
    /// folder; there `train` finds them without --data].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replace files in that folder that have the name of a file of the data set but another content.
    #[arg(long, requires = "out")]
    force: bool,
    /// Time limit in seconds for name lookup, connection, response and each read; after twice this time, a
    /// file must arrive at 10 kB per second on average.
    #[arg(long, value_name = "SECS", default_value_t = 30, value_parser = timeout_range())]
    timeout: u16,
}

/// The seconds that a time limit may have.
pub(super) fn timeout_range() -> RangedI64ValueParser<u16> {
    clap::value_parser!(u16).range(1..=3600)
}

/// Downloads the data set and says what to do next.
pub(super) fn run(args: &FetchArgs) -> anyhow::Result<()> {
    let (name, dataset, preset) = DATASETS
        .into_iter()
        .find(|(name, ..)| *name == args.dataset)
        .context("the parser knows no other names")?;
    let mirror = mirror()?;
    let source = fetch::source(dataset, mirror.as_deref()).context("it needs no files")?;
    let dir = match &args.out {
        Some(dir) => dir.clone(),
        None => fetch::cache_dir(dataset)
            .context("no cache folder is known here; name a folder with --out DIR")?,
    };
    let options = FetchOptions {
        timeout: Duration::from_secs(args.timeout.into()),
        replaces: args.force || args.out.is_none(),
        ..Default::default()
    };
    let from = match &mirror {
        Some(mirror) => format!("only {}, from JEMPP_MIRROR", fetch::server(mirror)),
        None => source.page.clone(),
    };
    super::say_opening(&[
        ("Data set", name.to_string()),
        ("From", from),
        ("Into", dir.display().to_string()),
    ]);
    let mut display = Display::new();
    let fetched = fetch::fetch(&source, &dir, &options, &mut |event| display.show(event));
    display.finish();
    fetched?;
    let dir = dir.display().to_string();
    let quoted = if dir.contains(char::is_whitespace) { format!("\"{dir}\"") } else { dir.clone() };
    say!("Folder: {dir}");
    say!("Next:   jempp train {preset} --data {quoted} --out runs/{name}");
    Ok(())
}

/// The address of the mirror from the environment variable `JEMPP_MIRROR`, if it is set.
fn mirror() -> anyhow::Result<Option<String>> {
    let Some(value) = std::env::var_os("JEMPP_MIRROR").filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let address = value.to_str().filter(|text| {
        let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        let is_host = |rest: &str| !rest.is_empty() && !rest.starts_with(['/', ':', '?', '#']);
        rest.is_some_and(is_host) && !text.contains(|c: char| c.is_whitespace() || c.is_control())
    });
    let address = address.with_context(|| {
        format!(
            "JEMPP_MIRROR is `{}`, which is not the address of a folder, as in http://mirror.example/data",
            value.display()
        )
    })?;
    Ok(Some(address.to_string()))
}

/// The progress of a download: a bar on a terminal, otherwise a line at every quarter.
pub(super) struct Display {
    bar: ProgressBar,
    file: String,
    quarters: u64,
}

impl Display {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::no_length()
            .with_style(style("{msg} [{bar:30}] {decimal_bytes}/{decimal_total_bytes} {eta} left"));
        Self { bar, file: String::new(), quarters: 0 }
    }

    fn say(&self, line: &str) {
        if self.bar.is_hidden() {
            say!("{line}");
        } else {
            self.bar.suspend(|| say!("{line}"));
        }
    }

    /// Clears the bar.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    pub(super) fn show(&mut self, event: FetchEvent) {
        match event {
            FetchEvent::Present { name } => {
                self.say(&format!("{name}: already there, and its SHA-256 is correct"))
            }
            FetchEvent::Wrong { name } => {
                self.say(&format!("{name}: there, but with another content; it is replaced"))
            }
            FetchEvent::Began { name, host, from, total } => {
                let size = total.map(|total| format!(", {}", DecimalBytes(total)));
                let resumed =
                    (from > 0).then(|| format!(", going on after {}", DecimalBytes(from)));
                self.say(&format!(
                    "{name}: from {host}{}{}",
                    size.unwrap_or_default(),
                    resumed.unwrap_or_default()
                ));
                self.file = name.to_string();
                self.bar.reset();
                total.map_or_else(|| self.bar.unset_length(), |total| self.bar.set_length(total));
                self.bar.set_position(from);
                self.bar.set_message(self.file.clone());
                self.quarters = total.map_or(0, |total| 4 * from / total.max(1));
            }
            FetchEvent::Bytes(at) => {
                self.bar.set_position(at);
                let quarters = self.bar.length().map_or(0, |total| 4 * at / total.max(1));
                if self.bar.is_hidden() && quarters > self.quarters && quarters < 4 {
                    say!("{}: {} %", self.file, 25 * quarters);
                    self.quarters = quarters;
                }
            }
            FetchEvent::Failed { host, error } => {
                self.say(&format!("{host}: {error}; trying again"))
            }
            FetchEvent::Stored { name, is_checked: true } => {
                self.say(&format!("{name}: downloaded, and its SHA-256 is correct"))
            }
            FetchEvent::Stored { name, is_checked: false } => {
                self.say(&format!("{name}: downloaded"))
            }
        }
    }
}
