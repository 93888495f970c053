//! The energy of images on the plane with the largest spread of a chain's path.

use super::{
    super::{JobError, open_model::OpenModel},
    Slice,
};
use crate::principal_axes::{AxesError, PrincipalAxes};

/// The number of images along a side of the plane.
const SIDE: usize = 41;
/// The margin around the path, as a share of its extent.
const MARGIN: f32 = 0.3;

/// Computes the plane through a path (K, D) and the energies on it.
///
/// # Errors
/// The path belongs to another model, or it does not move.
pub(in crate::worker) async fn slice(model: &OpenModel, path: Vec<f32>) -> Result<Slice, JobError> {
    let num_pixels: usize = model.input_shape().iter().product();
    if path.is_empty()
        || !path.len().is_multiple_of(num_pixels)
        || path.iter().any(|x| !x.is_finite())
    {
        return Err(JobError::Request(
            "the path belongs to another model, or is not finite".into(),
        ));
    }
    let no_plane = || JobError::Request("the chain has not moved yet: let it run first".into());
    let axes = PrincipalAxes::of(path.clone(), num_pixels, 2).map_err(|error| match error {
        AxesError::TooFewPoints { .. } => no_plane(),
        AxesError::NoDecomposition => {
            JobError::Request(format!("the path does not span a plane: {error}"))
        }
    })?;
    let PrincipalAxes { origin, axes, mut explained } = axes;
    let first = axes.first().ok_or_else(no_plane)?.clone();
    // A straight path spans only a line, so use any direction perpendicular to it as the second axis.
    let second = axes.get(1).cloned().unwrap_or_else(|| across(&first));
    explained.resize(2, 0.0);
    let axes = vec![first.clone(), second.clone()];
    let plane = PrincipalAxes { origin, axes, explained };
    let coordinates: Vec<f32> =
        path.chunks_exact(num_pixels).flat_map(|image| plane.coordinates_of(image)).collect();
    let range = range_of(&coordinates);
    let along = |axis: usize, index: usize| {
        let [low, high] = range[axis];
        low + (high - low) * (index as f32 + 0.5) / SIDE as f32
    };
    let mut images = Vec::with_capacity(SIDE * SIDE * num_pixels);
    for index in 0..SIDE * SIDE {
        let (a, b) = (along(0, index % SIDE), along(1, index / SIDE));
        let pixel = |d: usize| plane.origin[d] + a * plane.axes[0][d] + b * plane.axes[1][d];
        images.extend((0..num_pixels).map(pixel));
    }
    let energy = model.energies(&images).await?;
    let path_energy = model.energies(&path).await?;
    Ok(Slice {
        energy: energy.into(),
        range,
        path: coordinates,
        path_energy,
        explained: [plane.explained[0], plane.explained[1]],
        origin: plane.origin,
        axes: [first, second],
    })
}

/// The range on each axis of a square around points (K, 2).
fn range_of(coordinates: &[f32]) -> [[f32; 2]; 2] {
    let ends = [0, 1].map(|axis| {
        let values = coordinates.iter().skip(axis).step_by(2).copied();
        [values.clone().fold(f32::INFINITY, f32::min), values.fold(f32::NEG_INFINITY, f32::max)]
    });
    let longest = ends.map(|[low, high]| high - low).into_iter().fold(f32::MIN_POSITIVE, f32::max);
    ends.map(|[low, high]| {
        let (middle, half) = (0.5 * (low + high), (0.5 + MARGIN) * longest);
        [middle - half, middle + half]
    })
}

/// A unit vector perpendicular to a unit vector.
fn across(axis: &[f32]) -> Vec<f32> {
    let smallest = axis.iter().enumerate().min_by(|a, b| a.1.abs().total_cmp(&b.1.abs()));
    let Some((place, &part)) = smallest else { return Vec::new() };
    let mut other: Vec<f32> = axis.iter().map(|value| -part * value).collect();
    other[place] += 1.0;
    let length = other.iter().map(|value| value * value).sum::<f32>().sqrt();
    other.into_iter().map(|value| value / length).collect()
}
