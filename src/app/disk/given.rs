//! What a person drops or chooses to train on, sorted: a whole data set, the pictures of a class, or loose pictures.

#[cfg(not(target_arch = "wasm32"))]
use std::path::{Path, PathBuf};

use super::PICTURES;
#[cfg(not(target_arch = "wasm32"))]
use crate::data::OwnContent;
use crate::{app::state::Dropped, data::OwnFile};

/// The endings of files that hold a whole data set.
const SETS: [&str; 6] = ["zip", "npz", "npy", "csv", "tsv", "gz"];

fn ending(name: &str) -> String {
    name.rsplit_once('.').map(|(_, ending)| ending.to_lowercase()).unwrap_or_default()
}

/// Whether a name is that of a picture that can be read.
pub(in crate::app) fn is_picture(name: &str) -> bool {
    PICTURES.contains(&ending(name).as_str())
}

/// Whether a name is that of a checkpoint, also of another program.
pub(in crate::app) fn is_checkpoint(name: &str) -> bool {
    ["safetensors", "pt", "pth"].contains(&ending(name).as_str())
}

/// Whether these names can only be meant as data to train on: a folder, a file of a data set, or several pictures.
pub(in crate::app) fn is_data(names: &[&str], has_folder: bool) -> bool {
    has_folder
        || names.iter().any(|name| SETS.contains(&ending(name).as_str()))
        || names.iter().filter(|name| is_picture(name)).count() > 1
}

/// Sorts a list of files, whose names begin with the folders that were dropped.
#[cfg(any(target_arch = "wasm32", test))]
pub(in crate::app) fn sorted(files: Vec<OwnFile>) -> Vec<Dropped> {
    let mut folders = std::collections::BTreeMap::<String, Vec<OwnFile>>::new();
    let (mut sets, mut loose) = (Vec::new(), Vec::new());
    for file in files {
        match file.name.split_once('/') {
            Some((folder, _)) => folders.entry(folder.to_string()).or_default().push(file),
            None if is_picture(&file.name) => loose.push(file),
            None => sets.push(file),
        }
    }
    let mut found = Vec::new();
    if let Some(first) = sets.first() {
        found.push(Dropped::Files(first.name.clone(), sets));
    }
    for (folder, files) in folders {
        let is_flat = files.iter().all(|file| file.name.matches('/').count() == 1);
        let is_class = is_flat && files.iter().any(|file| is_picture(&file.name));
        found.push(match is_class {
            true => Dropped::Class(folder, files),
            false => Dropped::Files(folder, files),
        });
    }
    if !loose.is_empty() {
        found.push(Dropped::Loose(loose));
    }
    found
}

/// Looks at the folders and files at these paths and sorts them.
#[cfg(not(target_arch = "wasm32"))]
pub(in crate::app) fn at_paths(paths: &[PathBuf]) -> Vec<Dropped> {
    let file = |path: &Path| OwnFile {
        name: crate::files::file_name(path),
        content: OwnContent::Path(path.to_path_buf()),
    };
    let whole = |path: &Path| Dropped::Path(path.display().to_string());
    let (mut found, mut loose) = (Vec::new(), Vec::new());
    for path in paths {
        if path.is_dir() {
            found.push(match pictures_in(path) {
                Some(pictures) => {
                    let files = pictures.iter().map(|path| file(path)).collect();
                    Dropped::Class(crate::files::file_name(path), files)
                }
                None => whole(path),
            });
        } else if is_picture(&path.display().to_string()) {
            loose.push(file(path));
        } else if !found.iter().any(|other| matches!(other, Dropped::Path(_))) {
            // Labels and names of classes are found beside the first file.
            found.push(whole(path));
        }
    }
    if !loose.is_empty() {
        found.push(Dropped::Loose(loose));
    }
    found
}

/// The files of a folder that holds pictures and no other folder, and so is a class; `None` for any other folder.
#[cfg(not(target_arch = "wasm32"))]
fn pictures_in(folder: &Path) -> Option<Vec<PathBuf>> {
    let names = crate::files::names_in(folder);
    let seen = names.iter().filter(|name| !name.starts_with('.') && *name != "__MACOSX");
    let paths: Vec<PathBuf> = seen.map(|name| folder.join(name)).collect();
    let has_picture = names.iter().any(|name| is_picture(name));
    (has_picture && !paths.iter().any(|path| path.is_dir())).then_some(paths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::OwnContent;

    #[test]
    fn drops_are_sorted_by_their_folders() {
        let files = |names: &[&str]| -> Vec<OwnFile> {
            let file = |name: &&str| OwnFile {
                name: name.to_string(),
                content: OwnContent::Bytes(Vec::new().into()),
            };
            names.iter().map(file).collect()
        };
        let kinds = |names: &[&str]| -> Vec<String> {
            let kind = |dropped: Dropped| match dropped {
                Dropped::Path(path) => format!("path {path}"),
                Dropped::Files(name, files) => format!("set {name} of {}", files.len()),
                Dropped::Class(name, files) => format!("class {name} of {}", files.len()),
                Dropped::Loose(files) => format!("{} loose", files.len()),
            };
            sorted(files(names)).into_iter().map(kind).collect()
        };
        assert_eq!(kinds(&["1.png", "2.JPG"]), ["2 loose"]);
        assert_eq!(kinds(&["set/a/1.png", "set/b/1.png"]), ["set set of 2"]);
        assert_eq!(kinds(&["a/1.png", "b/1.png", "b/2.png"]), ["class a of 1", "class b of 2"]);
        assert_eq!(kinds(&["mnist/train-images.gz", "mnist/train-labels.gz"]), ["set mnist of 2"]);
        assert_eq!(kinds(&["x.npy", "y.npy"]), ["set x.npy of 2"]);
        assert!(is_data(&["a.ZIP"], false) && is_data(&["a.png", "b.png"], false));
        assert!(!is_data(&["a.png"], false) && is_data(&[], true));
        assert!(is_checkpoint("a.safetensors") && !is_checkpoint("a.zip"));
    }
}
