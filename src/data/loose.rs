//! Images without labels: an IDX file, or a folder of pictures.

use std::path::{Path, PathBuf};

use super::{
    formats::{DataError, read_images},
    spread,
};
use crate::picture;

/// What a folder's pictures may end in.
const ENDINGS: [&str; 4] = ["png", "jpg", "jpeg", "gif"];

/// Images (N, C, H, W) in [-1, 1], flattened, and how many there are: up to `most` of an IDX file or of the pictures in
/// a folder, these scaled to the shape (C, H, W), spread evenly over them.
///
/// # Errors
/// A file of images of another size, a folder without pictures, or what cannot be read.
pub fn load_images(
    path: &Path,
    shape: [usize; 3],
    most: usize,
) -> Result<(Vec<f32>, usize), DataError> {
    let io = |source| DataError::Io { path: path.to_path_buf(), source };
    if !std::fs::metadata(path).map_err(io)?.is_dir() {
        let ([count, height, width], bytes) = read_images(path)?;
        let found = [1, height, width];
        if found != shape {
            return Err(DataError::Size { path: path.to_path_buf(), expected: shape, found });
        }
        let item = |index: usize| &bytes[index * height * width..(index + 1) * height * width];
        let bytes = spread(count, most).flat_map(item);
        let values = bytes.map(|&byte| f32::from(byte) / 127.5 - 1.0).collect();
        return if count > 0 { Ok((values, count)) } else { Err(no_images(path)) };
    }
    let mut pictures = Vec::new();
    for entry in std::fs::read_dir(path).map_err(io)? {
        let file = entry.map_err(io)?.path();
        let ending = file.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        if ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str())) {
            pictures.push(file);
        }
    }
    if pictures.is_empty() {
        return Err(no_images(path));
    }
    pictures.sort();
    let mut values = Vec::new();
    for index in spread(pictures.len(), most) {
        values.extend(picture::load_item(&pictures[index], shape)?);
    }
    Ok((values, pictures.len()))
}

fn no_images(path: &Path) -> DataError {
    DataError::NoImages { path: PathBuf::from(path), endings: ENDINGS.join(", ") }
}
