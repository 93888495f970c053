//! What the layers of a network cost for one image, and how many images pass through them at a time.

use std::iter::Sum;

use jempp_cpu::layers::TaskMemory;

use crate::kernels::MAX_LAUNCH_FLOPS;

/// The memory limit for the outputs of the layers while images are measured, in bytes. It is small compared with the
/// weights and the optimiser of a network that needs so much.
pub(super) const MAX_LAYER_BYTES: u64 = 512 << 20;
const MAX_AT_ONCE: u64 = 250;
/// The number of bytes of an f32 value.
const FLOAT: u64 = 4;

/// The cost of a part of a network for one image.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Cost {
    /// The number of multiplications and additions of a forward pass.
    pub(super) flops: u64,
    /// The number of output values of its layers.
    pub(super) values: u64,
    /// The number of those that norm layers get as their inputs.
    pub(super) normalised: u64,
    /// The multiplications and additions of its most expensive layer.
    pub(super) most_flops: u64,
    /// The number of output values of its largest layer.
    pub(super) most_values: u64,
    /// What the CPU back end needs while it computes a layer: for the passes of frozen weights, and for the gradient of the
    /// weights.
    pub(super) tasks: [TaskMemory; 2],
}

impl Cost {
    /// The cost of a convolution or a linear map.
    pub(super) fn of_layer(flops: u64, values: u64) -> Self {
        let (most_flops, most_values) = (flops, values);
        Self { flops, values, most_flops, most_values, ..Self::default() }
    }

    /// The cost of a norm layer.
    pub(super) fn of_norm(values: u64) -> Self {
        Self { normalised: values, ..Self::of_layer(0, values) }
    }
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::default(), |a, b| Self {
            flops: a.flops + b.flops,
            values: a.values + b.values,
            normalised: a.normalised + b.normalised,
            most_flops: a.most_flops.max(b.most_flops),
            most_values: a.most_values.max(b.most_values),
            tasks: [0, 1].map(|kind| a.tasks[kind].max(b.tasks[kind])),
        })
    }
}

/// The kind of a pass through a network, which decides what must stay in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Only logits or energies: the output of a layer is freed after the next layer.
    Forward,
    /// Also a gradient: the outputs of all layers stay in memory.
    Gradient,
}

/// The batch size with which the outputs of the layers stay within [`MAX_LAYER_BYTES`] and the limits of the device
/// ([`most_at_once`]); at most [`MAX_AT_ONCE`], because more images are not faster. `pieces` are the costs of the
/// pieces of the network, in order.
pub(super) fn measured_at_once(pieces: &[Cost], pass: Pass, max_binding: Option<u64>) -> u64 {
    let values = match pass {
        // Two pieces are in memory at a time: one reads the output of the other.
        Pass::Forward => 2 * pieces.iter().map(|cost| cost.values).max().unwrap_or(0),
        Pass::Gradient => pieces.iter().copied().sum::<Cost>().values,
    };
    let at_once = MAX_LAYER_BYTES / values.saturating_mul(FLOAT).max(1);
    let all = pieces.iter().copied().sum();
    at_once.min(most_at_once(&all, max_binding)).clamp(1, MAX_AT_ONCE)
}

/// The largest batch that a device can process in one pass: the output of every layer fits into one binding of
/// `max_binding` bytes, and no launch takes so long that a driver might end it. At least 1, and without a bound on the
/// CPU back end, which has no such limits.
pub(super) fn most_at_once(network: &Cost, max_binding: Option<u64>) -> u64 {
    let Some(max_binding) = max_binding else { return u64::MAX };
    let fits = max_binding / network.most_values.saturating_mul(FLOAT).max(1);
    fits.min(MAX_LAUNCH_FLOPS / network.most_flops.max(1)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_fits_the_binding_and_the_time_of_a_launch() {
        let mib = 1 << 20;
        // A layer of 1 MiB an image, and a cheap one of 2 MiB.
        let pieces = [Cost::of_layer(1000, mib / 4), Cost::of_layer(10, mib / 2)];
        let network = pieces.into_iter().sum();
        assert_eq!(most_at_once(&network, Some(128 * mib)), 64);
        assert_eq!(most_at_once(&network, Some(mib)), 1, "an image alone is never split");
        assert_eq!(most_at_once(&network, None), u64::MAX);
        assert_eq!(measured_at_once(&pieces, Pass::Forward, Some(128 * mib)), 64);
        assert_eq!(measured_at_once(&pieces, Pass::Forward, Some(4096 * mib)), 128);
        assert_eq!(measured_at_once(&pieces, Pass::Gradient, None), 170);
        let expensive = Cost::of_layer(MAX_LAUNCH_FLOPS / 10, 1);
        assert_eq!(most_at_once(&expensive, Some(128 * mib)), 10);
    }
}
