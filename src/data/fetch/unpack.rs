//! Unpacks downloaded files into the files of a data set and checks them.

use std::{
    fs::{self, File},
    io::{Read, Write},
    path::Path,
};

use flate2::read::{GzDecoder, MultiGzDecoder};
use sha2::{Digest, Sha256};
use tar::Archive;
use tempfile::NamedTempFile;

use super::{
    Content, Member, RemoteFile, Stored,
    error::{Fault, MirrorError, local},
};
use crate::files;

/// Whether `dir` holds every file that comes from `file`, with the right checksums.
pub(super) fn is_present(file: &RemoteFile, dir: &Path) -> bool {
    file.stored().iter().all(|stored| is_right(stored, dir))
}

/// Whether a file exists with the right content. Only a regular file within the size limit is read.
pub(super) fn is_right(stored: &Stored, dir: &Path) -> bool {
    let path = dir.join(stored.name);
    let fits = |metadata: fs::Metadata| metadata.is_file() && metadata.len() <= stored.max_size;
    let is_same = |expected: &str| sha256_of(&path).is_ok_and(|found| found == expected);
    path.metadata().is_ok_and(fits) && stored.sha256.is_none_or(is_same)
}

/// Creates the files in `dir` from the download at `part`, then deletes the download.
pub(super) fn store(part: &Path, file: &RemoteFile, dir: &Path) -> Result<(), Fault> {
    match &file.content {
        Content::Plain { sha256, .. } => {
            check(&file.name, sha256, sha256_of(part)?)?;
            let path = dir.join(&file.name);
            return fs::rename(part, &path).map_err(local("write", &path));
        }
        Content::Unchecked { .. } => {
            let path = dir.join(&file.name);
            return fs::rename(part, &path).map_err(local("write", &path));
        }
        Content::Gzip { sha256, size } => {
            for Stored { name, .. } in file.stored() {
                let path = dir.join(name);
                let mut unpacked = files::begin(&path).map_err(local("write", &path))?;
                let packed = MultiGzDecoder::new(open(part)?);
                let found = unpack(&file.name, packed, *size, &mut unpacked, &path)?;
                check(name, sha256, found)?;
                files::finish(unpacked, &path).map_err(local("write", &path))?;
            }
        }
        Content::TarGzip { sha256, members, .. } => {
            check(&file.name, sha256, sha256_of(part)?)?;
            extract(part, &file.name, members, dir)?;
        }
    }
    fs::remove_file(part).map_err(local("write", part))
}

/// Extracts only the listed members from an archive, whatever other paths it holds.
fn extract(part: &Path, name: &str, members: &[Member], dir: &Path) -> Result<(), Fault> {
    let damaged = |reason: String| MirrorError::Unpack { name: name.to_string(), reason };
    let broken = |error: std::io::Error| damaged(error.to_string());
    let mut missing: Vec<&Member> = members.iter().collect();
    let mut unpacked = Vec::new();
    let mut archive = Archive::new(GzDecoder::new(open(part)?));
    for entry in archive.entries().map_err(broken)? {
        let entry = entry.map_err(broken)?;
        let inner = entry.path().map_err(broken)?;
        let inner = inner.strip_prefix(".").unwrap_or(&inner);
        let Some(at) = missing.iter().position(|member| Path::new(&member.path) == inner) else {
            continue;
        };
        if entry.header().entry_type().is_file() {
            let member = missing.remove(at);
            let path = dir.join(member.name());
            let mut file = files::begin(&path).map_err(local("write", &path))?;
            unpack(name, entry, member.max_size, &mut file, &path)?;
            unpacked.push((file, path));
        }
    }
    if let Some(member) = missing.first() {
        return Err(damaged(format!("it holds no {}", member.path)).into());
    }
    for (file, path) in unpacked {
        files::finish(file, &path).map_err(local("write", &path))?;
    }
    Ok(())
}

/// Decompresses at most `max_size` bytes, because a compressed file may expand to any size.
fn unpack(
    name: &str,
    from: impl Read,
    max_size: u64,
    to: &mut NamedTempFile,
    path: &Path,
) -> Result<String, Fault> {
    let damaged =
        |reason: String| -> Fault { MirrorError::Unpack { name: name.to_string(), reason }.into() };
    let mut bounded = from.take(max_size + 1);
    let found = copy(
        &mut bounded,
        to.as_file_mut(),
        |error| damaged(error.to_string()),
        local("write", path),
    )?;
    match bounded.limit() {
        0 => Err(damaged(format!("it holds more than {max_size} bytes"))),
        _ => Ok(found),
    }
}

fn sha256_of(path: &Path) -> Result<String, Fault> {
    copy(open(path)?, std::io::sink(), local("read", path), local("read", path))
}

/// Copies `from` to `to` and returns the SHA-256 of the data.
fn copy(
    mut from: impl Read,
    mut to: impl Write,
    on_read: impl Fn(std::io::Error) -> Fault,
    on_write: impl Fn(std::io::Error) -> Fault,
) -> Result<String, Fault> {
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        let count = from.read(&mut buffer).map_err(&on_read)?;
        if count == 0 {
            return Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
        }
        hasher.update(&buffer[..count]);
        to.write_all(&buffer[..count]).map_err(&on_write)?;
    }
}

fn open(path: &Path) -> Result<File, Fault> {
    File::open(path).map_err(local("read", path))
}

fn check(name: &str, expected: &str, found: String) -> Result<(), Fault> {
    if found == expected {
        return Ok(());
    }
    Err(MirrorError::Checksum { name: name.to_string(), expected: expected.to_string(), found }
        .into())
}
