//! The download of a whole data set: file by file, mirror by mirror, try by try.

use std::{path::Path, time::Duration};

use super::{
    Content, RemoteFile, Source, Stored,
    client::Client,
    download::Part,
    error::{Fault, FetchError, MirrorError},
    unpack,
};
use crate::files::{self, FolderLock, LockError};

/// How patient a download is.
#[derive(Clone, Copy, Debug)]
pub struct FetchOptions {
    /// Longest wait for a name, a connection, an answer's head and for more of a file.
    pub timeout: Duration,
    /// Bytes a second at which a file must come on average, once twice the timeout has gone by. With the
    /// size, which is known, that ends every download: after 2 · timeout + size / rate.
    pub min_rate: u64,
    /// Tries per file and mirror, where trying again may help.
    pub num_tries: u32,
    /// Pause before the second try; before the third it is twice as long, and so on.
    pub pause: Duration,
    /// Whether files that bear a name of the data set's and are not what it holds are replaced: right in a
    /// cache folder, wrong in a folder of somebody's own.
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

/// What happens to a file.
#[derive(Clone, Copy, Debug)]
pub enum FetchEvent<'a> {
    /// It was there, and right.
    Present {
        /// The file.
        name: &'a str,
    },
    /// Something else bears its name, and is replaced.
    Wrong {
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

impl RemoteFile {
    /// Bytes that a download has at most.
    fn max_size(&self) -> u64 {
        match self.content {
            Content::Plain { size, .. } | Content::TarGzip { size, .. } => size,
            // However badly it is packed: no code of gzip takes more than 9 bits for a byte.
            Content::Gzip { size, .. } => size + size / 8 + 1024,
        }
    }
}

/// Brings a data set's files into `dir`. Files that are there, with the right checksum, stay.
///
/// A file is downloaded as `<name>.part`, from where an earlier try stopped if there was one; it gets its
/// name once its checksum is right. What is wrong or too large is deleted, what is not whole kept if its
/// server can go on from the middle.
///
/// # Errors
/// No mirror gave a file, each with its reason; the folder cannot be written or is full; a file there is
/// another's; another process writes there; a proxy or certificates of the environment cannot be used.
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
    // What killed calls left while they unpacked.
    files::sweep(dir, |name| stored().any(|file| file.name == name));
    let mut job = Job { dir, client, options, on_event };
    let fetched = missing.iter().try_for_each(|file| job.fetch(file, &source.page));
    drop(lock);
    files::remove_if_empty(dir);
    fetched
}

/// Makes the folder, and makes it ours as long as the lock is held.
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
    fn fetch(&mut self, file: &RemoteFile, page: &str) -> Result<(), FetchError> {
        let name = &file.name;
        let mut part = Part::new(self.dir.join(format!("{name}.part")), file.max_size());
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
                Err(Fault::Mirror(error)) => tried.push((server(mirror), error)),
                // What is there stays: the disk may have room later.
                Err(Fault::Local(error)) => return Err(error),
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
            // Two halves that do not fit deserve a second download; what is wrong as a whole does not.
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
        let mut transfer = part.begin(&self.client, &format!("{mirror}{name}"))?;
        let (from, total) = (transfer.at, transfer.total);
        (self.on_event)(FetchEvent::Began { name, host: &host, from, total });
        let end = loop {
            match transfer.advance() {
                Ok(Some(at)) => (self.on_event)(FetchEvent::Bytes(at)),
                Ok(None) => break Ok(()),
                Err(fault) => break Err(fault),
            }
        };
        // Its file is locked, which on Windows keeps even us from reading or removing it.
        drop(transfer);
        if let Err(Fault::Mirror(MirrorError::TooLarge { .. })) = end {
            part.discard();
        }
        end?;
        unpack::store(&part.path, file, self.dir)
    }
}

/// The server in an address, with its scheme and without the name and password of an account.
pub(crate) fn server(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = authority.rsplit('@').next().unwrap_or(authority);
    format!("{scheme}://{host}")
}
