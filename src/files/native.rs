//! Files of the operating system.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write},
    path::{Component, Path, PathBuf},
};

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::lock::LOCK_NAME;

/// The mark in the name of every temporary file of jempp, `.NAME.jempp-tmp-XXXXXX`.
const TEMPORARY: &str = ".jempp-tmp-";
/// Limit on the number of links to follow, to stop at circular links.
const MAX_LINKS: usize = 40;

/// Whether there is a file or folder with this path.
pub(crate) fn exists(path: &Path) -> bool {
    path.exists()
}

/// Whether there is a file with this path.
pub(crate) fn is_file(path: &Path) -> bool {
    path.is_file()
}

/// Whether the path is a file, or a folder that holds something. Locks and unfinished files do not count: a run that was
/// killed before its first save leaves them.
pub(crate) fn is_taken(path: &Path) -> bool {
    let counts = |name: &str| !name.ends_with(LOCK_NAME) && finished_name(name).is_none();
    path.is_file() || names_in(path).iter().any(|name| counts(name))
}

/// The names in a folder, sorted; none if it cannot be read.
pub(crate) fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Opens a file for reading line by line.
///
/// # Errors
/// The operating system refuses, or the path is not a regular file.
pub(crate) fn lines_of(path: &Path) -> Result<impl BufRead> {
    open(path).map(|(file, _)| BufReader::new(file))
}

/// Reads a regular file of at most `most` bytes. Devices and pipes are rejected, because their content may never end,
/// and the limit holds even if the file grows during the read.
///
/// # Errors
/// The operating system refuses, the path is not a regular file, or the file is larger.
pub(crate) fn read_at_most(path: &Path, most: u64) -> Result<Vec<u8>> {
    let too_large = || {
        let why = format!("it is larger than {} MiB, the limit for such a file", most >> 20);
        Error::new(ErrorKind::FileTooLarge, why)
    };
    let (file, len) = open(path)?;
    if len > most {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(too_large());
    }
    Ok(bytes)
}

/// Opens a regular file for reading and returns it with its size in bytes.
///
/// # Errors
/// The operating system refuses, or the path is not a regular file.
pub(crate) fn open(path: &Path) -> Result<(File, u64)> {
    let found = fs::metadata(path)?;
    if !found.is_file() {
        let what = if found.is_dir() { "it is a folder" } else { "it is not a regular file" };
        return Err(Error::new(ErrorKind::InvalidInput, what));
    }
    Ok((File::open(path)?, found.len()))
}

/// Reads the first `most` bytes of a regular file, or all of a shorter one, and returns them with its length.
///
/// # Errors
/// The operating system refuses, or the path is not a regular file.
pub(crate) fn head(path: &Path, most: u64) -> Result<(Vec<u8>, u64)> {
    let (file, len) = open(path)?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok((bytes, len))
}

/// The folder for what can be fetched or measured again: `$JEMPP_CACHE`, or `jempp` in the user's cache folder. `None`
/// if there is no such folder.
pub(crate) fn cache_folder() -> Option<PathBuf> {
    match std::env::var_os("JEMPP_CACHE").filter(|root| !root.is_empty()) {
        Some(root) => Some(PathBuf::from(root)),
        None => Some(dirs::cache_dir()?.join("jempp")),
    }
}

/// Creates a folder and its parent folders.
///
/// # Errors
/// The operating system refuses.
pub(crate) fn create_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path)
}

/// Removes a file, if it exists.
pub(crate) fn remove(path: &Path) {
    // A file that cannot be removed is replaced by the next write.
    let _ = fs::remove_file(path);
}

/// Removes a folder if it is empty.
pub(crate) fn remove_if_empty(path: &Path) {
    // A folder that is not empty stays.
    let _ = fs::remove_dir(path);
}

/// A file that is only appended to, such as a log. While it cannot be written, for example because the disk is full,
/// its lines wait in memory.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    file: Option<File>,
    waiting: Vec<u8>,
}

impl Log {
    /// Creates the log. The file appears with its first line.
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_path_buf(), file: None, waiting: Vec::new() }
    }

    /// Appends to the file, after the bytes that still wait.
    ///
    /// # Errors
    /// The operating system refuses. The bytes that could not be written wait for the next call.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.waiting.extend_from_slice(bytes);
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                self.file.insert(OpenOptions::new().create(true).append(true).open(&self.path)?)
            }
        };
        while !self.waiting.is_empty() {
            match file.write(&self.waiting) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => drop(self.waiting.drain(..count)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The number of bytes that wait in memory to be written.
    pub(crate) fn num_waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Truncates the file to its first `len` bytes.
    ///
    /// # Errors
    /// The operating system refuses.
    pub(crate) fn cut(&mut self, len: u64) -> Result<()> {
        OpenOptions::new().write(true).open(&self.path)?.set_len(len)
    }
}

/// Writes a file under a temporary name in the same folder and renames it when it is complete. If `path` is a link, the
/// link stays and its target is replaced.
///
/// # Errors
/// The operating system refuses; then `path` is unchanged.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = begin(path)?;
    file.as_file_mut().write_all(bytes)?;
    finish(file, path)
}

/// Writes a file as [`write_atomically`] does, and the folders that lead to it; a file that is there stays, even one that
/// has just come.
///
/// # Errors
/// The operating system refuses, or there is such a file.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    create_dir(folder_of(path))?;
    let mut file = begin(path)?;
    file.as_file_mut().write_all(bytes)?;
    file.as_file().sync_all()?;
    if let Err(refused) = file.persist_noclobber(path) {
        // Some file systems cannot do this in one step.
        if refused.error.kind() == ErrorKind::AlreadyExists || exists(path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        refused.file.persist(path).map_err(|error| error.error)?;
    }
    sync_folder_of(path);
    Ok(())
}

/// Creates a temporary file next to `path`, or next to its target if `path` is a link. It is deleted if it is dropped
/// before [`finish`]. Write to its `as_file_mut()`, whose errors do not name the temporary file.
pub(crate) fn begin(path: &Path) -> Result<NamedTempFile> {
    let target = target_of(path)?;
    if fs::metadata(&target).is_ok_and(|found| !found.is_file()) {
        return Err(Error::new(ErrorKind::InvalidInput, "the path is not a regular file"));
    }
    let name: String = file_name(&target).chars().take(100).collect();
    let prefix = format!(".{name}{TEMPORARY}");
    // With the mode of ordinary files, to which the umask applies.
    tempfile::Builder::new()
        .prefix(&prefix)
        .make_in(folder_of(&target), |path| File::create_new(path))
}

/// Renames a complete temporary file to `path`, with the mode of the file that it replaces.
pub(crate) fn finish(file: NamedTempFile, path: &Path) -> Result<()> {
    let target = target_of(path)?;
    if let Ok(before) = fs::metadata(&target) {
        // Some file systems have no modes; the content matters more.
        let _ = file.as_file().set_permissions(before.permissions());
    }
    file.as_file().sync_all()?;
    file.persist(&target).map_err(|error| error.error)?;
    sync_folder_of(&target);
    Ok(())
}

/// Syncs the folder of a file that was renamed: only then the new name survives a power failure. Not every system can.
fn sync_folder_of(path: &Path) {
    let _ = File::open(folder_of(path)).and_then(|folder| folder.sync_all());
}

/// Removes the temporary files that killed writes left in a folder, for the files whose names `is_ours` accepts. Call
/// it only as the owner of these files, because it also removes the unfinished files of other processes.
pub(crate) fn sweep(folder: &Path, is_ours: impl Fn(&str) -> bool) {
    for name in names_in(folder) {
        if finished_name(&name).is_some_and(&is_ours) {
            // A file that cannot be removed does no harm.
            let _ = fs::remove_file(folder.join(&name));
        }
    }
}

/// The final name of a temporary file; `None` for any other file.
fn finished_name(temporary: &str) -> Option<&str> {
    let (name, rest) = temporary.strip_prefix('.')?.rsplit_once(TEMPORARY)?;
    (!name.is_empty() && rest.chars().all(|c| c.is_ascii_alphanumeric())).then_some(name)
}

/// The target of a path, following links; the target need not exist.
pub(crate) fn target_of(path: &Path) -> Result<PathBuf> {
    let mut target = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&target) {
            Ok(next) => target = folder_of(&target).join(next),
            Err(_) => return Ok(target),
        }
    }
    Err(Error::new(ErrorKind::InvalidInput, "its links form a circle"))
}

/// Whether two paths lead to the same place, with all links followed.
pub(crate) fn is_same_place(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| path.canonicalize().ok();
    one == other || place(one).is_some_and(|one| Some(one) == place(other))
}

/// Whether a path lies in a folder or is that folder, with all links followed. The path need not exist yet.
pub(crate) fn is_within(path: &Path, folder: &Path) -> bool {
    let (Ok(folder), Ok(path)) = (folder.canonicalize(), target_of(path)) else { return false };
    let Ok(path) = std::path::absolute(path) else { return false };
    let mut place = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(place.pop()),
            part => place.push(part),
        }
        // What does not exist yet will lie where its name says.
        if let Ok(real) = place.canonicalize() {
            place = real;
        }
    }
    folder.is_dir() && place.starts_with(folder)
}

/// The folder that contains a path.
pub(crate) fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// The SHA-256 of the bytes, in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// The SHA-256 of a regular file, in hexadecimal; the file may be larger than the memory.
///
/// # Errors
/// The operating system refuses, or the path is not a regular file.
pub(crate) fn sha256_of(path: &Path) -> Result<String> {
    let (mut file, _) = open(path)?;
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hexadecimal(&hasher.finalize())),
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The name of a file without its folder, for messages.
pub(crate) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

#[cfg(all(test, unix))]
#[allow(clippy::disallowed_methods, reason = "tests may")]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).map_or(0, |found| found.permissions().mode() & 0o777)
    }

    #[test]
    fn a_link_stays_a_link_and_its_file_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, run) = (dir.path().join("disk"), dir.path().join("run"));
        fs::create_dir(&disk).unwrap();
        fs::create_dir(&run).unwrap();
        let link = run.join("file");
        symlink("../disk/large", &link).unwrap();
        // The first write goes through a link whose target does not exist yet.
        for text in ["first", "second"] {
            write_atomically(&link, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(disk.join("large")).unwrap(), text);
        }
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(names_in(&disk), ["large"]);

        symlink("round", run.join("round")).unwrap();
        assert!(write_atomically(&run.join("round"), b"").is_err());
    }

    #[test]
    fn a_replaced_file_keeps_its_mode_and_a_new_one_obeys_the_umask() {
        let dir = tempfile::tempdir().unwrap();
        let (plain, ours) = (dir.path().join("plain"), dir.path().join("ours"));
        fs::write(&plain, b"").unwrap();
        write_atomically(&ours, b"").unwrap();
        assert_eq!(mode(&ours), mode(&plain), "as any other file");
        fs::set_permissions(&ours, fs::Permissions::from_mode(0o640)).unwrap();
        write_atomically(&ours, b"again").unwrap();
        assert_eq!(mode(&ours), 0o640);
    }

    #[test]
    fn only_the_owners_unfinished_files_are_swept() {
        let dir = tempfile::tempdir().unwrap();
        let left = begin(&dir.path().join("mine")).unwrap().into_temp_path().keep().unwrap();
        assert!(file_name(&left).starts_with(".mine.jempp-tmp-"), "{left:?}");
        for other in [".theirs.jempp-tmp-abc", ".tmpabc", "mine", ".mine.jempp-tmp-a b"] {
            fs::write(dir.path().join(other), b"").unwrap();
        }
        sweep(dir.path(), |name| name == "mine");
        let names = names_in(dir.path());
        assert_eq!(names, [".mine.jempp-tmp-a b", ".theirs.jempp-tmp-abc", ".tmpabc", "mine"]);
    }

    #[test]
    fn a_path_is_within_a_folder_however_it_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let (own, other) = (dir.path().join("own"), dir.path().join("other"));
        for folder in [&own.join("a"), &other] {
            fs::create_dir_all(folder).unwrap();
        }
        symlink(&own, dir.path().join("link")).unwrap();
        symlink(own.join("new.png"), other.join("sheet.png")).unwrap();
        for (path, expected) in [
            ("own", true),
            ("own/a/1.png", true),
            ("own/new/run", true),
            ("other/../own/run", true),
            ("other/new/../../own/run", true),
            ("link/run", true),
            ("other/sheet.png", true),
            ("own/../run", false),
            ("own/a/../../own-run", false),
            ("own2/run", false),
            ("other", false),
        ] {
            assert_eq!(is_within(&dir.path().join(path), &own), expected, "{path}");
            assert_eq!(is_within(&dir.path().join(path), &dir.path().join("link")), expected);
        }
        fs::write(dir.path().join("points.csv"), b"").unwrap();
        assert!(!is_within(&dir.path().join("points.csv"), &dir.path().join("points.csv")));
        assert!(!is_within(&own, &dir.path().join("nowhere")));
    }

    #[test]
    fn a_new_file_replaces_nothing_and_names_no_temporary_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/folder/file");
        write_new(&path, b"first").unwrap();
        assert_eq!(write_new(&path, b"second").unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(names_in(folder_of(&path)), ["file"]);
        let said = write_atomically(&dir.path().join("none/file"), b"").unwrap_err().to_string();
        assert!(!said.contains(TEMPORARY), "{said}");
    }

    #[test]
    fn a_folder_with_nothing_but_leftovers_is_free() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(LOCK_NAME), b"").unwrap();
        fs::write(dir.path().join(format!(".seed-0{LOCK_NAME}")), b"").unwrap();
        fs::write(dir.path().join(".checkpoint.safetensors.jempp-tmp-x1"), b"").unwrap();
        assert!(!is_taken(dir.path()));
        fs::write(dir.path().join("notes.txt"), b"").unwrap();
        assert!(is_taken(dir.path()));
    }

    #[test]
    fn lines_wait_while_the_log_cannot_be_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("folder/log");
        let mut log = Log::new(&path);
        assert!(log.append(b"one\n").is_err());
        assert_eq!(log.num_waiting(), 4);
        fs::create_dir(dir.path().join("folder")).unwrap();
        log.append(b"two\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        log.cut(4).unwrap();
        log.append(b"three\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\nthree\n");
    }
}
