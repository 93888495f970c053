//! Models that are named by their address: the file in the cache, downloaded if it is not there.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;

use super::fetch::Display;
use crate::{
    checkpoint::Checkpoint,
    data::fetch::{self, FetchOptions, SharedModel, is_address},
    files,
    say::say,
};

/// The file of a model: `path` itself, or, if it is an address, the file in the cache, which is downloaded if it is not
/// there.
///
/// # Errors
/// The model cannot be downloaded, or it is no model.
pub(super) fn local(path: &Path) -> anyhow::Result<PathBuf> {
    match path.to_str().filter(|text| is_address(text) && !path.exists()) {
        Some(address) => bring(address, false, FetchOptions::default().timeout),
        None => Ok(path.to_path_buf()),
    }
}

/// The file in the cache of the model at an address; `is_again` downloads it although it is there.
///
/// # Errors
/// As [`local`].
pub(super) fn bring(address: &str, is_again: bool, timeout: Duration) -> anyhow::Result<PathBuf> {
    let hub = std::env::var("HF_ENDPOINT").ok().filter(|hub| !hub.is_empty());
    let model = SharedModel::at(address, hub.as_deref())?;
    let path = model.path().context(
        "no cache folder is known here; set JEMPP_CACHE to the path of a folder for models",
    )?;
    if !is_again && model.is_at(&path) {
        Checkpoint::read(&path).with_context(|| {
            format!("{address} in the cache cannot be used; `jempp fetch-model {address} --again` downloads it anew")
        })?;
        return Ok(path);
    }
    say!("{address}: downloading into the cache, {}", path.display());
    // A new version is complete and checked before it replaces the old one.
    let incoming = incoming(&path);
    let options = FetchOptions { timeout, replaces: true, ..FetchOptions::default() };
    let mut display = Display::new();
    let fetched =
        fetch::fetch(&model.source, &incoming, &options, &mut |event| display.show(event));
    display.finish();
    fetched?;
    let arrived = incoming.join(&model.source.files[0].name);
    let checked = Checkpoint::read(&arrived).map_err(|error| match is_page(&arrived) {
        true => anyhow::anyhow!(
            "{address} gave a web page, not a model: name the address of the file itself, as its download button has it"
        ),
        false => anyhow::Error::from(error).context(address.to_string()),
    });
    let stored = checked.and_then(|_| {
        std::fs::rename(&arrived, &path).with_context(|| format!("cannot write {}", path.display()))
    });
    files::remove(&arrived);
    files::remove_if_empty(&incoming);
    stored.map(|()| path)
}

/// The folder of a download, beside its file.
fn incoming(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".incoming");
    path.with_file_name(name)
}

/// Whether a file begins as a web page does.
fn is_page(path: &Path) -> bool {
    let head = files::head(path, 512).map(|(head, _)| head).unwrap_or_default();
    let text = String::from_utf8_lossy(&head).trim_start().to_ascii_lowercase();
    text.starts_with("<!doctype html") || text.starts_with("<html")
}
