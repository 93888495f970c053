//! `jempp pack`.

use std::path::PathBuf;

use clap::Args;

use crate::{checkpoint::Checkpoint, say::say};

#[derive(Debug, Args)]
pub(super) struct PackArgs {
    /// Checkpoint of a run.
    #[arg(long, value_name = "FILE")]
    checkpoint: PathBuf,
    /// The file to make.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub(super) fn run(args: &PackArgs) -> anyhow::Result<()> {
    super::check_free(&args.out)?;
    let packed = Checkpoint::load(&args.checkpoint)?.packed();
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
