//! The command `jempp pack`: writes a trained model to a small file.

use std::path::PathBuf;

use clap::Args;

use super::{
    opening::{calibration_row, network_row},
    say_opening,
};
use crate::{
    checkpoint::{Checkpoint, file_at},
    results_folder::check_file,
    say::say,
};

#[derive(Debug, Args)]
pub(super) struct PackArgs {
    /// Checkpoint of a run to pack.
    #[arg(long, value_name = "FILE")]
    checkpoint: PathBuf,
    /// Packed file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replace the file if it exists.
    #[arg(long)]
    force: bool,
}

pub(super) fn run(args: &PackArgs) -> anyhow::Result<()> {
    check_file(&args.out, args.force, Some(&file_at(&args.checkpoint)))?;
    let packed = Checkpoint::load(&args.checkpoint)?.packed();
    say_opening(&[
        ("Model", args.checkpoint.display().to_string()),
        network_row(&packed),
        calibration_row(&packed),
        ("Writes", args.out.display().to_string()),
    ]);
    anyhow::ensure!(
        packed.fits_half_precision(),
        "{} holds weights that half precision cannot: its training has probably diverged",
        args.checkpoint.display()
    );
    packed.save(&args.out)?;
    let bytes = std::fs::metadata(&args.out)?.len();
    say!("Packed model: {} ({:.2} MB)", args.out.display(), bytes as f64 / 1e6);
    Ok(())
}
