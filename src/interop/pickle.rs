//! What the pickles of a PyTorch file ask for, looked at before anything is made of them.
//!
//! A pickle is a program that may name any function and have it called. Nothing here calls one, nor does
//! `pytorch-reader`, which leaves what it does not know alone. But a file that names more than tensors
//! need is no checkpoint, and a short one can ask its reader for gigabytes; both are turned away here.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

/// Longest pickle, and longest list of an archive's entries; those of WRN-28-10 take some 60 kB.
const MAX_BYTES: u64 = 16 << 20;
/// Most instructions in all pickles of a file; WRN-28-10's have some 20,000.
const MAX_INSTRUCTIONS: usize = 1 << 20;
/// How a zip archive begins.
pub(super) const ZIP_START: &[u8] = b"PK\x03\x04";
/// The number 0x1950a86a20f9469cfc6c, which opens a file of PyTorch before 1.6.
pub(super) const LEGACY_START: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
/// That number, the version, the system, the checkpoint and the list of its storages.
const LEGACY_PICKLES: usize = 5;

const CUT_OFF: &str = "it is truncated or corrupt: a pickle in it has no end";

/// Why a file is not read.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The operating system refused.
    Io(io::Error),
    /// What is wrong with the file.
    Reason(String),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<&str> for Refusal {
    fn from(reason: &str) -> Self {
        Self::Reason(reason.to_string())
    }
}

/// Reads past every pickle of a file that `torch.save` wrote, and gives the file's length in bytes.
///
/// # Errors
/// A file of another kind, cut off, compressed, or with a pickle that does more than describe tensors.
pub(super) fn check(path: &Path) -> Result<u64, Refusal> {
    let mut file = File::open(path)?;
    let len = file.seek(SeekFrom::End(0))?;
    let start = read_at(&mut file, 0, len.min(LEGACY_START.len() as u64))?;
    let mut budget = MAX_INSTRUCTIONS;
    if start.starts_with(ZIP_START) {
        let pickle = zip_pickle(&mut file, len)?;
        skip_pickle(&pickle, &mut budget)?;
    } else if start == LEGACY_START {
        let bytes = read_at(&mut file, 0, len.min(MAX_BYTES))?;
        (0..LEGACY_PICKLES).try_fold(&bytes[..], |rest, _| skip_pickle(rest, &mut budget))?;
    } else {
        return Err("it does not begin like a file of torch.save".into());
    }
    Ok(len)
}

/// `len` bytes from `offset`, never more than [`MAX_BYTES`].
fn read_at(file: &mut File, offset: u64, len: u64) -> Result<Vec<u8>, Refusal> {
    if len > MAX_BYTES {
        return Err("a checkpoint's description of its tensors is never that long".into());
    }
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(len).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != len {
        return Err("it is truncated or corrupt: its archive points past its end".into());
    }
    Ok(bytes)
}

/// The little-endian number of `N` bytes at `at`, 0 where there is none.
fn number<const N: usize>(bytes: &[u8], at: usize) -> u64 {
    let digits = bytes.get(at..at + N).unwrap_or_default();
    digits.iter().rev().fold(0, |number, &digit| number << 8 | u64::from(digit))
}

/// `data.pkl` of a zip archive.
fn zip_pickle(file: &mut File, len: u64) -> Result<Vec<u8>, Refusal> {
    // The archive's end stands behind everything, with a comment of at most 64 KiB.
    let tail_len = len.min(22 + 0xffff);
    let tail = read_at(file, len - tail_len, tail_len)?;
    let end = tail.windows(4).rposition(|bytes| bytes == b"PK\x05\x06");
    let end = &tail[end.ok_or("it is truncated: its archive has no end")?..];
    let entries = read_at(file, number::<4>(end, 16), number::<4>(end, 12))?;
    let (mut at, mut pickles) = (0, Vec::new());
    while entries[at..].starts_with(b"PK\x01\x02") {
        let entry = &entries[at..];
        let [name, extra, comment] = [28, 30, 32].map(|at| number::<2>(entry, at) as usize);
        let Some(name) = entry.get(46..46 + name) else { break };
        if number::<2>(entry, 10) != 0 {
            return Err("its archive is compressed, which torch.save never does".into());
        }
        if name == b"data.pkl" || name.ends_with(b"/data.pkl") {
            pickles.push([42, 24].map(|at| number::<4>(entry, at)));
        }
        at = (at + 46 + name.len() + extra + comment).min(entries.len());
    }
    let [[offset, len]] = pickles[..] else {
        return Err("it is a zip archive, but not one of torch.save: it needs one data.pkl".into());
    };
    let header = read_at(file, offset, 30)?;
    read_at(file, offset + 30 + number::<2>(&header, 26) + number::<2>(&header, 28), len)
}

/// Reads past one pickle of protocol 2, torch.save's, and gives what stands behind it.
fn skip_pickle<'a>(mut bytes: &'a [u8], budget: &mut usize) -> Result<&'a [u8], Refusal> {
    loop {
        *budget = budget.checked_sub(1).ok_or("its pickle is too long for a checkpoint's")?;
        let (&instruction, rest) = bytes.split_first().ok_or(CUT_OFF)?;
        let argument = match instruction {
            b'.' => return Ok(rest),
            b'c' => global(rest)?,
            0x80 if rest.first() == Some(&2) => 1,
            0x80 => return Err("its pickle is not of protocol 2, torch.save's default".into()),
            // Memo, small numbers.
            b'q' | b'h' | b'K' => 1,
            b'M' => 2,
            b'r' | b'j' | b'J' => 4,
            b'G' => 8,
            // Long numbers, texts.
            0x8a => 1 + number::<1>(rest, 0) as usize,
            b'X' => 4 + number::<4>(rest, 0) as usize,
            // None, booleans, tuples, lists, dictionaries, storages, and the calls of what `global` lets by.
            b'N'
            | b'('
            | b')'
            | b']'
            | b'}'
            | b't'
            | b'a'
            | b'e'
            | b's'
            | b'u'
            | b'Q'
            | b'R'
            | b'b'
            | 0x85..=0x89 => 0,
            other => {
                return Err(Refusal::Reason(format!(
                    "its pickle does more than describe tensors (instruction 0x{other:02x}); nothing of it \
                     was run"
                )));
            }
        };
        bytes = rest.get(argument..).ok_or(CUT_OFF)?;
    }
}

/// Length of the two lines that name a function or class, if tensors need it.
fn global(bytes: &[u8]) -> Result<usize, Refusal> {
    let mut lines = bytes.splitn(3, |&byte| byte == b'\n');
    let (Some(module), Some(name), Some(_)) = (lines.next(), lines.next(), lines.next()) else {
        return Err(CUT_OFF.into());
    };
    match (module, name) {
        (b"collections", b"OrderedDict")
        | (b"torch._utils", b"_rebuild_tensor_v2" | b"_rebuild_parameter") => {}
        (b"torch", name) if name.ends_with(b"Storage") => {}
        _ => {
            let [module, name] = [module, name].map(|text| text.escape_ascii().to_string());
            let name: String = format!("{module}.{name}").chars().take(80).collect();
            return Err(Refusal::Reason(format!(
                "its pickle names `{name}`, which no checkpoint of tensors needs; nothing of it was run"
            )));
        }
    }
    Ok(module.len() + name.len() + 2)
}
