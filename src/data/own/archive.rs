//! Zip archives as lists of named files. Nothing is ever unpacked to the disk.

use std::{
    collections::HashSet,
    io::{self, Read, Seek, SeekFrom},
    sync::Arc,
};

use zip::{CompressionMethod, ZipArchive};

use super::{
    MAX_ITEMS, MAX_TOTAL_BYTES, Reason,
    bytes::{Archive, Bytes},
    items::some_of,
    named::{Files, NamedFile, same_name},
    names::Names,
};
use crate::counts::counted;

/// An archive that unpacks to more than this is refused if that is too many times its own size.
const SUSPICIOUS_BYTES: u64 = 64 << 20;
/// The most that an archive may grow by unpacking: pictures and arrays grow a few times, zip bombs a thousand times.
const MAX_GROWTH: u64 = 200;
/// The number of bytes at the end of an archive that hold its closing records.
const END_BYTES: u64 = (1 << 16) + 128;

/// Opens a zip archive with `len` bytes.
///
/// # Errors
/// The archive is damaged, holds too many files, or holds two files of one name.
pub(super) fn open(bytes: Bytes, len: u64) -> Result<ZipArchive<Bytes>, Reason> {
    check_count(bytes.clone(), len).map_err(damaged)??;
    let archive = ZipArchive::new(bytes.clone()).map_err(damaged)?;
    if archive.has_duplicate_names()
        && let Some(name) = double(bytes, archive.central_directory_start())
    {
        return Err(same_name(&name));
    }
    Ok(archive)
}

/// Why an archive with this error is refused.
pub(super) fn damaged(error: impl std::fmt::Display) -> Reason {
    format!("the archive is damaged: {error}")
}

/// Lists the files of a zip archive with `len` bytes. Left out and told are: entries whose names lead out of the archive,
/// links, encrypted entries, and those packed in a way that is not read.
///
/// # Errors
/// As [`open`]; also, the archive holds too much.
pub(super) fn list(bytes: Bytes, len: u64) -> Result<Files, Reason> {
    let archive = open(bytes, len)?;
    let foreign = archive.file_names_raw().filter(|name| std::str::from_utf8(name).is_err());
    let num_foreign = foreign.count();
    let archive = Arc::new(Archive(archive));
    let mut names = Names::default();
    let (mut num_links, mut locked, mut unknown) = (0, Vec::new(), Vec::new());
    let mut found = Files::default();
    let mut total = 0u64;
    for index in 0..archive.0.len() {
        let entry = archive.0.by_index_data(index).map_err(damaged)?;
        let Some(name) = names.accept(&entry.name().map_err(damaged)?) else { continue };
        total = total.saturating_add(entry.size());
        match () {
            () if entry.is_dir() => found.folders.push(name),
            () if entry.is_symlink() => num_links += 1,
            () if entry.encrypted() => locked.push(name),
            () if !matches!(
                entry.compression(),
                CompressionMethod::Stored | CompressionMethod::Deflated
            ) =>
            {
                unknown.push(name);
            }
            () => found.all.push(NamedFile::packed(name, archive.clone(), index)),
        }
    }
    check_size(total, len)?;
    found.sort()?;
    found.folders.sort();
    if num_foreign > 0 {
        found.choices.push(format!(
            "{} not in UTF-8, and may be shown wrongly; pack the files again with names in UTF-8",
            counted(num_foreign, "name in the archive is", "names in the archive are")
        ));
    }
    found.skipped = names.skipped();
    for (names, one, many) in [
        (locked, "file under a password", "files under a password"),
        (
            unknown,
            "file packed in a way that is not read",
            "files packed in a way that is not read (save the archive as plain zip)",
        ),
    ] {
        if !names.is_empty() {
            found.skipped.push(format!(
                "{} ({})",
                counted(names.len(), one, many),
                some_of(&names)
            ));
        }
    }
    if num_links > 0 {
        found.skipped.push(counted(num_links, "link", "links"));
    }
    Ok(found)
}

/// The name of two files in the list of an archive, which begins at this place.
fn double(mut bytes: Bytes, start: u64) -> Option<String> {
    /// The start of the record of a file, the bytes of a record, and the places of the lengths of name, extra and comment
    /// in it, all of which follow it.
    const RECORD: (&[u8], usize, [usize; 3]) = (b"PK\x01\x02", 46, [28, 30, 32]);
    bytes.seek(SeekFrom::Start(start)).ok()?;
    let mut seen = HashSet::new();
    let mut record = [0; RECORD.1];
    loop {
        bytes.read_exact(&mut record).ok().filter(|()| record.starts_with(RECORD.0))?;
        let [name, extra, comment] =
            RECORD.2.map(|at| usize::from(u16::from_le_bytes([record[at], record[at + 1]])));
        let mut rest = vec![0; name + extra + comment];
        bytes.read_exact(&mut rest).ok()?;
        rest.truncate(name);
        // A folder may be listed twice.
        if !rest.ends_with(b"/") && !seen.insert(rest.clone()) {
            return Some(String::from_utf8_lossy(&rest).into_owned());
        }
    }
}

/// Writes a list of files as a zip archive, from which it can be read again. Pictures are packed already, so nothing is
/// packed again.
///
/// # Errors
/// A file cannot be read, or the archive cannot be written.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn write(files: &Files, out: impl io::Write + io::Seek) -> io::Result<()> {
    let mut archive = zip::ZipWriter::new(out);
    let plain =
        zip::write::SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for file in &files.all {
        archive.start_file(&file.name, plain.large_file(true))?;
        io::copy(&mut file.open()?.0, &mut archive)?;
    }
    archive.finish()?;
    Ok(())
}

/// Checks how many entries the end of an archive promises, before memory is taken for them.
fn check_count(mut bytes: Bytes, len: u64) -> io::Result<Result<(), Reason>> {
    /// The start of the closing record of a large archive, and the place of its number of entries.
    const LARGE: (&[u8], usize) = (b"PK\x06\x06", 32);
    bytes.seek(SeekFrom::Start(len.saturating_sub(END_BYTES)))?;
    let mut end = Vec::new();
    bytes.take(END_BYTES).read_to_end(&mut end)?;
    let counts = end.windows(LARGE.0.len()).enumerate().filter(|(_, window)| *window == LARGE.0);
    let counts =
        counts.filter_map(|(at, _)| end.get(at + LARGE.1..at + LARGE.1 + 8)?.try_into().ok());
    let most = counts.map(u64::from_le_bytes).max().unwrap_or(0);
    Ok(match most > 2 * MAX_ITEMS as u64 {
        true => Err(format!("it holds more than {} files", 2 * MAX_ITEMS)),
        false => Ok(()),
    })
}

/// Checks the bytes that an archive of `len` bytes unpacks to.
fn check_size(total: u64, len: u64) -> Result<(), Reason> {
    if total > SUSPICIOUS_BYTES && total > len.saturating_mul(MAX_GROWTH) {
        return Err(format!(
            "it unpacks to {} MiB, more than {MAX_GROWTH} times its own size, as a zip bomb does; if that is right, unpack \
             it and name its folder",
            total >> 20
        ));
    }
    match total > MAX_TOTAL_BYTES {
        true => Err(format!(
            "it unpacks to {} MiB; at most {} MiB are read",
            total >> 20,
            MAX_TOTAL_BYTES >> 20
        )),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_that_grow_too_much_are_refused() {
        assert_eq!(check_size(60 << 20, 100), Ok(()));
        assert_eq!(check_size(1 << 30, 10 << 20), Ok(()));
        assert!(check_size(1 << 30, 1 << 20).unwrap_err().contains("zip bomb"));
        assert!(check_size(MAX_TOTAL_BYTES + 1, 1 << 30).unwrap_err().contains("at most"));
    }
}
