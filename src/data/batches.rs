//! Training batches: a new shuffled order each epoch, data augmentation and input noise.

use std::ops::Range;

use rand::{RngExt, seq::SliceRandom};

use super::{Dataset, may_flip};
use jempp_cpu::reference;

use crate::{config::DataConfig, streams};

/// One training batch on the host.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The inputs of the cross entropy, shape (N, C, H, W) flattened: augmented, and with noise if the settings want it.
    pub values: Vec<f32>,
    /// The inputs of the energy terms, with noise of their own; `None` if they are those of the cross entropy.
    pub plain: Option<Vec<f32>>,
    /// The class label of each input; of the whole batch, if only some rows were asked for.
    pub labels: Vec<u32>,
}

/// Cuts a training set into batches, which depend only on the seed and the step number.
#[derive(Clone, Debug)]
pub struct Batches {
    dataset: Dataset,
    config: DataConfig,
    seed: u64,
    /// The shuffled order of the last requested epoch.
    order: Vec<usize>,
    order_epoch: Option<u64>,
}

impl Batches {
    /// Creates the batches of `dataset` with the settings of `config`.
    pub fn new(dataset: Dataset, config: DataConfig, seed: u64) -> Self {
        let order = (0..dataset.len()).collect();
        Self { dataset, config, seed, order, order_epoch: None }
    }

    /// The number of whole batches in an epoch. The remaining images appear in the orders of other epochs.
    pub fn steps_per_epoch(&self) -> u64 {
        (self.dataset.len() / self.config.batch_size) as u64
    }

    /// The batch of training step `step`; steps are counted from 0 over all epochs.
    pub fn get(&mut self, step: u64) -> Batch {
        self.get_rows(step, 0..self.config.batch_size)
    }

    /// The images in some rows of the batch of training step `step`, with the labels of all rows.
    pub(crate) fn get_rows(&mut self, step: u64, rows: Range<usize>) -> Batch {
        let (epoch, position) = (step / self.steps_per_epoch(), step % self.steps_per_epoch());
        if self.order_epoch != Some(epoch) {
            self.order = (0..self.dataset.len()).collect();
            self.order.shuffle(&mut streams::BATCH_ORDER.rng(self.seed, epoch));
            self.order_epoch = Some(epoch);
        }
        let first = position as usize * self.config.batch_size;
        let indices = &self.order[first..first + self.config.batch_size];
        let mut rng = streams::AUGMENTATION.rng(self.seed, step);
        let flips = self.config.horizontal_flip && may_flip(self.config.dataset);
        let padding = self.config.crop_padding;
        let augments_energy = self.config.augment_energy || !flips && padding == 0;
        let has_noise = self.config.input_noise_std > 0.0;
        let is_split = !augments_energy || has_noise && !self.config.classify_noisy;
        let (mut values, mut plain, mut item) = (Vec::new(), Vec::new(), Vec::new());
        for (row, &index) in indices.iter().enumerate() {
            // What is drawn for a row does not depend on which rows are wanted.
            let flip = flips && rng.random::<bool>();
            let mut offset = || rng.random_range(0..=2 * padding) as isize - padding as isize;
            let offset = [offset(), offset()];
            if !rows.contains(&row) {
                continue;
            }
            item.clear();
            self.dataset.extend_with(index, &mut item);
            let first = values.len();
            if flip || offset != [0, 0] {
                values.extend(shifted(&item, self.dataset.shape, offset, flip));
            } else {
                values.extend_from_slice(&item);
            }
            if is_split {
                let of_energy = if augments_energy { &values[first..] } else { &item[..] };
                plain.extend_from_slice(of_energy);
            }
        }
        for (values, stream, is_noisy) in [
            (&mut values, streams::INPUT_NOISE, self.config.classify_noisy),
            (&mut plain, streams::PLAIN_INPUT_NOISE, true),
        ] {
            if has_noise && is_noisy {
                let key = stream.key(self.seed, step as u32);
                let first = (rows.start * self.dataset.num_pixels()) as u32;
                reference::add_normal(values, self.config.input_noise_std as f32, first, key);
            }
        }
        let labels = indices.iter().map(|&i| self.dataset.labels[i]).collect();
        Batch { values, plain: is_split.then_some(plain), labels }
    }
}

/// The image shifted by `offset` (rows, columns), padded by reflection at the border, and mirrored if `flip`: a
/// reflect-pad followed by a crop.
fn shifted(image: &[f32], [c, h, w]: [usize; 3], offset: [isize; 2], flip: bool) -> Vec<f32> {
    let reflect = |at: isize, len: usize| -> usize {
        let last = len as isize - 1;
        if last == 0 {
            return 0;
        }
        let folded = at.rem_euclid(2 * last);
        (if folded > last { 2 * last - folded } else { folded }) as usize
    };
    let mut out = Vec::with_capacity(image.len());
    for channel in image.chunks(h * w).take(c) {
        for row in 0..h {
            let row = reflect(row as isize + offset[0], h);
            for column in 0..w {
                let column = if flip { w - 1 - column } else { column };
                out.push(channel[row * w + reflect(column as isize + offset[1], w)]);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shift_reflects_at_the_border_without_repeating_it() {
        let image = [0.0, 1.0, 2.0, 3.0];
        assert_eq!(shifted(&image, [1, 1, 4], [0, 2], false), [2.0, 3.0, 2.0, 1.0]);
        assert_eq!(shifted(&image, [1, 1, 4], [0, -2], false), [2.0, 1.0, 0.0, 1.0]);
        assert_eq!(shifted(&image, [1, 1, 4], [0, 0], true), [3.0, 2.0, 1.0, 0.0]);
    }
}
