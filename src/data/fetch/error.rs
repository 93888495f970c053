//! What goes wrong with a download, on the other side and on this one.

use std::path::{Path, PathBuf};

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
    /// Silence.
    #[error("nothing came for {secs} s")]
    Stalled {
        /// Seconds waited.
        secs: f64,
    },
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
            Self::Broken { .. } | Self::Stalled { .. } | Self::Truncated { .. } => true,
            Self::Range { .. } => true,
            Self::Status(status) => matches!(status, 408 | 429 | 500..=599),
            Self::Unreachable { .. } | Self::Checksum { .. } | Self::Unpack { .. } => false,
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
         archive) and name their folder with --data DIR",
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
    /// Somebody else writes the same file.
    #[error("{path} is being written by another jempp")]
    Busy {
        /// The file.
        path: PathBuf,
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
    move |source| Fault::Local(FetchError::Io { action, path: path.clone(), source })
}
