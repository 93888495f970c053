//! The pictures of the report.

use serde::{Deserialize, Serialize};

use super::{
    EvalError, Part,
    attack::{self, Attacked},
    ood::OodImages,
    results::BallNorm,
};
use crate::{config::EvalConfig, picture};

/// The number of attacked images in a picture, and of images of each other kind.
pub(super) const NUM_SHOWN: usize = 10;

/// A picture of the report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Picture {
    /// The part of the evaluation that the picture belongs to.
    pub part: Part,
    /// A short title of the picture.
    pub title: String,
    /// The caption, in full sentences.
    pub caption: String,
    /// The picture as a PNG file.
    pub png: Vec<u8>,
}

fn png(picture: image::RgbImage) -> Result<Vec<u8>, EvalError> {
    picture::png_of(picture)
        .map_err(|error| EvalError::Request(format!("cannot encode a picture: {error}")))
}

/// Draws the first images of every out-of-distribution set.
pub(super) fn of_ood(images: &OodImages, shape: [usize; 3]) -> Result<Picture, EvalError> {
    let (values, names) = images.examples(NUM_SHOWN, shape.iter().product());
    let rows: Vec<u32> = (0..names.len() as u32).flat_map(|row| vec![row; NUM_SHOWN]).collect();
    Ok(Picture {
        part: Part::Ood,
        title: "Out-of-distribution images".into(),
        caption: format!("The first {NUM_SHOWN} of each kind. From the top: {}.", names.join(", ")),
        png: png(picture::draw(&values, &rows, shape, NUM_SHOWN))?,
    })
}

/// Draws some images before and after the attack on the undefended classifier.
pub(super) fn of_attack(
    attacked: &Attacked,
    shape: [usize; 3],
    config: &EvalConfig,
) -> Result<Picture, EvalError> {
    let num_pixels: usize = shape.iter().product();
    let count = attacked.values.len() / num_pixels;
    let labels: Vec<u32> = (0..count as u32).map(|index| index / attacked.columns as u32).collect();
    let radii = attack::radii(config, attacked.norm);
    let radii: Vec<String> = radii.iter().map(f64::to_string).collect();
    let (title, unit) = match attacked.norm {
        BallNorm::Linf => ("Attacked images, L∞", "in 255ths of the pixel range"),
        BallNorm::L2 => ("Attacked images, L2", "pixels from 0 to 1"),
    };
    Ok(Picture {
        part: Part::Attack,
        title: title.into(),
        caption: format!(
            "A test image in each row: as it is, then attacked without a defence at ε = {} ({unit}). An image that \
             was fooled at some ε stays as it is there.",
            radii.join(", ")
        ),
        png: png(picture::draw(&attacked.values, &labels, shape, attacked.columns))?,
    })
}

/// Makes the report's picture of fresh chains and their nearest training images from the grid.
pub(super) fn of_samples(grid: image::RgbImage) -> Result<Picture, EvalError> {
    Ok(Picture {
        part: Part::Samples,
        title: "Fresh chains and their nearest training images".into(),
        caption: "A pair of rows per class: chains above, under each the training image that is nearest to it in \
                  pixels. Nothing was picked."
            .into(),
        png: png(grid)?,
    })
}
