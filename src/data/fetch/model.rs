//! Models that others share: their addresses, and their places in the cache.

use std::path::{Path, PathBuf};

use super::{Content, RemoteFile, Source};
use crate::files;

/// Size limit of a model, in bytes: several times the largest network of the presets in f32.
const MAX_BYTES: u64 = 1 << 30;
/// The file of a model on the Hugging Face Hub, if none is named.
const DEFAULT_FILE: &str = "model.safetensors";
/// The address of the Hub, unless the variable `HF_ENDPOINT` names another.
const HUB: &str = "https://huggingface.co";
/// The folder of models in the cache.
const FOLDER: &str = "models";

/// Why an address names no model that can be fetched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The text does not have the form of an address.
    #[error(
        "`{0}` is not the address of a model: write hf:OWNER/NAME, hf:OWNER/NAME/FILE (with @REVISION after NAME for a \
         version), or https://…/FILE; #sha256=… at the end names the only content that is accepted"
    )]
    Form(String),
    /// A model without a checksum would travel unprotected.
    #[error(
        "`{0}` is not encrypted, so its content could be changed on the way: use https, or add #sha256=… with the \
         checksum that its author gives"
    )]
    Plain(String),
    /// The checksum is not one.
    #[error("`{0}` is not a SHA-256, which is 64 digits and letters from a to f")]
    Checksum(String),
}

/// A model at an address: where its file comes from, and where it is kept.
#[derive(Clone, Debug)]
pub struct SharedModel {
    /// The download, of one file.
    pub source: Source,
    /// The SHA-256 that was asked for.
    pub sha256: Option<String>,
    /// The path of the file within the cache folder.
    place: PathBuf,
}

/// Whether a text is meant as the address of a model, rather than as the path of a file.
pub fn is_address(text: &str) -> bool {
    ["hf:", "https://", "http://"].iter().any(|scheme| text.starts_with(scheme))
}

impl SharedModel {
    /// The model at `address`. `hub` replaces the address of the Hugging Face Hub.
    ///
    /// # Errors
    /// It is no address, or one that should not be used.
    pub fn at(address: &str, hub: Option<&str>) -> Result<Self, AddressError> {
        let form = || AddressError::Form(crate::config::shortened(address, 200));
        let (place, sha256) = match address.split_once('#') {
            Some((place, mark)) => {
                let sum = mark.strip_prefix("sha256=").ok_or_else(form)?.to_ascii_lowercase();
                let is_sum = sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit());
                if !is_sum {
                    return Err(AddressError::Checksum(crate::config::shortened(mark, 80)));
                }
                (place, Some(sum))
            }
            None => (address, None),
        };
        let hub = hub.unwrap_or(HUB).trim_end_matches('/');
        let url = match place.strip_prefix("hf:") {
            Some(name) => on_hub(hub, name).ok_or_else(form)?,
            None => of_page(hub, place).unwrap_or_else(|| place.to_string()),
        };
        let (path, query) = match url.find('?') {
            Some(at) => url.split_at(at),
            None => (&*url, ""),
        };
        let (scheme, rest) = path.split_once("://").ok_or_else(form)?;
        let (folder, name) = rest.rsplit_once('/').ok_or_else(form)?;
        let host = folder.split('/').next().unwrap_or_default();
        let is_clean = |text: &str| !text.contains(|c: char| c.is_whitespace() || c.is_control());
        if !matches!(scheme, "http" | "https")
            || host.is_empty()
            || !is_clean(&url)
            || matches!(name, "" | "." | "..")
            || name.contains('\\')
        {
            return Err(form());
        }
        if scheme != "https" && sha256.is_none() && !is_this_computer(host) {
            return Err(AddressError::Plain(address.to_string()));
        }
        let content = match &sha256 {
            Some(sha256) => Content::Plain { sha256: sha256.clone(), size: MAX_BYTES },
            None => Content::Unchecked { max_size: MAX_BYTES },
        };
        let mirrors = vec![format!("{scheme}://{folder}/")];
        let name = name.to_string();
        // Addresses that differ in their query only are different models.
        let parts = folder.split('/').chain((!query.is_empty()).then_some(query));
        let place = parts.map(safe).chain([safe(&name)]).collect();
        let query = query.to_string();
        let file = RemoteFile { name, mirrors, query, content };
        let by_hand = format!("download {url}, and name its file in place of the address");
        let source = Source { page: url.clone(), by_hand, files: vec![file] };
        Ok(Self { source, sha256, place })
    }

    /// The path of the file in the cache; `None` if there is no cache folder.
    pub fn path(&self) -> Option<PathBuf> {
        Some(files::cache_folder()?.join(FOLDER).join(&self.place))
    }

    /// Whether the file at `path` is there, with the SHA-256 that was asked for.
    pub fn is_at(&self, path: &Path) -> bool {
        match &self.sha256 {
            Some(sha256) => files::read_at_most(path, MAX_BYTES)
                .is_ok_and(|bytes| files::sha256(&bytes) == *sha256),
            None => path.is_file(),
        }
    }
}

/// The address of a file on the Hub: OWNER/NAME, OWNER/NAME@REVISION, or these with /FILE.
fn on_hub(hub: &str, name: &str) -> Option<String> {
    let mut parts = name.splitn(3, '/');
    let (owner, repository) = (parts.next()?, parts.next()?);
    let (repository, revision) = repository.split_once('@').unwrap_or((repository, "main"));
    let file = parts.next().unwrap_or(DEFAULT_FILE);
    let is_name = |part: &str| {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        !part.is_empty() && part != "." && part != ".." && part.chars().all(is_part)
    };
    let is_file = file.split('/').all(|part| !matches!(part, "" | "." | ".."));
    ([owner, repository, revision].into_iter().all(is_name) && is_file)
        .then(|| format!("{hub}/{owner}/{repository}/resolve/{revision}/{file}"))
}

/// The address of the file whose page on the Hub someone copied; `None` for other addresses.
fn of_page(hub: &str, url: &str) -> Option<String> {
    let path = url.strip_prefix(hub)?.strip_prefix('/')?.trim_end_matches('/');
    let parts: Vec<&str> = path.splitn(5, '/').collect();
    match parts[..] {
        [owner, name] => on_hub(hub, &format!("{owner}/{name}")),
        [owner, name, "blob", revision, file] => {
            on_hub(hub, &format!("{owner}/{name}@{revision}/{file}"))
        }
        _ => None,
    }
}

/// Whether a host is this computer, to which nothing travels.
fn is_this_computer(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    ["localhost", "127.0.0.1", "::1"].contains(&name)
}

/// A part of an address as the name of a file or folder.
fn safe(part: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    match part.chars().map(keep).collect::<String>() {
        name if name.trim_matches('.').is_empty() => "_".into(),
        name => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The address of the download, and the place in the cache.
    fn found(address: &str) -> (String, String) {
        let model = SharedModel::at(address, None).unwrap_or_else(|error| panic!("{error}"));
        let file = &model.source.files[0];
        let url = format!("{}{}{}", file.mirrors[0], file.name, file.query);
        (url, model.place.display().to_string().replace('\\', "/"))
    }

    #[test]
    fn addresses_lead_to_files() {
        let main = "https://huggingface.co/ada/letters/resolve/main";
        let place = "huggingface.co/ada/letters/resolve/main/model.safetensors";
        assert_eq!(found("hf:ada/letters"), (format!("{main}/model.safetensors"), place.into()));
        assert_eq!(found("https://huggingface.co/ada/letters/").0, found("hf:ada/letters").0);
        assert_eq!(
            found("hf:ada/letters/small/a.safetensors").0,
            format!("{main}/small/a.safetensors")
        );
        assert_eq!(
            found("https://huggingface.co/ada/letters/blob/v1.0/a.safetensors").0,
            found("hf:ada/letters@v1.0/a.safetensors").0
        );
        assert_eq!(
            found("https://zenodo.org/records/1/files/m.safetensors?download=1"),
            (
                "https://zenodo.org/records/1/files/m.safetensors?download=1".into(),
                "zenodo.org/records/1/files/_download_1/m.safetensors".into()
            )
        );
        assert_eq!(found("http://localhost:8000/m").1, "localhost_8000/m");
        let pinned = format!("hf:ada/letters#sha256={}", "AB".repeat(32));
        let pinned = SharedModel::at(&pinned, None).unwrap();
        assert_eq!(pinned.sha256.unwrap(), "ab".repeat(32));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let said = |address: &str| SharedModel::at(address, None).unwrap_err();
        for address in [
            "hf:",
            "hf:ada",
            "hf:ada/",
            "hf:/x",
            "hf:ada/b/../c",
            "hf:a/../b",
            "hf:a b/c",
            "https://",
            "https://host",
            "https://host/",
            "https:///m",
            "https://host/a/..",
            "hf:ada/b#v1",
            "https://host/a b",
            "ftp://host/m",
        ] {
            assert!(matches!(said(address), AddressError::Form(_)), "{address}");
        }
        assert!(matches!(said("http://host/m"), AddressError::Plain(_)));
        assert!(matches!(said("http://localhost.evil.example/m"), AddressError::Plain(_)));
        assert!(matches!(said("hf:a/b#sha256=12"), AddressError::Checksum(_)));
        let pinned = format!("http://host/m#sha256={}", "0".repeat(64));
        assert!(SharedModel::at(&pinned, None).is_ok());
    }

    #[test]
    fn the_cache_is_never_left() {
        for address in ["https://host/../../m", "https://host/%2e%2e/m", "https://../m"] {
            let Ok(model) = SharedModel::at(address, None) else { continue };
            assert!(!model.place.components().any(|part| part == std::path::Component::ParentDir));
        }
    }
}
