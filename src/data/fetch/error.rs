//! Errors of a download, on the server's side and on this machine.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// Why a server did not deliver a file.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// No connection could be made.
    #[error("{reason}")]
    Unreachable {
        /// The reason for the failure.
        reason: String,
    },
    /// The connection broke.
    #[error("the connection broke: {reason}")]
    Broken {
        /// The reason for the failure.
        reason: String,
    },
    /// The server sent no response header in time.
    #[error("no answer came within {secs} s")]
    NoAnswer {
        /// The seconds waited.
        secs: f64,
    },
    /// The transfer stalled in the middle of a file.
    #[error("nothing came for {secs} s")]
    Stalled {
        /// The seconds waited.
        secs: f64,
    },
    /// The certificate of the server is not trusted.
    #[error(
        "its certificate is not trusted ({reason}). Behind a proxy that decrypts TLS, SSL_CERT_FILE=FILE names \
         the PEM file of the proxy's own certificate authority"
    )]
    Certificate {
        /// The reason given by the TLS library.
        reason: String,
    },
    /// The transfer is too slow.
    #[error("it sends less than {} kB a second", .min_rate / 1000)]
    Slow {
        /// The required rate, in bytes per second.
        min_rate: u64,
    },
    /// The server sends more bytes than the file can have.
    #[error("it sends more than the {max_size} bytes that the file can have")]
    TooLarge {
        /// The size limit of the file, in bytes.
        max_size: u64,
    },
    /// The server redirects too many times.
    #[error("it redirects from address to address without end")]
    Redirects,
    /// The server answered with an HTTP status other than success.
    #[error("it answered with HTTP status {0}")]
    Status(u16),
    /// The server closed the connection too early.
    #[error("it sent {found} of {expected} bytes")]
    Truncated {
        /// The number of bytes received.
        found: u64,
        /// The number of bytes that the server announced.
        expected: u64,
    },
    /// The server cannot resume the download at this position.
    #[error("it cannot resume the file after {from} bytes")]
    Range {
        /// The number of bytes already downloaded.
        from: u64,
    },
    /// The checksum of the file is wrong.
    #[error("the SHA-256 of {name} is {found} instead of {expected}")]
    Checksum {
        /// The name of the file.
        name: String,
        /// The expected checksum.
        expected: String,
        /// The checksum of the download.
        found: String,
    },
    /// The downloaded file cannot be unpacked.
    #[error("{name} cannot be unpacked: {reason}")]
    Unpack {
        /// The name of the file.
        name: String,
        /// The reason for the failure.
        reason: String,
    },
}

impl MirrorError {
    /// Whether a retry on the same server may succeed.
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

    /// Whether the download is wrong rather than incomplete.
    pub(super) fn is_corrupt(&self) -> bool {
        matches!(self, Self::Checksum { .. } | Self::Unpack { .. })
    }
}

/// Why a data set could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No mirror delivered the file.
    #[error(
        "cannot fetch {name}: {}{}{}",
        list(.tried), note(*.kept), advice(.by_hand)
    )]
    Mirrors {
        /// The name of the file.
        name: String,
        /// The servers tried, each with the error of its last attempt.
        tried: Vec<(String, MirrorError)>,
        /// The number of bytes from which the next call resumes.
        kept: u64,
        /// What a person can do instead; empty if that would be a way around the checksum.
        by_hand: String,
    },
    /// The operating system refused an action.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// The action that failed, for example "read" or "write".
        action: &'static str,
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The disk is full.
    #[error(
        "no room for {path}: {source}. The part downloaded so far is kept; make room, and the same command resumes it"
    )]
    Full {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// Another process is fetching into the same folder.
    #[error(
        "another jempp writes into {path}: {holder}. Wait until it is done, or name another folder"
    )]
    Busy {
        /// The path of the folder.
        path: PathBuf,
        /// A description of the other process.
        holder: String,
    },
    /// A file with the expected name exists but does not belong to the data set.
    #[error("{path} is there and is not the data set's; nothing is replaced unasked")]
    Foreign {
        /// The path of the file.
        path: PathBuf,
    },
    /// An environment variable has a value that cannot be used.
    #[error("the environment variable {name}: {reason}")]
    Environment {
        /// The name of the variable.
        name: &'static str,
        /// What is wrong with the value, and what is valid.
        reason: String,
    },
}

fn list(tried: &[(String, MirrorError)]) -> String {
    let lines: Vec<String> = tried.iter().map(|(host, error)| format!("{host}: {error}")).collect();
    lines.join("; ")
}

fn advice(by_hand: &str) -> String {
    match by_hand {
        "" => ". What came is not the file that was promised: do not use it, and ask its author"
            .into(),
        by_hand => format!(". By hand: {by_hand}"),
    }
}

fn note(kept: u64) -> String {
    match kept {
        0 => String::new(),
        kept => format!("; {kept} bytes are kept, and the same command continues from there"),
    }
}

/// Why an attempt stopped: an error of the server, or of this machine.
pub(super) enum Fault {
    Mirror(MirrorError),
    Local(FetchError),
}

impl From<MirrorError> for Fault {
    fn from(error: MirrorError) -> Self {
        Self::Mirror(error)
    }
}

/// Wraps an I/O error for a file on this machine.
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
