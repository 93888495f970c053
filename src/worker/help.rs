//! Energies and gradients of a part of the chains, computed by other workers at the same time.
//!
//! A browser gives each web worker one thread, and more only to pages that a server isolates. So the worker of the page shares a
//! step's gradients out to other workers, which have the same model. Every chain is treated separately, so the chains are the
//! same. On a desktop, the CPU back end has threads of its own.

use std::{cell::Cell, ops::Range};

use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::{
    config::LaneConfig,
    device::{ReadError, read},
    energy::{Energy, EnergyGradient, JointEnergy, SplitGradient, joined, rows},
};

/// A step that takes fewer seconds alone is not shared out: messages take time too.
const LEAST_SECS: f64 = 0.008;
/// The number of steps of each way before one is chosen, and after how many steps the other is tried once more.
const NUM_TRIALS: usize = 4;
const STEPS_TO_RETRY: usize = 64;

/// What a helper is asked.
#[derive(Serialize, Deserialize)]
pub(super) enum Ask {
    /// Takes a model file; the answer is empty.
    Model(Vec<u8>),
    /// Energies and gradients of some chains.
    Gradient(Part),
}

/// Some chains of a lane.
#[derive(Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) lane: LaneConfig,
    /// The class of each chain, (N).
    pub(super) labels: Vec<u32>,
    /// The chains, shape (N, C, H, W).
    pub(super) x: Vec<f32>,
}

/// The energies (N), gradients (N, C, H, W) and logits (N, classes) of a part.
#[derive(Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) energy: Vec<f32>,
    pub(super) gradient: Vec<f32>,
    pub(super) logits: Vec<f32>,
}

pub(super) fn encoded(message: &impl Serialize) -> Vec<u8> {
    match postcard::to_stdvec(message) {
        Ok(bytes) => bytes,
        Err(error) => unreachable!("every message can be encoded: {error}"),
    }
}

/// The rows of each of `num` workers; the first part is the own one, and the largest.
fn shares(num_rows: usize, num: usize) -> Vec<Range<usize>> {
    let bound = |nth: usize| num_rows - num_rows * (num - nth) / num;
    (0..num).map(|nth| bound(nth)..bound(nth + 1)).collect()
}

/// The energies and gradients of chains, shared out among this worker and others, of which `ask` brings the answers. None if
/// one of them fails.
pub(super) async fn gathered<F>(
    energy: &JointEnergy,
    lane: &LaneConfig,
    labels: &[u32],
    x: &Tensor<4>,
    num_helpers: usize,
    ask: impl Fn(usize, Vec<u8>) -> F,
) -> Result<Option<EnergyGradient>, ReadError>
where
    F: Future<Output = Option<Vec<u8>>>,
{
    let [n, c, h, w] = x.dims();
    let shares = shares(n, (num_helpers + 1).min(n.max(1)));
    let values = read(x.clone()).await?;
    let asked = shares.iter().skip(1).enumerate().map(|(helper, rows)| {
        let values = values[rows.start * c * h * w..rows.end * c * h * w].to_vec();
        let part = Part { lane: lane.clone(), labels: labels[rows.clone()].to_vec(), x: values };
        ask(helper, encoded(&Ask::Gradient(part)))
    });
    // The messages leave before the own part is computed.
    let asked: Vec<F> = asked.collect();
    let own = energy.of_rows(shares[0].clone()).gradient(rows(x, shares[0].clone()));
    let device = x.device();
    let (mut energies, mut gradients) = (vec![own.energy], vec![own.gradient]);
    let mut logits: Vec<Tensor<2>> = own.logits.into_iter().collect();
    for (answer, rows) in asked.into_iter().zip(&shares[1..]) {
        let answer = answer.await.and_then(|bytes| postcard::from_bytes(&bytes).ok());
        let Some(Answer { energy, gradient, logits: rest }) = answer else { return Ok(None) };
        let n = rows.len();
        if energy.len() != n || gradient.len() != n * c * h * w || n == 0 || rest.len() % n != 0 {
            return Ok(None);
        }
        let num_classes = rest.len() / n;
        energies.push(Tensor::from_data(TensorData::new(energy, [n]), &device));
        gradients.push(Tensor::from_data(TensorData::new(gradient, [n, c, h, w]), &device));
        logits.push(Tensor::from_data(TensorData::new(rest, [n, num_classes]), &device));
    }
    let logits = (!logits.is_empty()).then(|| joined(logits));
    Ok(Some(EnergyGradient { energy: joined(energies), gradient: joined(gradients), logits }))
}

/// An energy whose gradient at the present chains is known already.
pub(super) struct Known<'a> {
    energy: &'a JointEnergy,
    gradient: Cell<Option<EnergyGradient>>,
}

impl<'a> Known<'a> {
    pub(super) fn new(energy: &'a JointEnergy, gradient: Option<EnergyGradient>) -> Self {
        Self { energy, gradient: Cell::new(gradient) }
    }
}

impl Energy for Known<'_> {
    fn gradient(&self, x: Tensor<4>) -> EnergyGradient {
        // Only the first one is at the present chains.
        self.gradient.take().unwrap_or_else(|| self.energy.gradient(x))
    }

    fn first_layer_is_affine(&self) -> bool {
        self.energy.first_layer_is_affine()
    }

    fn split_gradient(&self, x: Tensor<4>) -> SplitGradient {
        self.energy.split_gradient(x)
    }

    fn pull_back(&self, x: Tensor<4>, output_gradient: Tensor<4>) -> Tensor<4> {
        self.energy.pull_back(x, output_gradient)
    }
}

/// Whether steps are shared out: the way that takes less time, as far as both were tried.
#[derive(Default)]
struct Trial {
    /// The time of recent steps in seconds, alone and with help, and how many there were.
    recent: [f64; 2],
    counts: [usize; 2],
}

impl Trial {
    /// Whether the next step is shared out.
    fn is_shared(&self) -> bool {
        let [alone, shared] = self.counts;
        if alone < NUM_TRIALS || shared < NUM_TRIALS {
            return shared < alone;
        }
        // Other programs come and go, so the other way is tried again.
        let is_retry = (alone + shared).is_multiple_of(STEPS_TO_RETRY);
        (self.recent[1] < self.recent[0]) != is_retry
    }

    /// Whether help may be worth it: whether enough steps were made alone, and are long.
    fn wants_help(&self) -> bool {
        self.counts[0] >= NUM_TRIALS && self.recent[0] > LEAST_SECS
    }

    /// Notes the seconds that a step took.
    fn note(&mut self, is_shared: bool, secs: f64) {
        let at = usize::from(is_shared);
        // The first ones are longer: the browser is still compiling.
        let weight = if self.counts[at] < NUM_TRIALS { 1.0 } else { 0.2 };
        self.recent[at] += weight * (secs - self.recent[at]);
        self.counts[at] += 1;
    }
}

/// The help that a model can have.
pub(super) struct Help {
    /// The message that gives a helper the model, until the helpers have it.
    model: Option<Vec<u8>>,
    trial: Trial,
}

impl Help {
    /// Help with the model of a file.
    pub(super) fn new(file: &[u8]) -> Self {
        Self { model: Some(model_message(file)), trial: Trial::default() }
    }

    /// Begins anew with other chains, whose steps take another time.
    pub(super) fn begin(&mut self) {
        self.trial = Trial::default();
    }

    /// The number of workers that help with the next step.
    pub(super) fn num_helpers(&self) -> usize {
        if self.model.is_none() && self.trial.is_shared() { num_helpers() } else { 0 }
    }

    /// Notes how many seconds a step took. The helpers start once steps are long.
    pub(super) fn note(&mut self, is_shared: bool, secs: f64) {
        self.trial.note(is_shared, secs);
        if let Some(message) = self.model.take_if(|_| self.trial.wants_help()) {
            wake_helpers(&message);
        }
    }
}

/// The message that gives a helper its model.
pub(super) fn model_message(file: &[u8]) -> Vec<u8> {
    encoded(&Ask::Model(file.to_vec()))
}

#[cfg(target_arch = "wasm32")]
pub(super) use crate::browser::ask_helper;
#[cfg(target_arch = "wasm32")]
use crate::browser::{num_helpers, wake_helpers};

/// Threads share the work of a step out, so there are no helpers.
#[cfg(not(target_arch = "wasm32"))]
fn num_helpers() -> usize {
    0
}

#[cfg(not(target_arch = "wasm32"))]
fn wake_helpers(_message: &[u8]) {}

#[cfg(not(target_arch = "wasm32"))]
pub(super) fn ask_helper(
    _helper: usize,
    _message: Vec<u8>,
) -> impl Future<Output = Option<Vec<u8>>> {
    std::future::ready(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_are_all_rows_and_the_own_one_is_the_largest() {
        for (rows, num) in [(40, 1), (40, 2), (41, 2), (10, 3), (1, 4), (0, 2)] {
            let shares = shares(rows, num);
            assert_eq!(shares.len(), num);
            assert_eq!((shares[0].start, shares[num - 1].end), (0, rows), "{shares:?}");
            assert!(shares.windows(2).all(|two| two[0].end == two[1].start), "{shares:?}");
            assert!(shares.iter().all(|share| share.len() <= shares[0].len()), "{shares:?}");
        }
    }

    #[test]
    fn the_better_way_is_tried_and_kept() {
        for (helped_secs, is_better) in [(0.025, true), (0.06, false)] {
            let mut trial = Trial::default();
            (0..NUM_TRIALS).for_each(|_| trial.note(false, 0.04));
            assert!(trial.wants_help() && trial.is_shared());
            let mut counts = [0; 2];
            for _ in 0..2 * STEPS_TO_RETRY {
                let is_shared = trial.is_shared();
                trial.note(is_shared, if is_shared { helped_secs } else { 0.04 });
                counts[usize::from(is_shared == is_better)] += 1;
            }
            assert!(counts[0] <= NUM_TRIALS + 2 && counts[0] > 0, "{helped_secs}: {counts:?}");
        }
        let mut short = Trial::default();
        (0..NUM_TRIALS).for_each(|_| short.note(false, 1e-4));
        assert!(!short.wants_help());
    }

    #[test]
    fn a_slow_turn_of_the_computer_changes_the_way() {
        let mut trial = Trial::default();
        let mut run = |secs: [f64; 2], num_steps| {
            let mut num_shared = 0;
            for _ in 0..num_steps {
                let is_shared = trial.is_shared();
                trial.note(is_shared, secs[usize::from(is_shared)]);
                num_shared += usize::from(is_shared);
            }
            num_shared
        };
        run([0.04, 0.02], 100);
        assert!(run([0.04, 0.02], 100) > 90);
        // Another program has taken the second core.
        run([0.04, 0.09], 100);
        assert!(run([0.04, 0.09], 100) < 10);
    }
}
