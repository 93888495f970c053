//! The files of a folder, by name.

use std::{
    collections::{HashSet, VecDeque},
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    MAX_ITEMS, Reason,
    named::{Files, NamedFile},
    names::{MAX_DEPTH, is_hidden},
};
use crate::counts::counted;
use crate::files;

/// What is counted while a folder is searched.
#[derive(Default)]
struct Search {
    root: PathBuf,
    found: Files,
    visited: HashSet<PathBuf>,
    /// The links to folders, with their names and depths. They wait until all real folders are read, so that no folder is
    /// known by the name of a link to it.
    links: VecDeque<(PathBuf, String, usize)>,
    num_hidden: usize,
    num_leading_out: usize,
    num_broken_links: usize,
    num_deep: usize,
}

impl Files {
    /// The files in a folder and its subfolders, without hidden ones. A link is followed if it leads to a place inside the
    /// folder.
    ///
    /// # Errors
    /// The folder cannot be read, it holds too many files, or a name in it is not in UTF-8: such names may look the same.
    pub(super) fn below(root: &Path) -> Result<Self, Reason> {
        let whole = root.canonicalize().map_err(|error| error.to_string())?;
        let mut search = Search { root: whole, ..Search::default() };
        search.folder(root, "", 0)?;
        while let Some((link, name, depth)) = search.links.pop_front() {
            search.folder(&link, &name, depth)?;
        }
        let mut found = search.found;
        found.sort()?;
        found.folders.sort();
        for (count, what) in [
            (search.num_hidden, counted(search.num_hidden, "hidden file", "hidden files")),
            (
                search.num_leading_out,
                counted(
                    search.num_leading_out,
                    "link that leads out of the folder (copy its file to use it)",
                    "links that lead out of the folder (copy the files to use them)",
                ),
            ),
            (
                search.num_broken_links,
                counted(
                    search.num_broken_links,
                    "link that leads nowhere, or to a folder that is read already",
                    "links that lead nowhere, or to a folder that is read already",
                ),
            ),
            (
                search.num_deep,
                format!(
                    "{} more than {MAX_DEPTH} deep",
                    counted(search.num_deep, "folder", "folders")
                ),
            ),
        ] {
            if count > 0 {
                found.skipped.push(what);
            }
        }
        Ok(found)
    }

    /// The files in the folder of the file at a path.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub(super) fn near(file: &Path) -> Result<Self, Reason> {
        let folder = match file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let entries = fs::read_dir(folder).map_err(|error| error.to_string())?;
        let mut found = Self::default();
        for entry in entries.flatten().take(MAX_ITEMS) {
            let path = entry.path();
            if let Some(name) = entry.file_name().to_str()
                && path.is_file()
            {
                found.all.push(NamedFile::at(name.to_string(), path));
            }
        }
        found.sort()?;
        Ok(found)
    }
}

impl Search {
    /// Searches a folder that has this name in the whole one.
    fn folder(&mut self, folder: &Path, name: &str, depth: usize) -> Result<(), Reason> {
        let refused = |error: io::Error| format!("{}: {error}", folder.display());
        let whole = folder.canonicalize().map_err(refused)?;
        if !self.visited.insert(whole) {
            self.num_broken_links += 1;
            return Ok(());
        }
        let prefix = match depth {
            0 => String::new(),
            _ => {
                self.found.folders.push(name.to_string());
                format!("{name}/")
            }
        };
        let mut entries: Vec<fs::DirEntry> =
            fs::read_dir(folder).map_err(refused)?.collect::<Result<_, _>>().map_err(refused)?;
        // Of two links to a folder, the first by name is taken, whatever order the system lists them in.
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let own_name = files::file_name(&path);
            if is_hidden(&own_name) {
                self.num_hidden += 1;
                continue;
            }
            let name = format!("{prefix}{own_name}");
            if entry.file_name().to_str().is_none() {
                return Err(format!("the name `{name}` in it is not in UTF-8; rename it"));
            }
            let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            if is_link && !self.may_follow(&path) {
                continue;
            }
            if !path.is_dir() {
                self.found.all.push(NamedFile::at(name, path));
            } else if depth == MAX_DEPTH {
                self.num_deep += 1;
            } else if is_link {
                self.links.push_back((path, name, depth + 1));
            } else {
                self.folder(&path, &name, depth + 1)?;
            }
            // Twice as many, because not every file is an image.
            if self.found.all.len() > 2 * MAX_ITEMS {
                return Err(format!("it holds more than {} files", 2 * MAX_ITEMS));
            }
        }
        Ok(())
    }

    /// Whether a link leads to a place inside the folder; counts those that do not.
    fn may_follow(&mut self, link: &Path) -> bool {
        match link.canonicalize() {
            Ok(target) if target.starts_with(&self.root) => return true,
            Ok(_) => self.num_leading_out += 1,
            Err(_) => self.num_broken_links += 1,
        }
        false
    }
}
