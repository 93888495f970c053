//! The command `jempp pack`: writes a trained model to a small file, and a card that says what the model is beside it.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::Args;

use super::{
    fetched,
    opening::{calibration_row, check_ending, network_row},
    say_opening,
};
use crate::{
    checkpoint::{Checkpoint, file_at},
    eval::{read_results, results::Results},
    files::{file_name, read_at_most, sha256},
    model_card::{self, Subject},
    results_folder::{ResultsError, check_file, write_file},
    say::say,
};

/// The ending of packed models.
const ENDING: &str = "safetensors";
/// The size limit of a card, in bytes.
const MAX_CARD_BYTES: u64 = 16 << 20;

#[derive(Debug, Args)]
pub(super) struct PackArgs {
    /// Checkpoint of a run to pack.
    #[arg(long, value_name = "FILE")]
    checkpoint: PathBuf,
    /// Packed file to write; its model card gets the same name with .md.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// results.json of an evaluation of this checkpoint, for the figures on the card.
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// Licence of the model on the card, as Hugging Face writes it: mit, cc-by-sa-3.0; may be repeated [default: unknown].
    #[arg(long = "license", value_name = "ID", value_parser = license)]
    licenses: Vec<String>,
    /// What the card calls the data, if it is not the official data set, as in "CIFAR-10, JPEG mirror".
    #[arg(long, value_name = "NAME")]
    data_name: Option<String>,
    /// Replace the file and its card if they exist. A card that was edited is always kept.
    #[arg(long)]
    force: bool,
}

fn license(name: &str) -> anyhow::Result<String> {
    ensure!(
        model_card::is_license(name),
        "Hugging Face writes a licence in small letters, digits, dots and dashes, as in apache-2.0"
    );
    Ok(name.to_string())
}

pub(super) fn run(args: &PackArgs) -> anyhow::Result<()> {
    let input = file_at(&fetched::local(&args.checkpoint)?);
    check_ending(&args.out, ENDING)?;
    check_file(&args.out, args.force, Some(&input))?;
    let card = CardFile::beside(&args.out, args.force)?;
    let (bytes, checkpoint) = Checkpoint::read(&input)?;
    let results = match &args.results {
        Some(path) => Some(results_of(path, &sha256(&bytes), &args.checkpoint)?),
        None => None,
    };
    let name = file_name(&args.out);
    let text = model_card::card(&Subject {
        name: stem(&name),
        file: &name,
        option: &format!("--checkpoint {}", quoted(&name)),
        checkpoint: &checkpoint,
        licenses: &args.licenses,
        data_name: args.data_name.as_deref(),
        results: results.as_ref(),
    });
    let packed = checkpoint.packed();
    let mut rows = vec![
        ("Model", args.checkpoint.display().to_string()),
        network_row(&packed),
        calibration_row(&packed),
    ];
    if let Some(path) = &args.results {
        rows.push(("Figures", path.display().to_string()));
    }
    rows.push(("Writes", args.out.display().to_string()));
    rows.push(("Card", card.row()));
    say_opening(&rows);
    ensure!(
        packed.fits_half_precision(),
        "{} holds weights that half precision cannot: its training has probably diverged",
        args.checkpoint.display()
    );
    let cannot_write = || format!("cannot write {}", args.out.display());
    let bytes = packed.to_bytes().with_context(cannot_write)?;
    write_file(&args.out, &bytes, args.force)?;
    card.write(&text, args.force)?;
    say!("Packed model: {} ({:.2} MB)", args.out.display(), bytes.len() as f64 / 1e6);
    Ok(())
}

/// The name of a packed model without its ending.
fn stem(name: &str) -> &str {
    name.strip_suffix(ENDING).and_then(|name| name.strip_suffix('.')).unwrap_or(name)
}

/// A file name as a shell takes it.
fn quoted(name: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "._-+".contains(c);
    match name.chars().all(is_plain) && !name.starts_with('-') {
        true => name.to_string(),
        false => format!("'./{}'", name.replace('\'', r"'\''")),
    }
}

/// Reads an evaluation, and checks that it is of this checkpoint.
fn results_of(path: &Path, sha256: &str, checkpoint: &Path) -> anyhow::Result<Results> {
    let results = read_results(path)?;
    if results.model.sha256 != sha256 {
        bail!(
            "{} measures another model than {}: {}, SHA-256 {:.12}… and not {:.12}…; `jempp eval --checkpoint {}` measures this \
             one",
            path.display(),
            checkpoint.display(),
            results.model.name,
            results.model.sha256,
            sha256,
            checkpoint.display()
        );
    }
    Ok(results)
}

/// The file of the card.
struct CardFile {
    path: PathBuf,
    /// Whether a card is there that a person wrote or edited.
    is_kept: bool,
}

impl CardFile {
    /// The card of the packed file `out`.
    ///
    /// # Errors
    /// A card of jempp is there and may not be replaced, or the path cannot be written.
    fn beside(out: &Path, replaces: bool) -> anyhow::Result<Self> {
        let name = file_name(out);
        let path = out.with_file_name(format!("{}.md", stem(&name)));
        let Ok(found) = std::fs::metadata(&path) else {
            check_file(&path, replaces, None)?;
            return Ok(Self { path, is_kept: false });
        };
        if found.is_dir() {
            return Err(ResultsError::Folder(path).into());
        }
        let text = read_at_most(&path, MAX_CARD_BYTES)
            .with_context(|| format!("cannot read the model card {}", path.display()))?;
        let is_kept = !model_card::is_untouched(&String::from_utf8_lossy(&text));
        if !is_kept {
            check_file(&path, replaces, None)?;
        }
        Ok(Self { path, is_kept })
    }

    /// What happens to the file, for the lines before the work.
    fn row(&self) -> String {
        let path = self.path.display();
        match self.is_kept {
            true => format!(
                "{path} is kept, because jempp did not write it as it is; move it away for a new one"
            ),
            false => path.to_string(),
        }
    }

    fn write(&self, text: &str, replaces: bool) -> Result<(), ResultsError> {
        match self.is_kept {
            true => Ok(()),
            false => write_file(&self.path, text.as_bytes(), replaces),
        }
    }
}
