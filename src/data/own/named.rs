//! Lists of named files with bytes, which every reader of data sets takes: a folder, a zip archive, or files in memory.

use std::{
    io::{self, BufReader, Cursor},
    path::PathBuf,
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{
    Reason,
    bytes::{Archive, Bytes},
    composed::compare,
    names::Names,
};
#[cfg(not(target_arch = "wasm32"))]
use crate::files;
use crate::{
    data::{DataError, formats::Input},
    picture,
};

/// The usual endings of the names of pictures, including those that are not read.
const PICTURE_ENDINGS: [&str; 17] = [
    "png", "jpg", "jpeg", "jpe", "jfif", "gif", "webp", "bmp", "dib", "tif", "tiff", "ico", "avif",
    "heic", "tga", "pnm", "ppm",
];
/// The endings of files that are never taken as pictures.
const OTHER_ENDINGS: [&str; 39] = [
    "7z", "avi", "csv", "db", "doc", "docx", "gz", "htm", "html", "ini", "ipynb", "json", "jsonl",
    "log", "mat", "md", "mov", "mp3", "mp4", "npy", "npz", "onnx", "pdf", "pkl", "pt", "pth", "py",
    "rar", "rst", "svg", "tar", "tgz", "toml", "tsv", "txt", "xml", "yaml", "yml", "zip",
];
/// The number of bytes at the start of a file that tell its kind.
const START_BYTES: u64 = 64;

/// A file of a data set that is given as a list of files and not as a path: its name in the list, and its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnFile {
    /// The name with its folders, as `train/cat/1.png`, with `/` between its parts.
    pub name: String,
    /// Where the bytes are.
    pub content: OwnContent,
}

/// The place of the bytes of an [`OwnFile`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum OwnContent {
    /// The bytes themselves.
    Bytes(Arc<[u8]>),
    /// The path of a file. In a browser, which has no paths, the name under which the page keeps a file that a person
    /// gave it; its worker reads the bytes before it uses the list.
    Path(PathBuf),
}

/// A file by its name in a list of files.
#[derive(Clone, Debug)]
pub(super) struct NamedFile {
    /// The path in the list, with `/` between its parts.
    pub(super) name: String,
    place: Place,
}

/// Where the bytes of a file are.
#[derive(Clone, Debug)]
enum Place {
    #[cfg(not(target_arch = "wasm32"))]
    Path(PathBuf),
    Memory(Arc<[u8]>),
    /// The entry of an archive with this index.
    Packed(Arc<Archive>, usize),
}

impl NamedFile {
    /// A file in a folder.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn at(name: String, path: PathBuf) -> Self {
        Self { name, place: Place::Path(path) }
    }

    /// A file in an archive.
    pub(super) fn packed(name: String, archive: Arc<Archive>, index: usize) -> Self {
        Self { name, place: Place::Packed(archive, index) }
    }

    /// The content of the file, if it has at most `most` bytes.
    ///
    /// # Errors
    /// The file cannot be read, is larger, or is not a regular file.
    pub(super) fn read(&self, most: u64) -> io::Result<Vec<u8>> {
        match &self.place {
            #[cfg(not(target_arch = "wasm32"))]
            Place::Path(path) => files::read_at_most(path, most),
            Place::Memory(bytes) if bytes.len() as u64 > most => {
                let why =
                    format!("it is larger than {} MiB, the limit for such a file", most >> 20);
                Err(io::Error::new(io::ErrorKind::FileTooLarge, why))
            }
            Place::Memory(bytes) => Ok(bytes.to_vec()),
            Place::Packed(archive, index) => archive.read(*index, most),
        }
    }

    /// The first bytes of the file, which tell its kind.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn start(&self) -> io::Result<Vec<u8>> {
        match &self.place {
            #[cfg(not(target_arch = "wasm32"))]
            Place::Path(path) => Ok(files::head(path, START_BYTES)?.0),
            Place::Memory(bytes) => Ok(bytes[..bytes.len().min(START_BYTES as usize)].to_vec()),
            Place::Packed(archive, index) => archive.start(*index, START_BYTES),
        }
    }

    /// Opens the file for readers that do not need all of it at once; returns it with its number of bytes.
    ///
    /// # Errors
    /// The file cannot be read, or is not a regular file; or it is packed and larger than the limit for such files.
    pub(super) fn open(&self) -> io::Result<(Bytes, u64)> {
        /// Limit on a file in an archive that is unpacked as a whole.
        const MAX_UNPACKED: u64 = 512 << 20;
        let memory: Arc<[u8]> = match &self.place {
            #[cfg(not(target_arch = "wasm32"))]
            Place::Path(path) => {
                let (file, len) = files::open(path)?;
                return Ok((Bytes::of_file(file, len), len));
            }
            Place::Memory(bytes) => bytes.clone(),
            Place::Packed(archive, index) => archive.read(*index, MAX_UNPACKED)?.into(),
        };
        let len = memory.len() as u64;
        Ok((Bytes::Memory(Cursor::new(memory)), len))
    }

    /// Opens the file for the readers of IDX, which unpack gzip.
    ///
    /// # Errors
    /// As [`NamedFile::open`].
    pub(super) fn input(&self) -> Result<Input<'static>, DataError> {
        let path = PathBuf::from(&self.name);
        match self.open() {
            Ok((bytes, len)) => Input::new(&path, BufReader::new(bytes), len),
            Err(source) => Err(DataError::Io { path, source }),
        }
    }

    /// Whether the file is in an archive.
    pub(super) fn is_packed(&self) -> bool {
        matches!(self.place, Place::Packed(..))
    }

    /// The name without its folders.
    pub(super) fn last(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or(&self.name)
    }

    /// The folder of the name, with the `/` behind it; empty if it has none.
    pub(super) fn folder(&self) -> &str {
        &self.name[..self.name.len() - self.last().len()]
    }

    /// The ending of the name in lower case; empty if it has none.
    pub(super) fn ending(&self) -> String {
        self.last().rsplit_once('.').map(|(_, ending)| ending.to_lowercase()).unwrap_or_default()
    }

    /// Whether the ending of the name is that of a picture or, for other endings, the content is.
    pub(super) fn is_picture(&self) -> bool {
        match self.ending().as_str() {
            ending if PICTURE_ENDINGS.contains(&ending) => true,
            ending if OTHER_ENDINGS.contains(&ending) => false,
            _ => self.start().is_ok_and(|start| picture::starts_like_picture(&start)),
        }
    }
}

/// The files of a list.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// All files, sorted by name.
    pub(super) all: Vec<NamedFile>,
    /// The folders, so that an empty one can be told.
    pub(super) folders: Vec<String>,
    /// What was chosen while the files were listed.
    pub(super) choices: Vec<String>,
    /// What was skipped and why.
    pub(super) skipped: Vec<String>,
}

impl Files {
    /// The files of a list that was given to the program, without hidden ones.
    ///
    /// # Errors
    /// A name leads out of the list, or two files have the same name.
    pub(super) fn of(list: &[OwnFile]) -> Result<Self, Reason> {
        let mut names = Names::default();
        let mut found = Self::default();
        for file in list {
            let Some(name) = names.accept(&file.name) else { continue };
            let place = match &file.content {
                OwnContent::Bytes(bytes) => Place::Memory(bytes.clone()),
                #[cfg(not(target_arch = "wasm32"))]
                OwnContent::Path(path) => Place::Path(path.clone()),
                // The worker has read these bytes before.
                #[cfg(target_arch = "wasm32")]
                OwnContent::Path(_) => return Err(format!("{name} was not read")),
            };
            found.all.push(NamedFile { name, place });
        }
        found.sort()?;
        found.skipped = names.skipped();
        Ok(found)
    }

    /// Sorts the files by name.
    ///
    /// # Errors
    /// Two files have the same name.
    pub(super) fn sort(&mut self) -> Result<(), Reason> {
        self.all.sort_by(|a, b| compare(&a.name, &b.name));
        match self.all.windows(2).find(|pair| pair[0].name == pair[1].name) {
            Some(pair) => Err(same_name(&pair[0].name)),
            None => Ok(()),
        }
    }

    /// Whether any file is a picture.
    pub(super) fn has_pictures(&self) -> bool {
        self.all.iter().any(NamedFile::is_picture)
    }

    /// The files in the folder of a file, under their names in it.
    pub(super) fn beside(&self, file: &NamedFile) -> Self {
        let own = self.all.iter().filter_map(|other| {
            let name = other.name.strip_prefix(file.folder()).filter(|name| !name.contains('/'))?;
            Some(NamedFile { name: name.to_string(), place: other.place.clone() })
        });
        Self { all: own.collect(), ..Self::default() }
    }
}

/// Why a list with two files of this name is refused.
pub(super) fn same_name(name: &str) -> Reason {
    format!("two of its files have the name {name}; give one of them another")
}
