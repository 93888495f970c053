//! Images that have one size already, as arrays and IDX files hold them: what is checked before they are used as they are, and the
//! order of their channels.

use super::{MAX_TOTAL_BYTES, Reason};
use crate::{
    config::{DataConfig, ImageColor, ImageFit, ImageSize},
    data::Values,
};

/// Checks the bytes of all images together, as they are kept: numbers other than bytes take four each.
///
/// # Errors
/// They are more than are read.
pub(super) fn check_total(num_values: u64, are_bytes: bool) -> Result<(), Reason> {
    let total = if are_bytes { num_values } else { 4 * num_values };
    let advice = if are_bytes { "" } else { "; bytes from 0 to 255 take a quarter (numpy.uint8)" };
    match total > MAX_TOTAL_BYTES {
        true => Err(format!(
            "its images take {} MiB in memory, and at most {} MiB are read{advice}",
            total >> 20,
            MAX_TOTAL_BYTES >> 20
        )),
        false => Ok(()),
    }
}

/// Checks that images can be used as they are, and that the settings ask for that: arrays are never scaled.
///
/// # Errors
/// The images are too small or too large, or the size or the colour of the settings is another.
pub(super) fn check_settings([c, h, w]: [usize; 3], config: &DataConfig) -> Result<(), Reason> {
    let Some(own) = ImageSize::of([h, w]) else {
        return Err(format!("its images are {h}x{w}; images have sides of 4 to 256 pixels"));
    };
    if config.size != ImageSize::Auto && config.size != own {
        return Err(format!(
            "its images are {own} and data.size is {}; only pictures in folders are scaled, so set data.size = auto",
            config.size
        ));
    }
    if config.fit != ImageFit::Crop {
        return Err("data.fit is not used: only pictures in folders are scaled".into());
    }
    let is_other = match config.color {
        ImageColor::Auto => false,
        ImageColor::Gray => c != 1,
        ImageColor::Rgb => c != 3,
    };
    match is_other {
        true => {
            Err("its images have other channels than data.color says; set data.color = auto".into())
        }
        false => Ok(()),
    }
}

/// The shape (C, H, W) of images in an array, and whether the channels are last in it.
pub(super) fn image_shape(shape: &[usize]) -> Result<([usize; 3], bool), Reason> {
    let is_channels = |c: usize| c == 1 || c == 3;
    match *shape {
        [_, h, w] => Ok(([1, h, w], false)),
        [_, c, h, w] if is_channels(c) && !is_channels(w) => Ok(([c, h, w], false)),
        [_, h, w, c] if is_channels(c) && !is_channels(h) => Ok(([c, h, w], true)),
        [_, _, _, 4] | [_, 4, _, _] => {
            Err(format!("x has shape {shape:?}, with four channels; save x without alpha"))
        }
        _ => Err(format!(
            "x has shape {shape:?}; images are (N, H, W), (N, H, W, C) or (N, C, H, W) with one or three channels C, and \
             points are (N, 2). Save x.reshape(…)"
        )),
    }
}

pub(super) fn channels_first(values: Values, shape: [usize; 3]) -> Values {
    match values {
        Values::Bytes(mut bytes) => {
            planes(&mut bytes, shape);
            Values::Bytes(bytes)
        }
        Values::Floats(mut floats) => {
            planes(&mut floats, shape);
            Values::Floats(floats)
        }
    }
}

/// Moves the channels of each image from the last place to the first.
fn planes<T: Copy>(values: &mut [T], [c, h, w]: [usize; 3]) {
    for image in values.chunks_exact_mut(c * h * w) {
        let last = image.to_vec();
        for (at, value) in last.into_iter().enumerate() {
            image[at % c * h * w + at / c] = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_other_than_bytes_take_four_bytes_each() {
        let said = |num_values, are_bytes| check_total(num_values, are_bytes).err();
        assert_eq!(said(MAX_TOTAL_BYTES, true), None);
        assert_eq!(said(MAX_TOTAL_BYTES / 4, false), None);
        assert!(!said(MAX_TOTAL_BYTES + 1, true).unwrap().contains("uint8"));
        assert_eq!(
            said(MAX_TOTAL_BYTES / 2, false).unwrap(),
            "its images take 8192 MiB in memory, and at most 4096 MiB are read; bytes from 0 to 255 take a quarter \
             (numpy.uint8)"
        );
    }
}
