//! Images without labels: an IDX file, or a folder of pictures, with or without one subfolder per class.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use super::{DataError, formats::read_images, spread};
use crate::{counts::counted, files::file_name, picture};

/// Limit on the depth of nested folders that are searched.
const MAX_DEPTH: usize = 4;

/// Images without labels, with a description of the files that were read and skipped.
#[derive(Debug)]
pub struct Loose {
    /// The pixel values, shape (N, C, H, W) flattened, in [-1, 1].
    pub values: Vec<f32>,
    /// A text for the user: how many images were read of how many, and what was skipped.
    pub description: String,
}

/// Reads up to `most` images, spread evenly, from an IDX file or from the pictures in a folder and its subfolders.
/// Pictures are scaled to the shape (C, H, W). Hidden files and files that are not pictures are skipped and counted.
///
/// # Errors
/// The images of the file have another size, the folder holds no pictures, or a file cannot be read.
pub fn load_images(path: &Path, shape: [usize; 3], most: usize) -> Result<Loose, DataError> {
    let io = |source| DataError::Io { path: path.to_path_buf(), source };
    if fs::metadata(path).map_err(io)?.is_dir() {
        return load_pictures(path, shape, most);
    }
    let (count, found, bytes) = read_images(path)?;
    if found != shape {
        return Err(DataError::Size { path: path.to_path_buf(), expected: shape, found });
    }
    if count == 0 {
        return Err(DataError::NoImages { path: path.to_path_buf(), found: String::new() });
    }
    let size = shape.iter().product::<usize>();
    let items = spread(count, most).flat_map(|index| &bytes[index * size..(index + 1) * size]);
    let values = items.map(|&byte| f32::from(byte) / 127.5 - 1.0).collect();
    let description =
        format!("{} of the {} there", count.min(most), counted(count, "image", "images"));
    Ok(Loose { values, description })
}

fn load_pictures(path: &Path, shape: [usize; 3], most: usize) -> Result<Loose, DataError> {
    let mut found = Pictures::default();
    found.collect(path, 0)?;
    if found.files.is_empty() {
        let found = found.skipped().map(|skipped| format!(" ({skipped})")).unwrap_or_default();
        return Err(DataError::NoImages { path: path.to_path_buf(), found });
    }
    found.files.sort();
    let (mut values, mut count, mut broken) = (Vec::new(), 0, Vec::new());
    for index in spread(found.files.len(), most) {
        match picture::load_item(&found.files[index], shape) {
            Ok(item) => {
                values.extend(item);
                count += 1;
            }
            Err(error) => broken.push(error),
        }
    }
    let num_broken = broken.len();
    let first_broken = broken.into_iter().next();
    let mut description = format!(
        "{count} of the {} there{}",
        counted(found.files.len(), "picture", "pictures"),
        match found.num_folders {
            0 | 1 => String::new(),
            folders => format!(", in {folders} folders"),
        }
    );
    if let Some(skipped) = found.skipped() {
        description += &format!("; skipped {skipped}");
    }
    match first_broken {
        Some(error) if count == 0 => return Err(error.into()),
        Some(error) => {
            description += &format!("; left out {num_broken} that cannot be read: {error}");
            if num_broken > 1 {
                description += ", and others";
            }
        }
        None => {}
    }
    Ok(Loose { values, description })
}

/// The pictures and other contents of a folder.
#[derive(Default)]
struct Pictures {
    files: Vec<PathBuf>,
    /// The folders searched so far.
    folders: HashSet<PathBuf>,
    /// The number of folders with a picture in them.
    num_folders: usize,
    num_hidden: usize,
    num_other: usize,
    /// The number of folders too deep to search.
    num_deep: usize,
    /// The name of one file that is not a picture.
    other: String,
}

impl Pictures {
    fn collect(&mut self, folder: &Path, depth: usize) -> Result<(), DataError> {
        let io = |source| DataError::Io { path: folder.to_path_buf(), source };
        // A link may lead to a folder that was searched already.
        if !self.folders.insert(fs::canonicalize(folder).map_err(io)?) {
            return Ok(());
        }
        let num_before = self.files.len();
        let mut folders = Vec::new();
        for entry in fs::read_dir(folder).map_err(io)? {
            let path = entry.map_err(io)?.path();
            let name = file_name(&path);
            if name.starts_with('.') {
                self.num_hidden += 1;
            } else if path.is_dir() {
                if name != "__MACOSX" {
                    folders.push(path);
                }
            } else if picture::is_picture(&path) {
                self.files.push(path);
            } else {
                self.num_other += 1;
                self.other = name;
            }
        }
        self.num_folders += usize::from(self.files.len() > num_before);
        if depth == MAX_DEPTH {
            self.num_deep += folders.len();
            return Ok(());
        }
        folders.iter().try_for_each(|folder| self.collect(folder, depth + 1))
    }

    fn skipped(&self) -> Option<String> {
        let other = match self.num_other {
            1 => format!("1 file that is not a picture ({})", self.other),
            count => format!("{count} files that are not pictures ({} for one)", self.other),
        };
        let parts = [
            (self.num_hidden, counted(self.num_hidden, "hidden file", "hidden files")),
            (self.num_other, other),
            (self.num_deep, counted(self.num_deep, "folder too deep", "folders too deep")),
        ];
        let parts: Vec<String> =
            parts.into_iter().filter(|(count, _)| *count > 0).map(|(_, part)| part).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}
