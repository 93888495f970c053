//! From what was downloaded to the files of a data set, checked.

use std::{
    fs::{self, File},
    io::{Read, Write},
    path::Path,
};

use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};
use tar::Archive;
use tempfile::NamedTempFile;

use super::{
    Content, Member, RemoteFile,
    error::{Fault, MirrorError, local},
};
use crate::files;

/// Whether all that becomes of `file` is in `dir`, with the right checksums.
pub(super) fn is_present(file: &RemoteFile, dir: &Path) -> bool {
    file.stored().into_iter().all(|(name, expected)| {
        let path = dir.join(name);
        match expected {
            None => path.is_file(),
            Some(expected) => sha256_of(&path).is_ok_and(|found| found == *expected),
        }
    })
}

/// Makes the files in `dir` of the download at `part`, which goes.
pub(super) fn store(part: &Path, file: &RemoteFile, dir: &Path) -> Result<(), Fault> {
    match &file.content {
        Content::Plain { sha256 } => {
            check(&file.name, sha256, sha256_of(part)?)?;
            let path = dir.join(&file.name);
            return fs::rename(part, &path).map_err(local("write", &path));
        }
        Content::Gzip { sha256 } => {
            for (name, _) in file.stored() {
                let path = dir.join(name);
                let mut unpacked = files::begin(&path).map_err(local("write", &path))?;
                let packed = GzDecoder::new(open(part)?);
                let found = unpack(&file.name, packed, &mut unpacked, &path)?;
                check(name, sha256, found)?;
                files::finish(unpacked, &path).map_err(local("write", &path))?;
            }
        }
        Content::TarGzip { sha256, members } => {
            check(&file.name, sha256, sha256_of(part)?)?;
            extract(part, &file.name, members, dir)?;
        }
    }
    fs::remove_file(part).map_err(local("write", part))
}

/// Takes the members out of an archive, and nothing else, whatever paths it holds.
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
            let path = dir.join(missing.remove(at).name());
            let mut file = files::begin(&path).map_err(local("write", &path))?;
            unpack(name, entry, &mut file, &path)?;
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

fn unpack(
    name: &str,
    from: impl Read,
    to: &mut NamedTempFile,
    path: &Path,
) -> Result<String, Fault> {
    let damaged = |error: std::io::Error| {
        MirrorError::Unpack { name: name.to_string(), reason: error.to_string() }.into()
    };
    copy(from, to, damaged, local("write", path))
}

fn sha256_of(path: &Path) -> Result<String, Fault> {
    copy(open(path)?, std::io::sink(), local("read", path), local("read", path))
}

/// SHA-256 of all that `from` gives, which is written to `to`.
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
