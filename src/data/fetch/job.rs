//! Download of a whole data set: every file, with all its mirrors and retries.

use std::{path::Path, time::Duration};

use super::{
    Content, RemoteFile, Source, Stored,
    client::Client,
    download::Part,
    error::{Fault, FetchError, MirrorError},
    unpack,
};
use crate::files::{self, FolderLock, LockError};

/// Timeouts, retries and other options of a download.
#[derive(Clone, Copy, Debug)]
pub struct FetchOptions {
    /// Timeout for the name lookup, the connection, the response header and each read of the body.
    pub timeout: Duration,
    /// Minimum average rate in bytes per second, once twice the timeout has passed. The size is known, so every
    /// download ends after at most 2 · timeout + size / rate.
    pub min_rate: u64,
    /// The number of attempts per file and mirror, for errors where a retry may help.
    pub num_tries: u32,
    /// The pause before the second attempt; after attempt n it is n times as long.
    pub pause: Duration,
    /// Whether to replace files that have a name of the data set but other content. Right for the cache folder, wrong
    /// for a folder of the user.
    pub replaces: bool,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            min_rate: 10_000,
            num_tries: 4,
            pause: Duration::from_secs(1),
            replaces: false,
        }
    }
}

/// A progress event for one file.
#[derive(Clone, Copy, Debug)]
pub enum FetchEvent<'a> {
    /// The file exists and its checksum is right.
    Present {
        /// The name of the file.
        name: &'a str,
    },
    /// A file with this name has other content and is replaced.
    Wrong {
        /// The name of the file.
        name: &'a str,
    },
    /// A server has started to send the file.
    Began {
        /// The name of the file.
        name: &'a str,
        /// The server, for example `https://host`.
        host: &'a str,
        /// The number of bytes kept from an earlier attempt.
        from: u64,
        /// The size of the whole file in bytes, if the server states it.
        total: Option<u64>,
    },
    /// The number of bytes of the file so far.
    Bytes(u64),
    /// An attempt failed and another one follows.
    Failed {
        /// The server, for example `https://host`.
        host: &'a str,
        /// The error of the attempt.
        error: &'a MirrorError,
    },
    /// The file is complete and its checksum is right.
    Stored {
        /// The name of the file.
        name: &'a str,
        /// Whether its checksum is known at all.
        is_checked: bool,
    },
}

impl RemoteFile {
    /// Size limit of the download, in bytes.
    fn max_size(&self) -> u64 {
        match self.content {
            Content::Plain { size, .. } | Content::TarGzip { size, .. } => size,
            Content::Unchecked { max_size } => max_size,
            // The worst case: gzip never takes more than 9 bits for a byte.
            Content::Gzip { size, .. } => size + size / 8 + 1024,
        }
    }
}

/// Downloads the files of a data set into `dir`. Existing files with the right checksum stay.
///
/// A file is downloaded as `<name>.part`, resumed from an earlier attempt if there was one, and renamed once its
/// checksum is right. A wrong or too large file is deleted; an incomplete one is kept if its server can resume.
///
/// # Errors
/// No mirror delivered a file (the error gives each reason); the folder cannot be written or is full; a file there does
/// not belong to the data set; another process writes into the folder; the environment names a proxy or certificates
/// that cannot be used.
pub fn fetch(
    source: &Source,
    dir: &Path,
    options: &FetchOptions,
    on_event: &mut dyn FnMut(FetchEvent),
) -> Result<(), FetchError> {
    let (present, missing): (Vec<_>, Vec<_>) =
        source.files.iter().partition(|file| unpack::is_present(file, dir));
    for RemoteFile { name, .. } in present {
        on_event(FetchEvent::Present { name });
    }
    if missing.is_empty() {
        return Ok(());
    }
    let client = Client::new(options)?;
    let stored = || missing.iter().flat_map(|file| file.stored());
    let is_foreign = |file: &Stored| {
        dir.join(file.name).symlink_metadata().is_ok() && !unpack::is_right(file, dir)
    };
    for file in stored().filter(is_foreign) {
        if !options.replaces {
            return Err(FetchError::Foreign { path: dir.join(file.name) });
        }
        on_event(FetchEvent::Wrong { name: file.name });
    }
    let lock = lock(dir)?;
    // Temporary files of calls that were killed while unpacking.
    files::sweep(dir, |name| stored().any(|file| file.name == name));
    let mut job = Job { dir, client, options, on_event };
    let fetched = missing.iter().try_for_each(|file| job.fetch(file, &source.by_hand));
    drop(lock);
    files::remove_if_empty(dir);
    fetched
}

/// Creates the folder and locks it against other processes.
fn lock(dir: &Path) -> Result<FolderLock, FetchError> {
    let write = |source| FetchError::Io { action: "write", path: dir.to_path_buf(), source };
    files::create_dir(dir).map_err(write)?;
    FolderLock::take(dir).map_err(|error| match error {
        LockError::Held(holder) => FetchError::Busy { path: dir.to_path_buf(), holder },
        LockError::Io(source) => write(source),
    })
}

struct Job<'a> {
    dir: &'a Path,
    client: Client,
    options: &'a FetchOptions,
    on_event: &'a mut dyn FnMut(FetchEvent),
}

impl Job<'_> {
    fn fetch(&mut self, file: &RemoteFile, by_hand: &str) -> Result<(), FetchError> {
        let name = &file.name;
        let mut part = Part::new(self.dir.join(format!("{name}.part")), file.max_size());
        let mut tried: Vec<(String, MirrorError)> = Vec::new();
        for mirror in &file.mirrors {
            if let Some((host, error)) = tried.last() {
                (self.on_event)(FetchEvent::Failed { host, error });
            }
            match self.fetch_from(mirror, file, &mut part) {
                Ok(()) => {
                    let is_checked = !matches!(file.content, Content::Unchecked { .. });
                    (self.on_event)(FetchEvent::Stored { name, is_checked });
                    return Ok(());
                }
                Err(Fault::Mirror(error)) => tried.push((server(mirror), error)),
                // The downloaded part stays: the disk may have room later.
                Err(Fault::Local(error)) => return Err(error),
            }
        }
        let is_wrong =
            |(_, error): &(String, MirrorError)| matches!(error, MirrorError::Checksum { .. });
        let by_hand = if tried.iter().all(is_wrong) { "" } else { by_hand };
        let (name, by_hand, kept) = (name.clone(), by_hand.to_string(), part.settle());
        Err(FetchError::Mirrors { name, tried, kept, by_hand })
    }

    /// Tries one mirror, with retries where they may help.
    fn fetch_from(
        &mut self,
        mirror: &str,
        file: &RemoteFile,
        part: &mut Part,
    ) -> Result<(), Fault> {
        let host = server(mirror);
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
            // A file joined from two attempts may be corrupt and deserves a second download; one from a single attempt
            // does not.
            let helps = if error.is_corrupt() { is_resumed } else { error.is_passing() };
            num_tries += 1;
            if !helps || num_tries >= self.options.num_tries {
                return Err(error.into());
            }
            (self.on_event)(FetchEvent::Failed { host: &host, error: &error });
            std::thread::sleep(self.options.pause * num_tries);
        }
    }

    fn try_once(&mut self, mirror: &str, file: &RemoteFile, part: &mut Part) -> Result<(), Fault> {
        let (name, host) = (&file.name, server(mirror));
        let mut transfer = part.begin(&self.client, &format!("{mirror}{name}{}", file.query))?;
        let (from, total) = (transfer.at, transfer.total);
        (self.on_event)(FetchEvent::Began { name, host: &host, from, total });
        let end = loop {
            match transfer.advance() {
                Ok(Some(at)) => (self.on_event)(FetchEvent::Bytes(at)),
                Ok(None) => break Ok(()),
                Err(fault) => break Err(fault),
            }
        };
        // The file is locked while the transfer exists, and on Windows this stops even this process from reading or
        // removing it.
        drop(transfer);
        if let Err(Fault::Mirror(MirrorError::TooLarge { .. })) = end {
            part.discard();
        }
        end?;
        unpack::store(&part.path, file, self.dir)
    }
}

/// The scheme and host of an address, without the name and password of an account.
pub(crate) fn server(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = authority.rsplit('@').next().unwrap_or(authority);
    format!("{scheme}://{host}")
}
