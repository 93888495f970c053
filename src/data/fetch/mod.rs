//! Data sets from their mirrors: picked up where a download broke, checked by SHA-256, whole or not there.

#[cfg(feature = "fetch")]
mod client;
#[cfg(feature = "fetch")]
mod download;
#[cfg(feature = "fetch")]
mod error;
#[cfg(feature = "fetch")]
mod job;
mod sources;
#[cfg(feature = "fetch")]
mod unpack;

use std::path::PathBuf;

use super::formats;
use crate::config::DatasetName;

#[cfg(feature = "fetch")]
pub use error::{FetchError, MirrorError};
#[cfg(feature = "fetch")]
pub(crate) use job::server;
#[cfg(feature = "fetch")]
pub use job::{FetchEvent, FetchOptions, fetch};
pub use sources::source;

/// Where a data set comes from.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its home page, for a person who gets the files by hand.
    pub page: String,
    /// Its files.
    pub files: Vec<RemoteFile>,
}

/// A file on some mirrors.
#[derive(Clone, Debug)]
pub struct RemoteFile {
    /// Its name on the mirrors.
    pub name: String,
    /// Addresses of the folders that hold it, each with its last slash, in the order in which they are tried.
    pub mirrors: Vec<String>,
    /// What is made of it.
    pub content: Content,
}

/// What a downloaded file is; checksums are SHA-256 in lower-case hexadecimal, sizes in bytes. No more than
/// these sizes is ever read or stored.
#[derive(Clone, Debug)]
pub enum Content {
    /// Stored as it is.
    Plain {
        /// Its checksum.
        sha256: String,
        /// Its size.
        size: u64,
    },
    /// Stored unpacked, without its `.gz`.
    Gzip {
        /// Checksum of the unpacked file: mirrors may pack anew.
        sha256: String,
        /// Size of the unpacked file.
        size: u64,
    },
    /// A gzipped tar archive; `members` are stored, without their folder, and nothing else.
    TarGzip {
        /// Checksum of the archive, which vouches for its members.
        sha256: String,
        /// Size of the archive.
        size: u64,
        /// What is taken out of it.
        members: Vec<Member>,
    },
}

/// A file of an archive.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its path in the archive, with `/`.
    pub path: String,
    /// Its checksum where one is known: tells whether the file is there already.
    pub sha256: Option<String>,
    /// Its size in bytes, or the most that it may have.
    pub max_size: u64,
}

/// A file of a complete folder.
#[cfg_attr(not(feature = "fetch"), expect(dead_code, reason = "only names are looked for"))]
struct Stored<'a> {
    name: &'a str,
    sha256: Option<&'a str>,
    max_size: u64,
}

impl RemoteFile {
    /// The files that a complete folder holds of it.
    fn stored(&self) -> Vec<Stored<'_>> {
        match &self.content {
            Content::Plain { sha256, size } => {
                vec![Stored { name: &self.name, sha256: Some(sha256), max_size: *size }]
            }
            Content::Gzip { sha256, size } => {
                let name = self.name.strip_suffix(".gz").unwrap_or(&self.name);
                vec![Stored { name, sha256: Some(sha256), max_size: *size }]
            }
            Content::TarGzip { members, .. } => members.iter().map(Member::stored).collect(),
        }
    }
}

impl Member {
    /// Its name without the folders.
    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    fn stored(&self) -> Stored<'_> {
        Stored { name: self.name(), sha256: self.sha256.as_deref(), max_size: self.max_size }
    }
}

/// The folder that a data set is fetched into when nobody names another: `$JEMPP_CACHE/<dataset>`, or
/// `jempp/<dataset>` in the user's cache folder. `None` where there is no such folder.
pub fn cache_dir(dataset: DatasetName) -> Option<PathBuf> {
    let root = match std::env::var_os("JEMPP_CACHE").filter(|root| !root.is_empty()) {
        Some(root) => PathBuf::from(root),
        None => dirs::cache_dir()?.join("jempp"),
    };
    Some(root.join(formats::cli_name(dataset)))
}

/// The folder that holds all files of a data set that was fetched before.
pub fn cached(dataset: DatasetName) -> Option<PathBuf> {
    let (dir, source) = (cache_dir(dataset)?, source(dataset, None)?);
    let mut stored = source.files.iter().flat_map(RemoteFile::stored);
    stored.all(|file| dir.join(file.name).is_file()).then_some(dir)
}
