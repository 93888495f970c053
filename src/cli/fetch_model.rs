//! The command `jempp fetch-model`: downloads a model that someone shares.

use std::time::Duration;

use anyhow::bail;
use clap::Args;

use super::{fetch::timeout_range, fetched::bring, opening::network_row};
use crate::{checkpoint::Checkpoint, data::fetch::is_address, files, say::say};

#[derive(Debug, Args)]
pub(super) struct FetchModelArgs {
    /// Address of the model: hf:OWNER/NAME on the Hugging Face Hub (its file model.safetensors), hf:OWNER/NAME/FILE,
    /// hf:OWNER/NAME@REVISION, or https://…/FILE. With #sha256=… at the end, no other content is accepted.
    #[arg(value_name = "ADDRESS")]
    address: String,
    /// Download it again, although it is there.
    #[arg(long)]
    again: bool,
    /// Time limit in seconds for name lookup, connection, response and each read.
    #[arg(long, value_name = "SECS", default_value_t = 30, value_parser = timeout_range())]
    timeout: u16,
}

/// Downloads a model into the cache, and says where it is and what it is.
pub(super) fn run(args: &FetchModelArgs) -> anyhow::Result<()> {
    if !is_address(&args.address) {
        bail!(
            "`{}` is not an address: write hf:OWNER/NAME or https://…/FILE; a model on this computer needs no fetching",
            args.address
        );
    }
    let path = bring(&args.address, args.again, Duration::from_secs(args.timeout.into()))?;
    let (bytes, checkpoint) = Checkpoint::read(&path)?;
    super::say_opening(&[
        network_row(&checkpoint),
        ("SHA-256", files::sha256(&bytes)),
        ("File", path.display().to_string()),
    ]);
    let address = args.address.split('#').next().unwrap_or(&args.address);
    say!("Next:    jempp view --checkpoint {address}");
    Ok(())
}
