//! Data sets from their mirrors: picked up where a download broke, checked by SHA-256, whole or not there.

mod download;
mod error;
mod sources;
mod unpack;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::formats;
use crate::config::DatasetName;
use download::Part;
use error::Fault;

pub use error::{FetchError, MirrorError};
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

/// What a downloaded file is; checksums are SHA-256 in lower-case hexadecimal.
#[derive(Clone, Debug)]
pub enum Content {
    /// Stored as it is.
    Plain {
        /// Its checksum.
        sha256: String,
    },
    /// Stored unpacked, without its `.gz`.
    Gzip {
        /// Checksum of the unpacked file: mirrors may pack anew.
        sha256: String,
    },
    /// A gzipped tar archive; `members` are stored, without their folder, and nothing else.
    TarGzip {
        /// Checksum of the archive, which vouches for its members.
        sha256: String,
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
}

impl Source {
    /// The names of the files that a complete folder holds, with their checksums.
    fn stored(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.files.iter().flat_map(RemoteFile::stored)
    }
}

impl RemoteFile {
    fn stored(&self) -> Vec<(&str, Option<&str>)> {
        match &self.content {
            Content::Plain { sha256 } => vec![(&self.name, Some(sha256))],
            Content::Gzip { sha256 } => {
                vec![(self.name.strip_suffix(".gz").unwrap_or(&self.name), Some(sha256))]
            }
            Content::TarGzip { members, .. } => {
                members.iter().map(|member| (member.name(), member.sha256.as_deref())).collect()
            }
        }
    }
}

impl Member {
    /// Its name without the folders.
    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// How patient a download is.
#[derive(Clone, Copy, Debug)]
pub struct FetchOptions {
    /// Silence after which a server counts as stalled, or as not there.
    pub timeout: Duration,
    /// Tries per file and mirror, where trying again may help.
    pub num_tries: u32,
    /// Pause before the second try; before the third it is twice as long, and so on.
    pub pause: Duration,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(30), num_tries: 4, pause: Duration::from_secs(1) }
    }
}

/// What happens to a file.
#[derive(Clone, Copy, Debug)]
pub enum FetchEvent<'a> {
    /// It was there, and right.
    Present {
        /// The file.
        name: &'a str,
    },
    /// A server has begun to send it.
    Began {
        /// The file.
        name: &'a str,
        /// The server, as in `https://host`.
        host: &'a str,
        /// Bytes that were there from an earlier try.
        from: u64,
        /// Bytes of the whole file, if the server says so.
        total: Option<u64>,
    },
    /// So many of its bytes are there.
    Bytes(u64),
    /// A try failed, and another one follows.
    Failed {
        /// The server, as in `https://host`.
        host: &'a str,
        /// What went wrong.
        error: &'a MirrorError,
    },
    /// It is there now, and right.
    Stored {
        /// The file.
        name: &'a str,
    },
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
    source.stored().all(|(name, _)| dir.join(name).is_file()).then_some(dir)
}

/// Brings a data set's files into `dir`. Files that are there, with the right checksum, stay.
///
/// A file is downloaded as `<name>.part`, from where an earlier try stopped if there was one; it gets its
/// name once its checksum is right. What is wrong is deleted, what is not whole kept if its server can
/// go on from the middle.
///
/// # Errors
/// No mirror gave a file, each with its reason, or the folder cannot be written.
pub fn fetch(
    source: &Source,
    dir: &Path,
    options: &FetchOptions,
    on_event: &mut dyn FnMut(FetchEvent),
) -> Result<(), FetchError> {
    let agent = download::agent(options.timeout);
    let mut job = Job { dir, agent, options, on_event };
    source.files.iter().try_for_each(|file| job.fetch(file, &source.page))
}

struct Job<'a> {
    dir: &'a Path,
    agent: ureq::Agent,
    options: &'a FetchOptions,
    on_event: &'a mut dyn FnMut(FetchEvent),
}

impl Job<'_> {
    fn fetch(&mut self, file: &RemoteFile, page: &str) -> Result<(), FetchError> {
        let name = &file.name;
        if unpack::is_present(file, self.dir) {
            (self.on_event)(FetchEvent::Present { name });
            return Ok(());
        }
        let mut part = Part::new(self.dir.join(format!("{name}.part")));
        let mut tried: Vec<(String, MirrorError)> = Vec::new();
        for mirror in &file.mirrors {
            if let Some((host, error)) = tried.last() {
                (self.on_event)(FetchEvent::Failed { host, error });
            }
            match self.fetch_from(mirror, file, &mut part) {
                Ok(()) => {
                    (self.on_event)(FetchEvent::Stored { name });
                    return Ok(());
                }
                Err(Fault::Mirror(error)) => tried.push((host_of(mirror).to_string(), error)),
                Err(Fault::Local(error)) => {
                    // Another process's part is not ours to remove.
                    if !matches!(error, FetchError::Busy { .. }) {
                        part.discard();
                    }
                    return Err(error);
                }
            }
        }
        let (name, page, kept) = (name.clone(), page.to_string(), part.settle());
        Err(FetchError::Mirrors { name, tried, kept, page })
    }

    /// Tries one mirror as often as that may help.
    fn fetch_from(
        &mut self,
        mirror: &str,
        file: &RemoteFile,
        part: &mut Part,
    ) -> Result<(), Fault> {
        let host = host_of(mirror);
        let mut num_tries = 0;
        loop {
            let is_resumed = part.len() > 0;
            let error = match self.try_once(mirror, file, part) {
                Err(Fault::Mirror(error)) => error,
                other => return other,
            };
            if error.is_corrupt() {
                part.discard();
            }
            // Two halves that do not fit deserve a second download; what is wrong as a whole does not.
            let helps = if error.is_corrupt() { is_resumed } else { error.is_passing() };
            num_tries += 1;
            if !helps || num_tries >= self.options.num_tries {
                return Err(error.into());
            }
            (self.on_event)(FetchEvent::Failed { host, error: &error });
            std::thread::sleep(self.options.pause * num_tries);
        }
    }

    fn try_once(&mut self, mirror: &str, file: &RemoteFile, part: &mut Part) -> Result<(), Fault> {
        let (name, host) = (&file.name, host_of(mirror));
        let mut transfer =
            part.begin(&self.agent, &format!("{mirror}{name}"), self.options.timeout)?;
        let (from, total) = (transfer.at, transfer.total);
        (self.on_event)(FetchEvent::Began { name, host, from, total });
        while let Some(at) = transfer.advance()? {
            (self.on_event)(FetchEvent::Bytes(at));
        }
        // Its file is locked, which on Windows keeps even us from reading it.
        drop(transfer);
        unpack::store(&part.path, file, self.dir)
    }
}

/// The server in an address, with its scheme.
fn host_of(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    let end = url[host..].find('/').map_or(url.len(), |at| host + at);
    &url[..end]
}
