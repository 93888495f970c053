//! The signs of the input of a LeakyReLU, which is all that a backward pass with frozen weights needs.

use super::{Buffer, vectorize};
use crate::parallel::*;

/// Lanes per block.
const LANES: usize = 16;
/// Values per block: bit k of word l stands for value 16 k + l, so that packing and unpacking need no moves between
/// lanes.
const BLOCK: usize = LANES * u32::BITS as usize;

/// Values per task.
const TASK_LEN: usize = 1 << 14;

/// One sign bit for each value of some images; each image starts a new block.
#[derive(Debug)]
pub struct Signs {
    /// The words, stored as the bits of floats.
    buffer: Buffer,
    image_len: usize,
}

impl Signs {
    /// The signs of images with `image_len` values each.
    pub fn new(x: &[f32], image_len: usize) -> Self {
        let image_len = image_len.max(1);
        let words_per_image = words_per_image(image_len);
        let mut buffer = Buffer::new(x.len() / image_len * words_per_image);
        let words: &mut [u32] = bytemuck::cast_slice_mut(&mut buffer);
        let images = words.par_chunks_mut(words_per_image).zip(x.par_chunks(image_len));
        images.with_min_len((TASK_LEN / image_len).max(1)).for_each(|(words, image)| {
            vectorize(
                #[inline(always)]
                || {
                    for (words, block) in words.chunks_mut(LANES).zip(image.chunks(BLOCK)) {
                        let mut bits = [0u32; LANES];
                        for (k, values) in block.chunks(LANES).enumerate() {
                            pack(&mut bits, values, k);
                        }
                        words.copy_from_slice(&bits);
                    }
                },
            );
        });
        Self { buffer, image_len }
    }

    /// Multiplies the gradient of images from `first_image` on by 1 where the input was positive, and by `slope`
    /// elsewhere.
    #[inline(always)]
    pub(crate) fn apply(&self, first_image: usize, gradient: &mut [f32], slope: f32) {
        let words_per_image = words_per_image(self.image_len);
        let words: &[u32] = bytemuck::cast_slice(&self.buffer[first_image * words_per_image..]);
        let images = gradient.chunks_exact_mut(self.image_len);
        for (image, words) in images.zip(words.chunks_exact(words_per_image)) {
            for (block, words) in image.chunks_mut(BLOCK).zip(words.chunks_exact(LANES)) {
                let mut bits = [0u32; LANES];
                bits.copy_from_slice(words);
                for (k, values) in block.chunks_mut(LANES).enumerate() {
                    scale(values, &bits, k, slope);
                }
            }
        }
    }
}

fn words_per_image(image_len: usize) -> usize {
    image_len.div_ceil(BLOCK) * LANES
}

#[inline(always)]
fn pack(bits: &mut [u32; LANES], values: &[f32], k: usize) {
    if let Ok(values) = <&[f32; LANES]>::try_from(values) {
        for lane in 0..LANES {
            bits[lane] |= u32::from(values[lane] > 0.0) << k;
        }
    } else {
        for (bits, &value) in bits.iter_mut().zip(values) {
            *bits |= u32::from(value > 0.0) << k;
        }
    }
}

#[inline(always)]
fn scale(values: &mut [f32], bits: &[u32; LANES], k: usize, slope: f32) {
    let factor = |bits: u32| if (bits >> k) & 1 == 0 { slope } else { 1.0 };
    if let Ok(values) = <&mut [f32; LANES]>::try_from(&mut *values) {
        for lane in 0..LANES {
            values[lane] *= factor(bits[lane]);
        }
    } else {
        values.iter_mut().zip(bits).for_each(|(value, &bits)| *value *= factor(bits));
    }
}
