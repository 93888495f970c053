//! The head on the CPU: LeakyReLU, pooling and a linear map to logits, and the energies of logits.

use super::{Buffer, Signs, View, matmul, vectorize};
use crate::{
    parallel::*,
    shape::{HeadShape, Pooling},
};

/// The input of the linear map, shape (N, inputs): the pooled activations.
fn features(shape: &HeadShape, x: &[f32], slope: f32) -> Vec<f32> {
    let mut features = vec![0.0; shape.batch * shape.inputs()];
    let images = x.par_chunks(shape.image_len());
    features.par_chunks_mut(shape.inputs()).zip(images).for_each(|(features, image)| {
        vectorize(
            #[inline(always)]
            || {
                let activated = |x: f32| if x > 0.0 { x } else { slope * x };
                for pixel in image.chunks_exact(features.len()) {
                    for (feature, &x) in features.iter_mut().zip(pixel) {
                        *feature += activated(x);
                    }
                }
                if shape.pooling == Pooling::Average {
                    let share = 1.0 / shape.positions() as f32;
                    features.iter_mut().for_each(|feature| *feature *= share);
                }
            },
        );
    });
    features
}

/// Logits (N, classes); `weight`: (inputs, classes).
pub fn forward(shape: &HeadShape, x: &[f32], slope: f32, weight: &[f32], bias: &[f32]) -> Vec<f32> {
    let features = features(shape, x, slope);
    let mut logits = bias.repeat(shape.batch);
    let features = View::new(&features, shape.batch, shape.inputs());
    matmul(&mut logits, features, View::new(weight, shape.inputs(), shape.classes), true);
    logits
}

/// The input gradient ∂L/∂x, from ∂L/∂logits.
pub fn input_gradient(
    shape: &HeadShape,
    gradient: &[f32],
    weight: &[f32],
    signs: &Signs,
    slope: f32,
) -> Buffer {
    let mut features = vec![0.0; shape.batch * shape.inputs()];
    let weight = View::new(weight, shape.inputs(), shape.classes).transposed();
    matmul(&mut features, View::new(gradient, shape.batch, shape.classes), weight, false);
    let share = match shape.pooling {
        Pooling::Flatten => 1.0,
        Pooling::Average => 1.0 / shape.positions() as f32,
    };
    let mut x_gradient = Buffer::new(shape.batch * shape.image_len());
    x_gradient
        .par_chunks_mut(shape.image_len())
        .zip(features.par_chunks(shape.inputs()))
        .enumerate()
        .for_each(|(index, (image, features))| {
            vectorize(
                #[inline(always)]
                || {
                    for pixel in image.chunks_exact_mut(features.len()) {
                        pixel.iter_mut().zip(features).for_each(|(x, value)| *x = share * value);
                    }
                    signs.apply(index, image, slope);
                },
            );
        });
    x_gradient
}

/// The weight gradient ∂L/∂weight (inputs, classes), from ∂L/∂logits.
pub fn weight_gradient(shape: &HeadShape, x: &[f32], slope: f32, gradient: &[f32]) -> Vec<f32> {
    let features = features(shape, x, slope);
    let mut weight = vec![0.0; shape.inputs() * shape.classes];
    let features = View::new(&features, shape.batch, shape.inputs()).transposed();
    matmul(&mut weight, features, View::new(gradient, shape.batch, shape.classes), false);
    weight
}

/// `scale · log_sum_exp` of each row of logits, and its gradient with respect to them.
pub fn log_sum_exp(mut logits: Vec<f32>, classes: usize, scale: f32) -> (Vec<f32>, Vec<f32>) {
    let values = logits
        .chunks_exact_mut(classes)
        .map(|row| {
            let largest = row.iter().fold(f32::NEG_INFINITY, |largest, &x| largest.max(x));
            row.iter_mut().for_each(|x| *x = (*x - largest).exp());
            let sum: f32 = row.iter().sum();
            row.iter_mut().for_each(|x| *x *= scale / sum);
            scale * (sum.ln() + largest)
        })
        .collect();
    (values, logits)
}

/// `scale · logits[label]` of each row, and its gradient with respect to the logits.
pub fn chosen(logits: &[f32], labels: &[u32], classes: usize, scale: f32) -> (Vec<f32>, Vec<f32>) {
    let mut gradient = vec![0.0; logits.len()];
    let places = labels.iter().enumerate().map(|(row, &label)| row * classes + label as usize);
    let values = places.map(|place| {
        gradient[place] = scale;
        scale * logits[place]
    });
    (values.collect(), gradient)
}
