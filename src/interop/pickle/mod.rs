//! Safety check of the pickles of a PyTorch file before anything is created from them.
//!
//! A pickle is a program that can call any function by name. Nothing here calls one, nor does `pytorch-reader`, which
//! ignores what it does not know. But a file that names more than tensors and plain values is not a checkpoint of
//! weights, and a short file can make its reader allocate gigabytes. Both are rejected here; for the first, the error
//! gives lines of Python that write a file with the weights alone.

mod machine;

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use super::names::CONTAINERS;
use machine::{Fault, Machine};

/// Size limit of a pickle and of the entry list of an archive; those of WRN-28-10 take about 60 kB.
const MAX_BYTES: u64 = 16 << 20;
/// The first bytes of a zip archive.
const ZIP_START: &[u8] = b"PK\x03\x04";
/// The number 0x1950a86a20f9469cfc6c, which starts a PyTorch file written before version 1.6.
const LEGACY_START: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
/// The number of pickles in such a file: that number, the version, the system, the checkpoint and the list of its
/// storages.
const LEGACY_PICKLES: usize = 5;
/// Keys in the Python version of CIFAR, which consists of pickles too.
const CIFAR_KEYS: [&[u8]; 3] = [b"batch_label", b"filenames", b"label_names"];
/// The number of bytes in the record that ends a zip archive.
const ZIP_END_LEN: u64 = 22;

/// Why a file is rejected.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The operating system refused an action.
    Io(io::Error),
    /// A safetensors file, which is either a checkpoint of jempp already or must be converted first.
    Safetensors(PathBuf),
    /// A text that says what is wrong with the file.
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

/// A file that passed the check: its pickles describe only tensors and plain values.
#[derive(Debug)]
pub(super) struct Checked {
    /// The size of the file in bytes.
    pub(super) len: u64,
    /// Lines of Python that write a file with the weights alone, for errors that the reader may still find.
    pub(super) rescue: String,
}

/// Checks every pickle of a file that `torch.save` wrote.
///
/// # Errors
/// The file is of another kind, cut off or compressed, or a pickle does more than describe tensors.
pub(super) fn check(path: &Path) -> Result<Checked, Refusal> {
    // This check comes before the open, because opening a pipe would block until it has a writer.
    let kind = path.metadata()?.file_type();
    if kind.is_dir() {
        return Err("it is a folder; name a file of torch.save".into());
    }
    if !kind.is_file() {
        return Err("it is not a regular file; name a file of torch.save".into());
    }
    let mut file = File::open(path)?;
    let len = file.seek(SeekFrom::End(0))?;
    let head = read_at(&mut file, 0, len.min(512))?;
    let mut machine = Machine::new();
    let (pickle, checked) = if head.starts_with(ZIP_START) {
        let pickle = zip_pickle(&mut file, len)?;
        let checked = machine.skip(&pickle).map(drop);
        (pickle, checked)
    } else if head.starts_with(LEGACY_START) && head.get(257..262) != Some(b"ustar") {
        let bytes = read_at(&mut file, 0, len.min(MAX_BYTES))?;
        let checked = (0..LEGACY_PICKLES).try_fold(&bytes[..], |rest, _| machine.skip(rest));
        let checked = checked.map(drop);
        (bytes, checked)
    } else {
        return Err(other_kind(&head, path));
    };
    let rescue = rescue(path, &pickle);
    match checked {
        Ok(()) => Ok(Checked { len, rescue }),
        Err(Fault::Broken(reason)) => Err(reason.into()),
        Err(Fault::Foreign(reason)) => {
            Err(Refusal::Reason(format!("{reason}; nothing of it was run. {rescue}")))
        }
    }
}

/// Reads `len` bytes from `offset`, at most [`MAX_BYTES`].
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

/// The little-endian number of these bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, &digit| number << 8 | u64::from(digit))
}

/// The little-endian number of `N` bytes at `at`; 0 past the end of `bytes`.
fn number_at<const N: usize>(bytes: &[u8], at: usize) -> u64 {
    number(bytes.get(at..at + N).unwrap_or_default())
}

/// Reads `data.pkl` from a zip archive.
fn zip_pickle(file: &mut File, len: u64) -> Result<Vec<u8>, Refusal> {
    // torch.save writes no comment after the record that ends an archive.
    let end = read_at(file, len.saturating_sub(ZIP_END_LEN), len.min(ZIP_END_LEN))?;
    if !end.starts_with(b"PK\x05\x06") {
        return Err("it is truncated or corrupt: its archive has no end".into());
    }
    let entries = read_at(file, number_at::<4>(&end, 16), number_at::<4>(&end, 12))?;
    let (mut at, mut pickles) = (0, Vec::new());
    while entries[at..].starts_with(b"PK\x01\x02") {
        let entry = &entries[at..];
        let [name, extra, comment] = [28, 30, 32].map(|at| number_at::<2>(entry, at) as usize);
        let Some(name) = entry.get(46..46 + name) else { break };
        if number_at::<2>(entry, 10) != 0 {
            return Err("its archive is compressed, which torch.save never does".into());
        }
        if name.ends_with(b"/constants.pkl") {
            return Err("it is a TorchScript archive; where you trust it, write its weights with \
                        torch.save({\"model_state_dict\": torch.jit.load(FILE).state_dict()}, \"clean.pt\")"
                .into());
        }
        if name == b"data.pkl" || name.ends_with(b"/data.pkl") {
            pickles.push([42, 24].map(|at| number_at::<4>(entry, at)));
        }
        at = (at + 46 + name.len() + extra + comment).min(entries.len());
    }
    let [[offset, len]] = pickles[..] else {
        return Err("it is a zip archive, but not one of torch.save: it needs one data.pkl".into());
    };
    let header = read_at(file, offset, 30)?;
    read_at(file, offset + 30 + number_at::<2>(&header, 26) + number_at::<2>(&header, 28), len)
}

/// The error for a file that is not of torch.save, which names its kind, detected from its first bytes, and what to do.
fn other_kind(head: &[u8], path: &Path) -> Refusal {
    let holds = |text: &[u8]| head.windows(text.len()).any(|bytes| bytes == text);
    if head.is_empty() {
        "it is empty".into()
    } else if head.get(8) == Some(&b'{') && number(&head[..8]) < MAX_BYTES {
        Refusal::Safetensors(path.to_path_buf())
    } else if head.starts_with(b"\x80") && CIFAR_KEYS.iter().any(|key| holds(key)) {
        "it is a data set, CIFAR's Python version. jempp reads the binary version, which `jempp fetch cifar10` \
         (or cifar100) gets"
            .into()
    } else if head.starts_with(b"\x80") || head.get(257..262) == Some(b"ustar") {
        "it is a pickle or a tar archive, but not one of torch.save since PyTorch 0.4; save it anew with \
         torch.save({\"model_state_dict\": model.state_dict()}, \"clean.pt\")"
            .into()
    } else {
        "it does not begin like a file of torch.save, the only files that import reads".into()
    }
}

/// Two lines of Python that write a file with the weights and chains of a checkpoint alone, derived from the texts in
/// its pickle.
fn rescue(path: &Path, pickle: &[u8]) -> String {
    let holds = |text: &str| {
        let long = [b"X", (text.len() as u32).to_le_bytes().as_slice(), text.as_bytes()].concat();
        let short = [&[0x8c, text.len() as u8], text.as_bytes()].concat();
        [long, short].iter().any(|found| pickle.windows(found.len()).any(|bytes| bytes == found))
    };
    // The saved object follows the protocol byte and, if there is one, the length of a frame.
    let root = pickle.get(if pickle.get(2) == Some(&0x95) { 11 } else { 2 });
    let has_module = holds("_parameters");
    let key = match CONTAINERS.iter().find(|key| holds(key)) {
        Some(key) if !has_module || root == Some(&b'}') => format!("[\"{key}\"]"),
        _ => String::new(),
    };
    let method = if has_module { ".state_dict()" } else { "" };
    let chains = match holds("replay_buffer") {
        true => ", \"replay_buffer\": state[\"replay_buffer\"]",
        false => "",
    };
    format!(
        "If you trust where it comes from, two lines of Python make a file that jempp imports: \
         state = torch.load({:?}, map_location=\"cpu\", weights_only=False); \
         torch.save({{\"model_state_dict\": state{key}{method}{chains}}}, \"clean.pt\")",
        path.display().to_string()
    )
}
