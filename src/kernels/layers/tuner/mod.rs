//! The choice between the variants of a kernel: measured on the adapter, kept from an earlier run, or guessed.
//!
//! Which variant is the fastest depends on the adapter, its driver and the sizes of the layer. When a layer is computed
//! for the first time, every variant is timed on the tensors of this very layer. The fastest one then computes all
//! layers of its class until the program ends, so a run does not change its kernels on the way. The variants add the
//! same numbers in different orders: another choice may change the last bits of a result.
//!
//! Nothing is measured before [`start`] is called. A program that only uses the library takes the guesses.

mod measure;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use burn::{backend::DispatchDevice, tensor::Device};
use cubecl::client::Client;
use serde::Serialize;

use super::{
    choice::{self, Adapter},
    shape::ConvShape,
    variants::{ConvPass, Surroundings, VARIANTS, Variant},
};

/// Where measured choices are kept from one run of the program to the next.
pub trait ChoiceStore: Send {
    /// The choice that was kept for a class of layers on an adapter.
    fn kept(&mut self, adapter: &str, layer: &str) -> Option<KeptChoice>;
    /// Keeps a measured choice.
    fn keep(&mut self, adapter: &str, layer: &str, choice: &KeptChoice);
}

/// A measured choice: what a [`ChoiceStore`] keeps.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptChoice {
    /// The name of the variant.
    pub variant: String,
    /// The microseconds of one launch of each variant that was timed, the fastest first.
    pub micros: Vec<(String, f64)>,
}

/// The variant that computes a class of layers in this process, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Choice {
    /// The class of layers, in words.
    pub layer: String,
    /// The name of the variant.
    pub variant: &'static str,
    /// Why it was chosen.
    pub reason: Reason,
    /// The microseconds of one launch of each variant that was timed, the fastest first. Empty for a guess.
    pub micros: Vec<(String, f64)>,
}

/// Why a variant was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// It was the fastest one in this run of the program.
    Measured,
    /// It was the fastest one in an earlier run.
    Kept,
    /// It should be good on such an adapter.
    Guessed,
}

impl Reason {
    /// The reason in a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Kept => "kept",
            Self::Guessed => "guessed",
        }
    }
}

/// Convolutions that are computed by the same variant. Its text is the key of a kept choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct LayerClass {
    pass: ConvPass,
    surroundings: Surroundings,
    kernel: usize,
    stride: usize,
    inputs: usize,
    outputs: usize,
    /// The binary logarithm of the number of output positions of the batch, rounded down.
    log2_positions: u32,
}

impl LayerClass {
    fn of(pass: ConvPass, shape: &ConvShape, surroundings: Surroundings) -> Self {
        let ConvShape { batch, inputs, outputs, kernel, stride, .. } = *shape;
        let log2_positions = (batch * shape.num_positions()).max(1).ilog2();
        Self { pass, surroundings, kernel, stride, inputs, outputs, log2_positions }
    }
}

impl fmt::Display for LayerClass {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { pass, surroundings, kernel, stride, inputs, outputs, log2_positions } = self;
        let pass = match pass {
            ConvPass::Forward => "forward",
            ConvPass::InputGradient => "input gradient",
            ConvPass::WeightGradient => "weight gradient",
        };
        write!(f, "{pass} {kernel}x{kernel}")?;
        if *stride > 1 {
            write!(f, " stride {stride}")?;
        }
        write!(f, ", {inputs} to {outputs} channels, from 2^{log2_positions} positions")?;
        match surroundings {
            Surroundings::Plain => Ok(()),
            Surroundings::FirstOfBlock => write!(f, ", between batch norms"),
            Surroundings::SecondOfBlock => write!(f, ", after batch norm"),
        }
    }
}

/// When choices are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measuring {
    /// No further class of layers is measured once measuring has taken this long. The guess then stays until the
    /// program ends, and the next program measures the rest.
    pub budget: Duration,
    /// Whether software adapters are measured too. Their guess is known to be right, so this is for tests.
    pub on_software: bool,
}

/// The choices of this process.
struct Tuner {
    store: Option<Box<dyn ChoiceStore>>,
    measuring: Measuring,
    /// The time that measuring has taken.
    spent: Duration,
    /// The names of the open devices, by their numbers.
    adapters: BTreeMap<(u16, u16), Arc<str>>,
    /// The names of the variants, by adapter and class.
    variants: BTreeMap<String, HashMap<LayerClass, &'static str>>,
    /// In the order in which they were made.
    choices: Vec<Choice>,
}

static TUNER: Mutex<Tuner> = Mutex::new(Tuner {
    store: None,
    measuring: Measuring { budget: Duration::ZERO, on_software: false },
    spent: Duration::ZERO,
    adapters: BTreeMap::new(),
    variants: BTreeMap::new(),
    choices: Vec::new(),
});

fn tuner() -> MutexGuard<'static, Tuner> {
    TUNER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Forgets all choices of this process. From now on it takes those that `store` has kept, and measures others.
pub fn start(store: Box<dyn ChoiceStore>, measuring: Measuring) {
    let mut tuner = tuner();
    tuner.store = Some(store);
    tuner.measuring = measuring;
    tuner.spent = Duration::ZERO;
    tuner.variants.clear();
    tuner.choices.clear();
}

/// The choices that this process has made so far, in their order.
pub fn choices() -> Vec<Choice> {
    tuner().choices.clone()
}

/// Gives an open GPU the name under which its choices are kept. Two devices with the same name have the same choices.
pub fn name_adapter(device: &Device, name: &str) {
    if let DispatchDevice::Cube(gpu) = device.as_dispatch() {
        tuner().adapters.insert(number_of(&gpu.client()), name.into());
    }
}

/// The number of a device in this process.
fn number_of(client: &Client) -> (u16, u16) {
    let id = client.service_id().device;
    (id.type_id, id.index_id)
}

/// The variant that computes a pass of a layer with its surroundings. `launch` runs one of them on the tensors of the layer.
pub(super) fn choose(
    pass: ConvPass,
    shape: &ConvShape,
    surroundings: Surroundings,
    client: &Client,
    launch: impl Fn(&'static Variant),
) -> &'static Variant {
    let mut tuner = tuner();
    let number = number_of(client);
    let unnamed = || client.properties().identity.name.as_str().into();
    let name = tuner.adapters.entry(number).or_insert_with(unnamed).clone();
    let candidates = || {
        let adapter = Adapter::of(client);
        let guess = choice::choose(pass, shape, adapter).name;
        let all = choice::candidates(pass, adapter).map(|variant| variant.name);
        let others = all.filter(|name| *name != guess);
        Candidates {
            names: std::iter::once(guess).chain(others).collect(),
            is_software: adapter.is_software,
        }
    };
    let time = |name, launches| time(client, launches, || launch(variant(name)));
    variant(tuner.choose(&name, LayerClass::of(pass, shape, surroundings), candidates, time))
}

fn variant(name: &str) -> &'static Variant {
    let found = VARIANTS.iter().find(|variant| variant.name == name);
    found.unwrap_or_else(|| unreachable!("`{name}` comes from the list of variants"))
}

/// The time until the device has done `work` a number of times, without what it had to do before.
fn time(client: &Client, count: u32, work: impl Fn()) -> Option<Duration> {
    pollster::block_on(client.sync()).ok()?;
    let begin = Instant::now();
    for _ in 0..count {
        work();
    }
    pollster::block_on(client.sync()).ok()?;
    Some(begin.elapsed())
}

/// The variants that can compute a class of layers.
struct Candidates {
    /// Their names, the guess first.
    names: Vec<&'static str>,
    /// Whether the adapter is a program on a CPU.
    is_software: bool,
}

impl Tuner {
    /// The name of the variant for a class of layers. `time` launches one a number of times and waits for the device;
    /// `None` if the device fails.
    fn choose(
        &mut self,
        adapter: &str,
        class: LayerClass,
        candidates: impl FnOnce() -> Candidates,
        time: impl FnMut(&'static str, u32) -> Option<Duration>,
    ) -> &'static str {
        if let Some(variant) = self.variants.get(adapter).and_then(|made| made.get(&class)) {
            return variant;
        }
        let Candidates { names: candidates, is_software } = candidates();
        let layer = class.to_string();
        let may_measure = !is_software || self.measuring.on_software;
        let best = may_measure.then(|| {
            let kept = self.kept(adapter, &layer, &candidates);
            kept.or_else(|| self.measure(adapter, &layer, &candidates, time))
        });
        let guess = (candidates[0], Reason::Guessed, Vec::new());
        let (variant, reason, micros) = best.flatten().unwrap_or(guess);
        self.variants.entry(adapter.to_string()).or_default().insert(class, variant);
        self.choices.push(Choice { layer, variant, reason, micros });
        variant
    }

    fn kept(&mut self, adapter: &str, layer: &str, candidates: &[&'static str]) -> Option<Made> {
        let kept = self.store.as_mut()?.kept(adapter, layer)?;
        // What another version of the program has kept may name no variant of this one.
        let variant = candidates.iter().find(|name| **name == kept.variant)?;
        Some((variant, Reason::Kept, kept.micros))
    }

    fn measure(
        &mut self,
        adapter: &str,
        layer: &str,
        candidates: &[&'static str],
        mut time: impl FnMut(&'static str, u32) -> Option<Duration>,
    ) -> Option<Made> {
        let left = self.measuring.budget.saturating_sub(self.spent);
        if left.is_zero() {
            return None;
        }
        // What is cut short is left to the next program. Not the first class, or nobody would ever measure it.
        let is_part_enough = self.spent.is_zero();
        let times = measure::times(candidates.len(), left, is_part_enough, |index, launches| {
            let took = time(candidates[index], launches);
            self.spent += took.unwrap_or_default();
            took
        })?;
        let variant = candidates[measure::fastest(&times)?];
        let timed = candidates.iter().zip(times).filter_map(|(name, time)| Some((name, time?)));
        let mut micros: Vec<_> =
            timed.map(|(name, time)| (name.to_string(), time.as_secs_f64() * 1e6)).collect();
        micros.sort_by(|a, b| a.1.total_cmp(&b.1));
        if let Some(store) = &mut self.store {
            let kept = KeptChoice { variant: variant.to_string(), micros: micros.clone() };
            store.keep(adapter, layer, &kept);
        }
        Some((variant, Reason::Measured, micros))
    }
}

/// A choice without its layer.
type Made = (&'static str, Reason, Vec<(String, f64)>);
