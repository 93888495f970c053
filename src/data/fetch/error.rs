//! What goes wrong with a download, on the other side and on this one.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// Why a server did not give a file.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// No connection.
    #[error("{reason}")]
    Unreachable {
        /// The reason.
        reason: String,
    },
    /// The connection broke.
    #[error("the connection broke: {reason}")]
    Broken {
        /// The reason.
        reason: String,
    },
    /// No head of an answer.
    #[error("no answer came within {secs} s")]
    NoAnswer {
        /// Seconds waited.
        secs: f64,
    },
    /// Silence in the middle of a file.
    #[error("nothing came for {secs} s")]
    Stalled {
        /// Seconds waited.
        secs: f64,
    },
    /// A certificate that nobody here vouches for.
    #[error(
        "its certificate is not trusted ({reason}). Behind a proxy that reads along, SSL_CERT_FILE=FILE names \
         the PEM file of the proxy's own certificate authority"
    )]
    Certificate {
        /// The reason.
        reason: String,
    },
    /// A trickle.
    #[error("it sends less than {} kB a second", .min_rate / 1000)]
    Slow {
        /// Bytes a second asked of it.
        min_rate: u64,
    },
    /// More bytes than the file has.
    #[error("it sends more than the {max_size} bytes that the file can have")]
    TooLarge {
        /// Bytes the file has at most.
        max_size: u64,
    },
    /// From one address to the next without end.
    #[error("it sends on from address to address without end")]
    Redirects,
    /// Another answer than the file.
    #[error("it answered with HTTP status {0}")]
    Status(u16),
    /// It closed the connection too early.
    #[error("it sent {found} of {expected} bytes")]
    Truncated {
        /// Bytes there are.
        found: u64,
        /// Bytes it promised.
        expected: u64,
    },
    /// It cannot go on from the middle of the file.
    #[error("its file does not go on after {from} bytes")]
    Range {
        /// Bytes there were.
        from: u64,
    },
    /// Other bytes than the world has under this name.
    #[error("the SHA-256 of {name} is {found} instead of {expected}")]
    Checksum {
        /// The file.
        name: String,
        /// The right checksum.
        expected: String,
        /// The checksum of what came.
        found: String,
    },
    /// What came cannot be unpacked.
    #[error("{name} cannot be unpacked: {reason}")]
    Unpack {
        /// The file.
        name: String,
        /// The reason.
        reason: String,
    },
}

impl MirrorError {
    /// Whether the same server may do better next time.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Broken { .. }
            | Self::NoAnswer { .. }
            | Self::Stalled { .. }
            | Self::Truncated { .. }
            | Self::Range { .. } => true,
            Self::Status(status) => matches!(status, 408 | 429 | 500..=599),
            Self::Unreachable { .. }
            | Self::Certificate { .. }
            | Self::Slow { .. }
            | Self::TooLarge { .. }
            | Self::Redirects
            | Self::Checksum { .. }
            | Self::Unpack { .. } => false,
        }
    }

    /// Whether what came is wrong, rather than not all there.
    pub(super) fn is_corrupt(&self) -> bool {
        matches!(self, Self::Checksum { .. } | Self::Unpack { .. })
    }
}

/// Why a data set could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No mirror gave the file.
    #[error(
        "cannot fetch {name}: {}{}. By hand: get the data set's files from {page} (unpack a tar \
         archive) and name their folder in data.dir",
        list(.tried), note(*.kept)
    )]
    Mirrors {
        /// The file.
        name: String,
        /// The servers tried, and what each one's last try came to.
        tried: Vec<(String, MirrorError)>,
        /// Bytes that the next call goes on from.
        kept: u64,
        /// The data set's home page.
        page: String,
    },
    /// The operating system refused.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// read or write.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// No room.
    #[error(
        "no room for {path}: {source}. What has come is kept; make room, and the same command goes on from there"
    )]
    Full {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// Another process fetches into the same folder.
    #[error(
        "another jempp writes into {path}: {holder}. Wait until it is done, or name another folder"
    )]
    Busy {
        /// The folder.
        path: PathBuf,
        /// The other process.
        holder: String,
    },
    /// A file of somebody's own.
    #[error("{path} is there and is not the data set's; nothing is replaced unasked")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A variable of the environment that cannot be used.
    #[error("the environment variable {name}: {reason}")]
    Environment {
        /// The variable.
        name: &'static str,
        /// What is wrong with its value, and what would do.
        reason: String,
    },
}

fn list(tried: &[(String, MirrorError)]) -> String {
    let lines: Vec<String> = tried.iter().map(|(host, error)| format!("{host}: {error}")).collect();
    lines.join("; ")
}

fn note(kept: u64) -> String {
    match kept {
        0 => String::new(),
        kept => format!("; {kept} bytes are kept, and the same command goes on from there"),
    }
}

/// What stops a try: the server's fault, or this machine's.
pub(super) enum Fault {
    Mirror(MirrorError),
    Local(FetchError),
}

impl From<MirrorError> for Fault {
    fn from(error: MirrorError) -> Self {
        Self::Mirror(error)
    }
}

/// Makes an error of a file on this machine.
pub(super) fn local(action: &'static str, path: &Path) -> impl Fn(std::io::Error) -> Fault {
    let path = path.to_path_buf();
    move |source| {
        use ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let path = path.clone();
        Fault::Local(match source.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => FetchError::Full { path, source },
            _ => FetchError::Io { action, path, source },
        })
    }
}
