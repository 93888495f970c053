//! The replay buffer: persistent chains on the device, with the same number of slots per class.
//!
//! # Source
//! Grathwohl et al., arXiv:1912.03263, section 4; re-initialisation from class centres after Yang &
//! Ji, arXiv:2109.09032.
//!
//! Differs from JEMPP: a slot is re-initialised from the centre of its own class; in JEMPP from that of a random class,
//! so that the class of a slot says less and less about its content. And a batch takes distinct slots; in JEMPP a slot
//! may appear twice in a batch, and then one of its two chains is lost.

use std::ops::Range;

use burn::tensor::{Device, Tensor};
use jempp_cpu::reference::NoiseKey;
use rand::{RngExt, seq::index};

use crate::{
    class_centers::ClassCenters,
    config::{ReplayBufferConfig, StartKind},
    kernels, streams,
};

/// The distribution of new chains: the Gaussian of their class, or noise.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one start, not a collection")]
pub enum Start {
    /// The Gaussian of the chain's class.
    ClassCenters(ClassCenters),
    /// Uniform noise on [-1, 1], images of shape (C, H, W).
    Uniform([usize; 3]),
}

impl Start {
    /// Creates the start distribution that the configuration names.
    pub fn new(kind: StartKind, centers: &ClassCenters) -> Self {
        match kind {
            StartKind::ClassCenters => Self::ClassCenters(centers.clone()),
            StartKind::Uniform => Self::Uniform(centers.shape),
        }
    }

    /// Draws one start per label, shape (N, C, H, W).
    pub fn draw(&self, labels: &[u32], noise: NoiseKey, device: &Device) -> Tensor<4> {
        match self {
            Self::ClassCenters(centers) => centers.start(labels, noise),
            Self::Uniform([c, h, w]) => {
                kernels::uniform_start([labels.len(), *c, *h, *w], noise, device)
            }
        }
    }
}

/// The chains of one training step, taken out of the buffer.
#[derive(Clone, Debug)]
pub struct BufferBatch {
    /// The states of the chains before sampling, shape (N, C, H, W); only of the rows that were asked for.
    pub x: Tensor<4>,
    /// The slot of each chain of the batch, to which it is written back.
    pub slots: Vec<u32>,
    /// The class of each slot.
    pub labels: Vec<u32>,
}

/// The buffer of `capacity` chains; slot i belongs to class i · classes / capacity.
#[derive(Debug)]
pub struct ReplayBuffer {
    chains: Tensor<2>,
    shape: [usize; 3],
    num_classes: usize,
    reinit_prob: f64,
}

impl ReplayBuffer {
    /// Creates a buffer filled with new chains.
    pub fn new(
        config: &ReplayBufferConfig,
        num_classes: usize,
        shape: [usize; 3],
        start: &Start,
        seed: u64,
        device: &Device,
    ) -> Self {
        let capacity = config.replay_buffer_size;
        let labels: Vec<u32> =
            (0..capacity).map(|slot| class_of_slot(slot, capacity, num_classes)).collect();
        let noise = streams::BUFFER_FILL.key(seed, 0);
        let num_pixels: usize = shape.iter().product();
        let chains = start.draw(&labels, noise, device).reshape([capacity, num_pixels]);
        Self { chains, shape, num_classes, reinit_prob: config.reinit_prob }
    }

    /// Creates a buffer from the given chains (capacity, D), as stored in a checkpoint.
    pub(crate) fn from_chains(
        chains: Tensor<2>,
        config: &ReplayBufferConfig,
        num_classes: usize,
        shape: [usize; 3],
    ) -> Self {
        Self { chains, shape, num_classes, reinit_prob: config.reinit_prob }
    }

    /// All chains, shape (capacity, D).
    pub fn chains(&self) -> Tensor<2> {
        self.chains.clone()
    }

    /// The chains in these slots, shape (slots, D): to show a few chains, without a copy of all.
    pub fn chains_in(&self, slots: &[u32]) -> Tensor<2> {
        self.chains.clone().select(0, kernels::index_tensor(slots, &self.chains.device()))
    }

    /// The number of chains.
    pub fn capacity(&self) -> usize {
        self.chains.dims()[0]
    }

    /// A deep copy. A clone would share memory that a write-back changes.
    pub fn copy(&self) -> Self {
        Self {
            chains: self.chains.clone().mul_scalar(1.0),
            shape: self.shape,
            num_classes: self.num_classes,
            reinit_prob: self.reinit_prob,
        }
    }

    /// Takes chains from `batch_size` distinct random slots, each re-initialised with the re-initialisation
    /// probability. Equal `seed`, `step` and `attempt` give equal chains.
    pub fn take(
        &self,
        batch_size: usize,
        start: &Start,
        seed: u64,
        step: u64,
        attempt: u32,
    ) -> BufferBatch {
        self.take_rows(batch_size, 0..batch_size, start, seed, step, attempt)
    }

    /// Takes the chains in some rows of the batch that [`Self::take`] gives.
    pub(crate) fn take_rows(
        &self,
        batch_size: usize,
        rows: Range<usize>,
        start: &Start,
        seed: u64,
        step: u64,
        attempt: u32,
    ) -> BufferBatch {
        let capacity = self.capacity();
        let mut rng = streams::BUFFER_SLOTS.rng(seed, step | u64::from(attempt) << 40);
        let slots: Vec<u32> = index::sample(&mut rng, capacity, batch_size.min(capacity))
            .into_iter()
            .map(|slot| slot as u32)
            .collect();
        let labels: Vec<u32> = slots
            .iter()
            .map(|&slot| class_of_slot(slot as usize, capacity, self.num_classes))
            .collect();
        let (mut source, mut fresh_labels) = (slots.clone(), Vec::new());
        for (source, &label) in source.iter_mut().zip(&labels) {
            if rng.random_bool(self.reinit_prob) {
                *source = (capacity + fresh_labels.len()) as u32;
                fresh_labels.push(label);
            }
        }
        if fresh_labels.is_empty() {
            // Kernels cannot bind empty buffers; an unused row costs nothing.
            fresh_labels.push(0);
        }
        let [c, h, w] = self.shape;
        let noise = streams::BUFFER_RESTARTS.nth(2 * attempt).key(seed, step as u32);
        let fresh = start
            .draw(&fresh_labels, noise, &self.chains.device())
            .reshape([fresh_labels.len(), c * h * w]);
        // All new chains are drawn, as there are few, so that their noise does not depend on the rows.
        let source = &source[rows.start.min(slots.len())..rows.end.min(slots.len())];
        let x = kernels::replay_gather(&self.chains, fresh, source);
        BufferBatch { x: x.reshape([source.len(), c, h, w]), slots, labels }
    }

    /// Writes chains (N, C, H, W) back to their slots.
    pub fn put(&mut self, x: Tensor<4>, slots: &[u32]) {
        let [n, c, h, w] = x.dims();
        let x = x.reshape([n, c * h * w]);
        // The buffer gives up its only reference, so that the write happens in place.
        let chains = std::mem::replace(&mut self.chains, Tensor::empty([1, 1], &x.device()));
        self.chains = kernels::replay_scatter(x, slots, chains);
    }
}

pub(crate) fn class_of_slot(slot: usize, capacity: usize, num_classes: usize) -> u32 {
    (slot * num_classes / capacity) as u32
}
