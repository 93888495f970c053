//! Compares every kernel with its CPU twin on one device. The command that checks devices, the page and the tests use
//! these comparisons, with the same inputs and the same tolerances.
//!
//! Inputs come from a seeded generator. Outputs are filled with a poison value first, and followed by more of it, so
//! that values which a kernel leaves out, or writes past the end, are found.

#[cfg(not(target_arch = "wasm32"))]
mod blocks;
mod convolutions;
mod heads;
mod norms;
#[cfg(not(target_arch = "wasm32"))]
mod rates;
mod sampling;

use std::fmt;

use burn::tensor::Device;
use serde::Serialize;

use crate::kernels::{
    self, Adapter, ConvPass, ConvShape, KERNELS, Kernel, Variant, WORKGROUP_SIZE,
};
pub use convolutions::ConvCase;
pub use sampling::densities;

/// What an output holds before a kernel runs; no kernel computes it from the inputs here.
const POISON: f32 = 12_345.0;
/// The number of poison values after the end of an output.
const TAIL: usize = 300;

/// A comparison of values from a device with the values that the CPU computes from the same inputs.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The kernel or the network that computed the values.
    pub name: String,
    /// What was compared, in a few words.
    pub what: &'static str,
    /// The number of compared values.
    pub num_values: usize,
    /// The largest difference; infinite (null in JSON) if only one of two values is NaN.
    pub largest_difference: f32,
    /// The largest difference that rounding explains.
    pub allowed: f32,
    /// Whether the device computes what the CPU computes.
    pub agrees: bool,
    /// Why the device gave no values, or wrote where it should not.
    pub failure: Option<String>,
}

impl Comparison {
    /// The heading of a table of comparisons.
    pub const HEADING: &'static str = "\
kernel or network     what was compared                               values  differs  allowed";

    /// A comparison without values yet.
    #[inline(never)]
    pub fn new(name: &str, what: &'static str, allowed: f32) -> Self {
        Self {
            name: name.to_string(),
            what,
            num_values: 0,
            largest_difference: 0.0,
            allowed,
            agrees: true,
            failure: None,
        }
    }

    /// A comparison that found no values, with the reason.
    pub fn failed(name: &str, failure: String) -> Self {
        let nothing = Self::new(name, "runs", 0.0);
        Self { agrees: false, failure: Some(failure), ..nothing }
    }

    /// Compares more values: those of the device with those of the CPU.
    pub fn add(&mut self, found: &[f32], expected: &[f32]) {
        let differences = found.iter().zip(expected).map(|(&a, &b)| difference(a, b));
        self.add_difference(differences.fold(0.0, f32::max), found.len());
        if found.len() != expected.len() {
            self.agrees = false;
            self.failure = Some(format!("{} values in place of {}", found.len(), expected.len()));
        }
    }

    /// Compares more values, each difference as a share of the largest value, or of 1 if that is larger. Rounding in a
    /// long sum depends on its terms, so it may be large next to a sum that happens to be small.
    pub fn add_relative(&mut self, found: &[f32], expected: &[f32]) {
        let largest = expected.iter().fold(1.0f32, |largest, value| largest.max(value.abs()));
        let scaled = |values: &[f32]| -> Vec<f32> { values.iter().map(|v| v / largest).collect() };
        self.add(&scaled(found), &scaled(expected));
    }

    /// Counts a difference that was computed from `num_values` values.
    pub fn add_difference(&mut self, difference: f32, num_values: usize) {
        let difference = if difference.is_nan() { f32::INFINITY } else { difference };
        self.num_values += num_values;
        self.largest_difference = self.largest_difference.max(difference);
        self.agrees &= difference <= self.allowed;
    }
}

/// The distance of two values: 0 for two NaN or two equal infinities, infinite if only one is NaN.
fn difference(a: f32, b: f32) -> f32 {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => 0.0,
        (false, false) if a == b => 0.0,
        (false, false) => (a - b).abs(),
        _ => f32::INFINITY,
    }
}

impl fmt::Display for Comparison {
    /// One row of a table.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "{:<22}{:<42}{:>12}{:>9.1e}{:>9.0e}  {}",
            self.name,
            self.what,
            self.num_values,
            self.largest_difference,
            self.allowed,
            if self.agrees { "ok" } else { "DIFFERS" }
        )?;
        match &self.failure {
            Some(failure) => write!(f, ": {failure}"),
            None => Ok(()),
        }
    }
}

/// How much is compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Extent {
    /// All sizes, and all variants of convolutions that the device can run.
    Full,
    /// What takes a software adapter in a page a minute in place of many: no kernel with a workgroup for each of more than
    /// 65,535 chains, and of the variants those that the device is given without measuring.
    Short,
}

/// Compares every kernel and the variants of convolutions with their twins. Calls `seen` with each comparison as soon as
/// it is made.
pub async fn check_all(
    device: &Device,
    extent: Extent,
    mut seen: impl FnMut(&Comparison),
) -> Vec<Comparison> {
    let mut all = Vec::new();
    for kernel in KERNELS {
        all.extend(check(kernel, extent, device).await.into_iter().inspect(&mut seen));
    }
    let variants = kernels::adapter_of(device).into_iter().flat_map(|of| variants(of, extent));
    for variant in variants {
        all.extend(check_variant(variant, device).await.into_iter().inspect(&mut seen));
    }
    all
}

/// The variants to compare on an adapter.
fn variants(adapter: Adapter, extent: Extent) -> impl Iterator<Item = &'static Variant> {
    let both = kernels::candidates(ConvPass::Forward, adapter);
    let both = both.chain(kernels::candidates(ConvPass::WeightGradient, adapter));
    both.filter(move |variant| extent == Extent::Full || is_chosen(variant, adapter))
}

/// Whether an adapter is given this variant for layers of some size.
fn is_chosen(variant: &Variant, adapter: Adapter) -> bool {
    let sizes = [4, 16, 32, 64].into_iter().flat_map(|channels| [(1, channels), (64, channels)]);
    sizes.into_iter().any(|(batch, channels)| {
        let (height, width, kernel, stride) = (32, 32, 3, 1);
        let (inputs, outputs) = (channels, channels);
        let shape = ConvShape { batch, height, width, inputs, outputs, kernel, stride };
        ConvPass::ALL.iter().any(|&pass| kernels::choose(pass, &shape, adapter) == variant)
    })
}

/// Compares one variant of a convolution with its twins, alone and beside batch norm.
pub async fn check_variant(variant: &'static Variant, device: &Device) -> Vec<Comparison> {
    let failed = |failure| vec![Comparison::failed(variant.name, failure)];
    let all = convolutions::variant(variant, device).await.unwrap_or_else(failed);
    #[cfg(not(target_arch = "wasm32"))]
    let all = [all, blocks::variant(variant, device).await.unwrap_or_else(failed)].concat();
    all
}

/// Compares one kernel with its twin. Kernels are found by their name, so `kernel` may have another source than the
/// one in [`kernels::KERNELS`].
pub async fn check(kernel: &'static Kernel, extent: Extent, device: &Device) -> Vec<Comparison> {
    let subject = Subject { kernel, device };
    let found = match kernel.name {
        "proximal_step" => sampling::proximal_step(&subject).await,
        "normalized_step" => sampling::normalized_step(&subject).await,
        "uniform_start" => sampling::uniform_start(&subject).await,
        "class_center_start" => sampling::class_center_start(&subject, extent).await,
        "replay_gather" => sampling::replay_gather(&subject).await,
        "replay_scatter" => sampling::replay_scatter(&subject).await,
        "chain_summary" => sampling::chain_summary(&subject, extent).await,
        "mala_accept" => sampling::mala_accept(&subject, extent).await,
        "density_energy" => sampling::density_energy(&subject).await,
        "conv_weight_sum" => convolutions::conv_weight_sum(&subject).await,
        "conv_turn_weights" => convolutions::conv_turn_weights(&subject).await,
        "head_energy" => heads::head_energy(&subject).await,
        "head_input_gradient" => heads::head_input_gradient(&subject).await,
        "norm_moments" => norms::norm_moments(&subject).await,
        "norm_table" => norms::norm_table(&subject).await,
        "norm_apply" => norms::norm_apply(&subject).await,
        "norm_gradient_sums" => norms::norm_gradient_sums(&subject).await,
        "norm_gradient_table" => norms::norm_gradient_table(&subject).await,
        "norm_input_gradient" => norms::norm_input_gradient(&subject).await,
        #[cfg(not(target_arch = "wasm32"))]
        "fma_rate" => rates::fma_rate(&subject).await,
        #[cfg(not(target_arch = "wasm32"))]
        "copy_rate" => rates::copy_rate(&subject).await,
        _ => Err("this kernel has no comparison in src/kernel_check".to_string()),
    };
    found.unwrap_or_else(|failure| vec![Comparison::failed(kernel.name, failure)])
}

/// The comparisons of a kernel, or the reason why it gave no values.
type Found = Result<Vec<Comparison>, String>;

/// A kernel on a device.
struct Subject<'a> {
    kernel: &'static Kernel,
    device: &'a Device,
}

/// A buffer that a kernel is bound to.
enum Buffer<'a> {
    /// Values that the kernel reads.
    Values(&'a [f32]),
    /// Indices that the kernel reads.
    Indices(&'a [u32]),
    /// Values that the kernel changes in place.
    InPlace(&'a [f32]),
    /// Room for so many values that the kernel computes.
    Output(usize),
}

impl Subject<'_> {
    fn comparison(&self, what: &'static str, allowed: f32) -> Comparison {
        Comparison::new(self.kernel.name, what, allowed)
    }

    /// Runs the kernel on buffers in the order of its bindings. Returns what it wrote: the `N` buffers that are
    /// [`Buffer::InPlace`] or [`Buffer::Output`], in order.
    async fn run<const N: usize>(
        &self,
        num_workgroups: u32,
        buffers: &[Buffer<'_>],
        params: &[u32],
    ) -> Result<[Vec<f32>; N], String> {
        let written = self.written(num_workgroups, buffers, params).await?;
        written
            .try_into()
            .map_err(|written: Vec<_>| format!("{} outputs in place of {N}", written.len()))
    }

    /// What the kernel wrote into any number of buffers. The code is in the program once, not once for each number.
    async fn written(
        &self,
        num_workgroups: u32,
        buffers: &[Buffer<'_>],
        params: &[u32],
    ) -> Result<Vec<Vec<f32>>, String> {
        let poisoned = |buffer: &Buffer| match buffer {
            Buffer::Values(_) | Buffer::Indices(_) => Vec::new(),
            Buffer::InPlace(values) => [*values, &[POISON; TAIL]].concat(),
            Buffer::Output(len) => vec![POISON; len + TAIL],
        };
        let outputs: Vec<Vec<f32>> = buffers.iter().map(poisoned).collect();
        let bytes = buffers.iter().zip(&outputs).map(|(buffer, output)| match buffer {
            Buffer::Values(values) => bytemuck::cast_slice(values),
            Buffer::Indices(indices) => bytemuck::cast_slice(indices),
            Buffer::InPlace(_) | Buffer::Output(_) => bytemuck::cast_slice(output),
        });
        let bytes: Vec<&[u8]> = bytes.collect();
        let after = kernels::run_and_read(self.kernel, self.device, num_workgroups, &bytes, params);
        let mut written = Vec::new();
        for (buffer, bytes) in buffers.iter().zip(after.await?) {
            let len = match buffer {
                Buffer::Values(_) | Buffer::Indices(_) => continue,
                Buffer::InPlace(values) => values.len(),
                &Buffer::Output(len) => len,
            };
            let mut values: Vec<f32> = bytemuck::pod_collect_to_vec(bytes.as_slice());
            if values.drain(len..).any(|value| value != POISON) {
                return Err("it writes past the end of its output".to_string());
            }
            written.push(values);
        }
        Ok(written)
    }
}

/// The number of workgroups for so many invocations.
fn groups(num_invocations: usize) -> u32 {
    num_invocations.div_ceil(WORKGROUP_SIZE as usize) as u32
}

/// Reproducible pseudo-random values in (-1, 1), which `salt` makes different.
// Not inlined at each of its many uses, for the page is small.
#[inline(never)]
pub fn scrambled(len: usize, salt: u32) -> Vec<f32> {
    let scramble = |i: u32| {
        let mut bits = i.wrapping_mul(0x9e37_79b9) ^ salt.wrapping_mul(0x85eb_ca6b);
        bits ^= bits >> 15;
        bits = bits.wrapping_mul(0x2c1b_3c6d);
        bits ^= bits >> 12;
        bits as f32 / u32::MAX as f32 * 2.0 - 1.0
    };
    (0..len as u32).map(scramble).collect()
}
