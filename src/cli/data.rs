//! The command `jempp data`: what the program makes of the user's own data set.

use std::path::PathBuf;

use clap::Args;

use super::{
    opening::{check_ending, complain_of_data},
    progress::during,
    say_opening, settings,
};
use crate::{
    config::{ConfigError, DatasetName, RunConfig},
    counts::{counted, grouped},
    data::{self, Facts, Splits},
    picture,
    results_folder::{check_file, write_file},
    say::say,
    signals,
};

/// Limits on the rows and columns of a contact sheet.
const MAX_ROWS: usize = 40;
const MAX_COLUMNS: usize = 20;
/// Limits on the sizes and classes that are listed as text.
const SIZES_SHOWN: usize = 5;
const CLASSES_SHOWN: usize = 20;
const OTHERS: [&str; 2] = ["other", "others"];

#[derive(Debug, Args)]
pub(super) struct DataArgs {
    /// Folder with one folder of pictures per class, or a zip of it; or a .npz, .npy, IDX or CSV file.
    path: PathBuf,
    /// PNG file for a contact sheet: a row per class, as the network will see the images.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace the file if it exists.
    #[arg(long, requires = "out")]
    force: bool,
    /// Print everything as JSON.
    #[arg(long)]
    json: bool,
    /// Seed that chooses the test part; give the seed of the training run.
    #[arg(long, default_value_t = 0, value_parser = settings::seed)]
    seed: u64,
    /// Set one configuration key, as in data.size=28 or data.fit=pad; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    assignments: Vec<String>,
}

impl DataArgs {
    /// The settings with which the data is read.
    ///
    /// # Errors
    /// A setting that does not concern how the data is read.
    fn config(&self) -> Result<RunConfig, ConfigError> {
        const USED: [&str; 4] = ["data.size", "data.fit", "data.color", "data.frame"];
        if let Some(key) = settings::keys(&self.assignments).find(|key| !USED.contains(key)) {
            return Err(ConfigError::Invalid(format!(
                "`{key}` is not used: data is read with {}",
                USED.join(", ")
            )));
        }
        let mut config = RunConfig::default();
        config.data.dataset = DatasetName::Custom;
        config.data.batch_size = 1;
        settings::apply(config, &[settings::data_dir(&self.path)?], &self.assignments)
    }
}

/// Reads the data and prints what is in it; draws a contact sheet if one is wanted.
pub(super) fn run(args: &DataArgs) -> anyhow::Result<()> {
    if let Some(out) = &args.out {
        check_ending(out, "png")?;
        check_file(out, args.force, Some(&args.path))?;
    }
    let config = args.config()?;
    let splits = during("reading the data", || data::load(&config.data, args.seed))?;
    let facts = splits.facts();
    match args.json {
        true => say!("{}", serde_json::to_string_pretty(&facts)?),
        false => print(&splits, &facts),
    }
    if let Some(out) = &args.out {
        let (sheet, what) = sheet(&splits);
        write_file(out, &picture::png_of(sheet)?, args.force)?;
        if !args.json {
            say!("Contact sheet: {}, {what}", out.display());
        }
    }
    signals::work_is_done();
    Ok(())
}

fn print(splits: &Splits, facts: &Facts) {
    let mut rows = vec![("Data", facts.source.clone())];
    if !facts.sizes.is_empty() {
        let one = |([h, w], count): &([usize; 2], usize)| format!("{h}×{w} ({})", grouped(*count));
        let sizes = listed(facts.sizes.iter().map(one), SIZES_SHOWN, ["other size", "other sizes"]);
        rows.push(("Files", format!("{sizes}, height×width")));
    }
    let [c, h, w] = facts.shape;
    let seen = match [c, h * w] {
        [_, 1] => "points in the plane".to_string(),
        [1, _] => format!("grey images of {h}×{w}"),
        _ => format!("colour images of {h}×{w}"),
    };
    rows.push(("Network", format!("sees {seen}")));
    let mut parts = format!("{} training", grouped(splits.train.len()));
    if !splits.validation.is_empty() {
        parts += &format!(", {} validation", grouped(splits.validation.len()));
    }
    let tested = counted(splits.test.len(), "test item", "test items");
    rows.push(("Parts", format!("{parts} and {tested}")));
    let count = grouped(facts.classes.len());
    let one = |class: &data::ClassFacts| {
        format!("{} ({})", class.name, grouped(class.train + class.validation + class.test))
    };
    let classes = listed(facts.classes.iter().map(one), CLASSES_SHOWN, OTHERS);
    rows.push(("Classes", format!("{count}: {classes}")));
    rows.extend(facts.choices.iter().map(|choice| ("Choice", choice.clone())));
    rows.extend(facts.skipped.iter().map(|skipped| ("Skipped", skipped.clone())));
    say_opening(&rows);
    complain_of_data(&facts.warnings);
}

/// The first of some texts, and how many follow: one or many of what these words say.
fn listed(
    texts: impl ExactSizeIterator<Item = String>,
    most: usize,
    [one, many]: [&str; 2],
) -> String {
    let more = texts.len().saturating_sub(most);
    let mut line = texts.take(most).collect::<Vec<_>>().join(", ");
    if more > 0 {
        line += &format!(" and {}", counted(more, one, many));
    }
    line
}

/// The contact sheet, and what it shows in words: training items of each class in a row, or all points.
fn sheet(splits: &Splits) -> (image::RgbImage, String) {
    let train = &splits.train;
    if train.shape[1] * train.shape[2] == 1 {
        let values = train.gather(0..train.len());
        return (
            picture::draw(&values, &train.labels, train.shape, 1),
            "every training point".into(),
        );
    }
    let num_rows = train.num_classes().min(MAX_ROWS);
    let rows: Vec<Vec<f32>> =
        (0..num_rows).map(|class| train.examples(class, MAX_COLUMNS)).collect();
    let size = train.num_pixels();
    let rows: Vec<Vec<&[f32]>> = rows.iter().map(|row| row.chunks(size).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(1);
    let rows: Vec<&[&[f32]]> = rows.iter().map(Vec::as_slice).collect();
    let names = listed(train.class_names.iter().take(num_rows).cloned(), CLASSES_SHOWN, OTHERS);
    let what = match train.num_classes() - num_rows {
        0 => format!("rows from the top: {names}"),
        left_out => format!(
            "the first {num_rows} classes ({} left out): {names}",
            counted(left_out, "other is", "others are")
        ),
    };
    (picture::sheet(&rows, train.shape, columns), what)
}
