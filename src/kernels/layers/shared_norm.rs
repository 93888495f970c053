//! Batch norm over a batch of which each process has a part: the statistics are those of all images.
//!
//! Each layer exchanges the moments of its parts in the forward pass, and the sums of two gradients in the backward pass, a
//! few numbers per channel. See also PyTorch's `SyncBatchNorm`.

use std::{
    cell::{Cell, RefCell},
    fmt::Debug,
    sync::Arc,
};

use burn::tensor::{Tensor, TensorData};

use super::norm_table::{inverse_std, rows};

/// The processes that share a batch, each with as many images as the others.
pub trait BatchSharers: Debug + Send + Sync {
    /// The values of all processes for exchange `number`, in the same order on all of them, or `None` if it failed on any of
    /// them. The implementer keeps the reason.
    fn gather(&self, number: u32, own: Result<Vec<f32>, String>) -> Option<Vec<Vec<f32>>>;
}

thread_local! {
    static SHARERS: RefCell<Option<Arc<dyn BatchSharers>>> = const { RefCell::new(None) };
    static NUM_EXCHANGES: Cell<u32> = const { Cell::new(0) };
}

/// Does `work`. Within it, and in the backward passes of what it computes, batch norm takes the statistics of the images of
/// all `sharers`. They must do the same work at the same time.
pub fn with_shared_batch<T>(sharers: Arc<dyn BatchSharers>, work: impl FnOnce() -> T) -> T {
    struct Before(Option<Arc<dyn BatchSharers>>);
    impl Drop for Before {
        fn drop(&mut self) {
            SHARERS.set(self.0.take());
        }
    }
    let _before = Before(SHARERS.replace(Some(sharers)));
    work()
}

/// Whether batch norm takes the statistics of several processes now.
pub fn is_batch_shared() -> bool {
    SHARERS.with_borrow(Option::is_some)
}

/// A batch norm whose statistics are shared, for its backward pass.
#[derive(Clone, Debug)]
pub(super) struct Sharing {
    sharers: Arc<dyn BatchSharers>,
    /// The number of the exchange in the backward pass.
    number: u32,
    /// Mean, scale, shift and variance of each channel.
    table: Arc<[f32]>,
}

/// The next number of an exchange. All processes do the same work, so they count alike.
fn next_number() -> u32 {
    NUM_EXCHANGES.replace(NUM_EXCHANGES.get().wrapping_add(1))
}

impl Sharing {
    /// The table of [`batch_norm`](super::batch_norm()) over the images of all processes; `None` if the batch is not shared.
    pub(super) fn begin(
        x: &Tensor<4>,
        gamma: &Tensor<1>,
        beta: &Tensor<1>,
        epsilon: f64,
    ) -> Option<(Tensor<2>, Self)> {
        let sharers = SHARERS.with_borrow(Clone::clone)?;
        let [n, h, w, c] = x.dims();
        let flat = x.clone().without_autodiff().reshape([n * h * w, c]);
        let mean = flat.clone().mean_dim(0);
        let variance = (flat - mean.clone()).square().mean_dim(0);
        let affine = [gamma, beta].map(|tensor| tensor.clone().without_autodiff()).to_vec();
        let affine = Tensor::stack(affine, 0);
        let read = Tensor::cat(vec![mean, variance, affine], 0).try_into_data();
        let read = read.map_err(|error| error.to_string());
        let own = read.and_then(|data| data.try_to_vec::<f32>().map_err(|error| error.to_string()));
        let affine = own.as_ref().map_or(vec![0.0; 2 * c], |own| own[2 * c..].to_vec());
        let moments = own.map(|mut own| {
            own.truncate(2 * c);
            own
        });
        let alone = moments.clone().unwrap_or_else(|_| vec![0.0; 2 * c]);
        let all = sharers.gather(next_number(), moments).unwrap_or_else(|| vec![alone]);
        let table: Arc<[f32]> = joint_table(&all, &affine, epsilon).into();
        let data = TensorData::new(table.to_vec(), [4, c]);
        let number = next_number();
        Some((Tensor::from_data(data, &x.device()), Self { sharers, number, table }))
    }

    /// What is missing in the gradient ∂L/∂x of a process that took its own sums alone, as a table of which the shift and the
    /// scale are to be used: it is affine in x for each channel. `own` are ∂L/∂gamma and ∂L/∂beta of the own images, of which
    /// each channel has `count` values.
    pub(super) fn missing(
        self,
        own: Result<Vec<f32>, String>,
        count: usize,
        epsilon: f64,
    ) -> Vec<f32> {
        let [mean, scale, _, variance] = rows(&self.table);
        let channels = mean.len();
        let alone = own.clone().unwrap_or_else(|_| vec![0.0; 2 * channels]);
        let all = self.sharers.gather(self.number, own).unwrap_or_else(|| vec![alone.clone()]);
        let missing = |index: usize| {
            let sum: f64 = all.iter().map(|sums| f64::from(sums[index])).sum();
            (f64::from(alone[index]) - sum / all.len() as f64) / count as f64
        };
        let (mut slopes, mut shifts) = (vec![0.0; channels], vec![0.0; channels]);
        for channel in 0..channels {
            let scale = f64::from(scale[channel]);
            let slope = scale * inverse_std(variance[channel], epsilon);
            slopes[channel] = (slope * missing(channel)) as f32;
            shifts[channel] = (scale * missing(channels + channel)) as f32;
        }
        [mean, &slopes, &shifts, variance].concat()
    }
}

/// Mean, scale, shift and variance of each channel, from the mean and variance of every part and from gamma and beta.
fn joint_table(parts: &[Vec<f32>], affine: &[f32], epsilon: f64) -> Vec<f32> {
    let channels = affine.len() / 2;
    let share = 1.0 / parts.len() as f64;
    let mean_of =
        |value: &dyn Fn(&[f32]) -> f64| parts.iter().map(|part| value(part)).sum::<f64>() * share;
    let mut table = vec![0.0; 4 * channels];
    for channel in 0..channels {
        let mean = mean_of(&|part| f64::from(part[channel]));
        let variance = mean_of(&|part| {
            f64::from(part[channels + channel]) + (f64::from(part[channel]) - mean).powi(2)
        });
        let scale = f64::from(affine[channel]) * inverse_std(variance as f32, epsilon);
        table[channel] = mean as f32;
        table[channels + channel] = scale as f32;
        table[2 * channels + channel] = affine[channels + channel];
        table[3 * channels + channel] = variance as f32;
    }
    table
}
