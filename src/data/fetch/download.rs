//! Download of one file from one server, resumed from an earlier attempt if possible.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use ureq::BodyReader;

use super::{
    client::{Client, Pace},
    error::{Fault, MirrorError, local},
};

/// A partly downloaded file, and its origin if known.
pub(super) struct Part {
    pub(super) path: PathBuf,
    /// Whether its server can resume the download. Only then is the file kept between calls.
    is_resumable: bool,
    /// The address the file came from, and the version tag that the server gave it.
    origin: Option<(String, String)>,
    /// Size limit of the whole file, in bytes.
    max_size: u64,
}

impl Part {
    pub(super) fn new(path: PathBuf, max_size: u64) -> Self {
        Self { path, is_resumable: true, origin: None, max_size }
    }

    /// The number of bytes downloaded so far.
    pub(super) fn len(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |metadata| metadata.len())
    }

    pub(super) fn discard(&mut self) {
        // A file that cannot be removed is overwritten next time.
        let _ = fs::remove_file(&self.path);
        self.origin = None;
    }

    /// The number of bytes kept for the next call. The file is deleted if no server can resume it.
    pub(super) fn settle(&mut self) -> u64 {
        if !self.is_resumable || self.len() == 0 {
            self.discard();
        }
        self.len()
    }

    /// Requests the missing bytes. A server that sends the whole file restarts the download.
    pub(super) fn begin(&mut self, client: &Client, url: &str) -> Result<Transfer, Fault> {
        if self.len() > self.max_size {
            self.discard();
        }
        let (have, mut headers) = (self.len(), Vec::new());
        if have > 0 {
            headers.push(("Range", format!("bytes={have}-")));
            if let Some((_, mark)) = self.origin.as_ref().filter(|(origin, _)| origin == url) {
                headers.push(("If-Range", mark.clone()));
            }
        }
        let (response, pace) = client.get(url, self.max_size, &headers)?;
        let header =
            |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let length = header("content-length").and_then(|length| length.parse::<u64>().ok());
        let (start, whole) = header("content-range").map_or((None, None), content_range);
        let status = response.status().as_u16();
        let (at, total) = match status {
            200 => (0, length),
            206 if start == Some(have) => {
                (have, whole.or(length.map(|length| have.saturating_add(length))))
            }
            // Nothing is missing: the last call stopped after the last byte but before the checksum.
            416 if have > 0 && whole == Some(have) => (have, whole),
            206 | 416 if have > 0 => {
                self.discard();
                return Err(MirrorError::Range { from: have }.into());
            }
            other => return Err(MirrorError::Status(other).into()),
        };
        let promised = total.or_else(|| length.map(|length| at.saturating_add(length)));
        if promised.is_some_and(|bytes| bytes > self.max_size) {
            return Err(MirrorError::TooLarge { max_size: self.max_size }.into());
        }
        self.is_resumable = status != 200 || header("accept-ranges") == Some("bytes");
        self.origin = header("etag")
            .filter(|mark| !mark.starts_with("W/"))
            .map(|mark| (url.to_string(), mark.to_string()));
        let file = open(&self.path, at)?;
        let body = (status != 416).then(|| response.into_body().into_reader());
        Ok(Transfer {
            file,
            path: self.path.clone(),
            body,
            at,
            total,
            max_size: self.max_size,
            pace,
            buffer: vec![0; 1 << 16],
        })
    }
}

/// A running transfer from a server to a file.
pub(super) struct Transfer {
    file: File,
    path: PathBuf,
    body: Option<BodyReader<'static>>,
    /// The number of bytes in the file so far.
    pub(super) at: u64,
    /// The size of the whole file in bytes, if the server states it.
    pub(super) total: Option<u64>,
    max_size: u64,
    pace: Pace,
    buffer: Vec<u8>,
}

impl Transfer {
    /// Waits for some bytes and writes them. Returns the number of bytes so far, or `None` at the end.
    pub(super) fn advance(&mut self) -> Result<Option<u64>, Fault> {
        let count = match &mut self.body {
            None => 0,
            Some(body) => match body.read(&mut self.buffer) {
                // The check of the length below gives a better error.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof && self.total.is_some() => 0,
                Err(error) => return Err(self.pace.failure(error.into()).into()),
                Ok(count) => count,
            },
        };
        self.at += count as u64;
        if self.at > self.max_size {
            return Err(MirrorError::TooLarge { max_size: self.max_size }.into());
        }
        let write = local("write", &self.path);
        if count > 0 {
            self.pace.check(count)?;
            self.file.write_all(&self.buffer[..count]).map_err(write)?;
            return Ok(Some(self.at));
        }
        self.file.sync_all().map_err(write)?;
        match self.total {
            Some(expected) if expected != self.at => {
                Err(MirrorError::Truncated { found: self.at, expected }.into())
            }
            _ => Ok(None),
        }
    }
}

/// Opens the file for writing, truncated after `at` bytes.
fn open(path: &Path, at: u64) -> Result<File, Fault> {
    let write = local("write", path);
    let mut file =
        OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(&write)?;
    file.set_len(at).map_err(&write)?;
    file.seek(SeekFrom::Start(at)).map_err(&write)?;
    Ok(file)
}

/// The first byte and the total length in a `Content-Range` such as `bytes 5-9/10` or `bytes */10`.
fn content_range(value: &str) -> (Option<u64>, Option<u64>) {
    let (range, whole) = value.trim_start_matches("bytes ").split_once('/').unwrap_or((value, ""));
    let start = range.split('-').next().and_then(|start| start.trim().parse().ok());
    (start, whole.parse().ok())
}
