//! Data files, decompressed while they are read, with limits on their size.

use std::{
    io::{BufRead, Error, ErrorKind, Read, Result as IoResult},
    path::{Path, PathBuf},
};

use flate2::bufread::GzDecoder;

use crate::data::DataError;
#[cfg(not(target_arch = "wasm32"))]
use crate::files;

/// Limit on the bytes read from one file, decompressed: over three times the images of EMNIST's largest part.
pub(super) const MOST: u64 = 2 << 30;
/// The maximum expansion of gzip: output bytes per compressed byte.
const MOST_PER_PACKED: u64 = 1032;

/// A file of a data set, open for reading.
pub(in crate::data) struct Input<'a> {
    pub(super) path: PathBuf,
    bytes: Box<dyn Read + 'a>,
    /// The size of the file on disk, in bytes.
    len: u64,
    is_packed: bool,
    num_read: u64,
}

impl<'a> Input<'a> {
    /// Opens the file at `path`, plain or gzipped.
    ///
    /// # Errors
    /// The path is not a regular file, or it cannot be opened.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn open(path: &Path) -> Result<Input<'static>, DataError> {
        let io = |source| DataError::Io { path: path.to_path_buf(), source };
        let (file, len) = files::open(path).map_err(io)?;
        Input::new(path, std::io::BufReader::new(file), len)
    }

    /// Wraps bytes in memory; error messages call them `path`.
    ///
    /// # Errors
    /// The start of the bytes cannot be read, which does not happen in memory.
    pub(super) fn of_bytes(path: &Path, bytes: &'a [u8]) -> Result<Self, DataError> {
        Self::new(path, bytes, bytes.len() as u64)
    }

    /// Wraps a file of `len` bytes that is open already; error messages call it `path`.
    ///
    /// # Errors
    /// The start of the file cannot be read.
    pub(in crate::data) fn new(
        path: &Path,
        mut bytes: impl BufRead + 'a,
        len: u64,
    ) -> Result<Self, DataError> {
        let path = path.to_path_buf();
        let is_packed = match bytes.fill_buf() {
            Ok(start) => start.starts_with(&[0x1f, 0x8b]),
            Err(source) => return Err(DataError::Io { path, source }),
        };
        let bytes: Box<dyn Read + 'a> =
            if is_packed { Box::new(Members::of(bytes)) } else { Box::new(bytes) };
        Ok(Self { path, bytes, len, is_packed, num_read: 0 })
    }

    /// Reads the next `count` bytes.
    ///
    /// # Errors
    /// There are fewer bytes, or `count` exceeds the limit for any file.
    pub(super) fn take(&mut self, count: usize) -> Result<Vec<u8>, DataError> {
        let end = self.num_read.saturating_add(count as u64);
        if end > MOST {
            return Err(self.too_large(format!("its beginning promises {end} bytes"), MOST));
        }
        // No memory is allocated for more than the file can hold.
        let possible = self.len.saturating_mul(if self.is_packed { MOST_PER_PACKED } else { 1 });
        if end > possible {
            let found = if self.is_packed { "at most " } else { "" };
            return Err(self.length(end, format!("{found}{possible}")));
        }
        let mut bytes = Vec::new();
        if bytes.try_reserve_exact(count).is_err() {
            let source = Error::new(ErrorKind::OutOfMemory, format!("no memory for {count} bytes"));
            return Err(DataError::Io { path: self.path.clone(), source });
        }
        self.read(count as u64, &mut bytes)?;
        if bytes.len() < count {
            return Err(self.length(end, self.num_read.to_string()));
        }
        Ok(bytes)
    }

    /// Checks that the file ends here.
    ///
    /// # Errors
    /// The file holds more bytes.
    pub(super) fn finish(mut self) -> Result<(), DataError> {
        let expected = self.num_read;
        match self.read(1, &mut Vec::new())? {
            0 => Ok(()),
            _ if self.is_packed => Err(self.length(expected, "more".into())),
            _ => Err(self.length(expected, self.len.to_string())),
        }
    }

    /// Reads all bytes, at most `most`.
    ///
    /// # Errors
    /// The file holds more bytes.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn read_all(mut self, most: u64) -> Result<Vec<u8>, DataError> {
        let mut bytes = Vec::new();
        if !self.is_packed && self.len > most {
            return Err(self.too_large(format!("it holds {} bytes", self.len), most));
        }
        if self.read(most + 1, &mut bytes)? > most {
            return Err(self.too_large("it holds more bytes unpacked".into(), most));
        }
        Ok(bytes)
    }

    fn read(&mut self, most: u64, out: &mut Vec<u8>) -> Result<u64, DataError> {
        let before = out.len();
        let result = self.bytes.by_ref().take(most).read_to_end(out);
        let count = (out.len() - before) as u64;
        self.num_read += count;
        match result {
            Ok(_) => Ok(count),
            Err(error) if self.is_packed => Err(DataError::Format {
                path: self.path.clone(),
                expected: "a whole gzip file",
                found: format!("{error}; its {} packed bytes gave {}", self.len, self.num_read),
            }),
            Err(source) => Err(DataError::Io { path: self.path.clone(), source }),
        }
    }

    fn length(&self, expected: u64, found: String) -> DataError {
        DataError::Length { path: self.path.clone(), expected: expected as usize, found }
    }

    fn too_large(&self, found: String, most: u64) -> DataError {
        DataError::TooLarge { path: self.path.clone(), found, most: most.to_string() }
    }
}

/// The members of a gzip file, decompressed one after the other as gzip does; zero padding is skipped.
struct Members<R>(Option<GzDecoder<R>>);

impl<R: BufRead> Members<R> {
    fn of(bytes: R) -> Self {
        Self(Some(GzDecoder::new(bytes)))
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, out: &mut [u8]) -> IoResult<usize> {
        while let Some(member) = &mut self.0 {
            let count = member.read(out)?;
            if count > 0 || out.is_empty() {
                return Ok(count);
            }
            let Some(mut rest) = self.0.take().map(GzDecoder::into_inner) else { break };
            match rest.fill_buf()?.first() {
                None => {}
                Some(0x1f) => self.0 = Some(GzDecoder::new(rest)),
                Some(_) => skip_zeros(rest)?,
            }
        }
        Ok(0)
    }
}

fn skip_zeros(mut rest: impl BufRead) -> IoResult<()> {
    loop {
        let bytes = rest.fill_buf()?;
        if bytes.iter().any(|&byte| byte != 0) {
            let why = "after its end there are bytes that are not gzip";
            return Err(Error::new(ErrorKind::InvalidData, why));
        }
        match bytes.len() {
            0 => return Ok(()),
            count => rest.consume(count),
        }
    }
}
