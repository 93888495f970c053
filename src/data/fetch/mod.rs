//! Download of data sets from mirrors, and of models from their addresses, with resume and SHA-256 checks. A file is stored only when it is complete.

#[cfg(feature = "fetch")]
mod client;
#[cfg(feature = "fetch")]
mod download;
#[cfg(feature = "fetch")]
mod error;
#[cfg(feature = "fetch")]
mod job;
#[cfg(feature = "fetch")]
mod model;
mod sources;
#[cfg(feature = "fetch")]
mod unpack;

use std::path::PathBuf;

use super::sets::name;
use crate::{config::DatasetName, files};

#[cfg(feature = "fetch")]
pub use error::{FetchError, MirrorError};
#[cfg(feature = "fetch")]
pub(crate) use job::server;
#[cfg(feature = "fetch")]
pub use job::{FetchEvent, FetchOptions, fetch};
#[cfg(feature = "fetch")]
pub use model::{AddressError, SharedModel, is_address};
pub use sources::source;

/// The source of a data set or a model: its home page and its files.
#[derive(Clone, Debug)]
pub struct Source {
    /// The home page, for users who download the files by hand.
    pub page: String,
    /// What a person can do if nothing can be downloaded, as the rest of a sentence.
    pub by_hand: String,
    /// The files of the data set.
    pub files: Vec<RemoteFile>,
}

/// A file on one or more mirrors.
#[derive(Clone, Debug)]
pub struct RemoteFile {
    /// The name of the file on the mirrors.
    pub name: String,
    /// Addresses of the folders that hold the file, each with a final slash, in the order to try.
    pub mirrors: Vec<String>,
    /// What follows the name in the address, as in `?download=1`; usually nothing.
    pub query: String,
    /// How the downloaded file is stored.
    pub content: Content,
}

/// The type of a downloaded file. Checksums are SHA-256 in lower-case hexadecimal, sizes are in bytes. No more than
/// these sizes is ever read or stored.
#[derive(Clone, Debug)]
pub enum Content {
    /// The file is stored unchanged.
    Plain {
        /// The SHA-256 of the file.
        sha256: String,
        /// The size of the file.
        size: u64,
    },
    /// The file is stored unchanged, and its SHA-256 is not known.
    Unchecked {
        /// The largest size of the file.
        max_size: u64,
    },
    /// The file is stored decompressed, without its `.gz`.
    Gzip {
        /// The SHA-256 of the decompressed file, because mirrors may compress it anew.
        sha256: String,
        /// The size of the decompressed file.
        size: u64,
    },
    /// A gzipped tar archive. Only `members` are stored, without their folder.
    TarGzip {
        /// The SHA-256 of the archive, which also covers its members.
        sha256: String,
        /// The size of the archive.
        size: u64,
        /// The members to extract.
        members: Vec<Member>,
    },
}

/// A member of an archive.
#[derive(Clone, Debug)]
pub struct Member {
    /// The path in the archive, with `/`.
    pub path: String,
    /// The SHA-256 if known; used to tell whether the file has been fetched.
    pub sha256: Option<String>,
    /// The size in bytes, or its upper limit.
    pub max_size: u64,
}

/// A file of a complete data set folder.
#[cfg_attr(not(feature = "fetch"), expect(dead_code, reason = "only names are looked for"))]
struct Stored<'a> {
    name: &'a str,
    sha256: Option<&'a str>,
    max_size: u64,
}

impl RemoteFile {
    /// The files that this download adds to a complete folder.
    fn stored(&self) -> Vec<Stored<'_>> {
        match &self.content {
            Content::Plain { sha256, size } => {
                vec![Stored { name: &self.name, sha256: Some(sha256), max_size: *size }]
            }
            Content::Unchecked { max_size } => {
                vec![Stored { name: &self.name, sha256: None, max_size: *max_size }]
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
    /// The file name without its folders.
    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    fn stored(&self) -> Stored<'_> {
        Stored { name: self.name(), sha256: self.sha256.as_deref(), max_size: self.max_size }
    }
}

/// The default folder for fetched files of a data set: `$JEMPP_CACHE/<dataset>`, or `jempp/<dataset>` in the user's
/// cache folder. `None` if there is no such folder.
pub(crate) fn cache_dir(dataset: DatasetName) -> Option<PathBuf> {
    Some(files::cache_folder()?.join(name(dataset)))
}

/// The folder of a data set that was fetched before, if it holds all files.
pub(crate) fn cached(dataset: DatasetName) -> Option<PathBuf> {
    let (dir, source) = (cache_dir(dataset)?, source(dataset, None)?);
    let mut stored = source.files.iter().flat_map(RemoteFile::stored);
    stored.all(|file| dir.join(file.name).is_file()).then_some(dir)
}
