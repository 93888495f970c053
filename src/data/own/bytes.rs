//! The bytes of a file, wherever they are: in memory, on the disk, or in a zip archive.

use std::{
    io::{self, Cursor, Read, Seek, SeekFrom},
    sync::Arc,
};

use zip::ZipArchive;

/// The bytes of a file, to be read from any place. A clone reads from a place of its own.
#[derive(Clone, Debug)]
pub(super) enum Bytes {
    /// Bytes in memory.
    Memory(Cursor<Arc<[u8]>>),
    /// A file, read in blocks.
    #[cfg(not(target_arch = "wasm32"))]
    File(Blocks),
}

impl Bytes {
    /// The bytes of an open file with `len` bytes.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn of_file(file: std::fs::File, len: u64) -> Self {
        let file = Arc::new(std::sync::Mutex::new(file));
        Self::File(Blocks { file, len, at: 0, block: Vec::new(), block_at: 0 })
    }
}

impl Read for Bytes {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Memory(bytes) => bytes.read(out),
            #[cfg(not(target_arch = "wasm32"))]
            Self::File(blocks) => blocks.read(out),
        }
    }
}

impl Seek for Bytes {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::Memory(bytes) => bytes.seek(to),
            #[cfg(not(target_arch = "wasm32"))]
            Self::File(blocks) => {
                let at = match to {
                    SeekFrom::Start(at) => Some(at),
                    SeekFrom::End(by) => blocks.len.checked_add_signed(by),
                    SeekFrom::Current(by) => blocks.at.checked_add_signed(by),
                };
                blocks.at = at.ok_or(io::ErrorKind::InvalidInput)?;
                Ok(blocks.at)
            }
        }
    }
}

/// A file that several readers share: each has a place and a block of its own.
#[cfg(not(target_arch = "wasm32"))]
#[derive(Clone, Debug)]
pub(super) struct Blocks {
    file: Arc<std::sync::Mutex<std::fs::File>>,
    len: u64,
    at: u64,
    block: Vec<u8>,
    /// The place of the first byte of the block.
    block_at: u64,
}

#[cfg(not(target_arch = "wasm32"))]
impl Blocks {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        /// The number of bytes that are read at once.
        const BLOCK: u64 = 1 << 15;
        let end = self.block_at + self.block.len() as u64;
        if !(self.block_at..end).contains(&self.at) {
            self.block.clear();
            self.block_at = self.at;
            let mut file = self.file.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            file.seek(SeekFrom::Start(self.at))?;
            Read::take(&mut *file, BLOCK).read_to_end(&mut self.block)?;
        }
        let start = ((self.at - self.block_at) as usize).min(self.block.len());
        let count = (self.block.len() - start).min(out.len());
        out[..count].copy_from_slice(&self.block[start..start + count]);
        self.at += count as u64;
        Ok(count)
    }
}

/// An open archive.
#[derive(Debug)]
pub(super) struct Archive(pub(super) ZipArchive<Bytes>);

impl Archive {
    /// The content of an entry, if it has at most `most` bytes.
    ///
    /// # Errors
    /// The entry is damaged, or larger.
    pub(super) fn read(&self, index: usize, most: u64) -> io::Result<Vec<u8>> {
        // A clone shares the list of entries and has a place of its own, so that threads can read at the same time.
        let mut archive = self.0.clone();
        let entry = archive.by_index(index)?;
        let len = entry.size();
        let too_large = || {
            let why = format!("it is larger than {} MiB, the limit for such a file", most >> 20);
            io::Error::new(io::ErrorKind::FileTooLarge, why)
        };
        if len > most {
            return Err(too_large());
        }
        let mut bytes = Vec::new();
        // What an entry says of its size may be wrong.
        entry.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
        match bytes.len() as u64 > most {
            true => Err(too_large()),
            false => Ok(bytes),
        }
    }

    /// The first bytes of an entry.
    ///
    /// # Errors
    /// The entry is damaged.
    pub(super) fn start(&self, index: usize, count: u64) -> io::Result<Vec<u8>> {
        let mut archive = self.0.clone();
        let mut bytes = Vec::new();
        archive.by_index(index)?.take(count).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}
