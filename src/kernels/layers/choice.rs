//! Which variant of a convolution kernel runs on an adapter.

use cubecl::{
    client::Client,
    ir::{PciVendor, features::Plane},
};

use super::{
    shape::ConvShape,
    variants::{
        ConvPass, DIRECT_16X16, FLAT_8X4, FLAT_8X8, PRODUCT_4X4, PRODUCT_4X4_NARROW, PRODUCT_8X4,
        PRODUCT_8X8, VARIANTS, Variant, WEIGHT_4X4, WEIGHT_8X4, WEIGHT_8X8, WEIGHT_16X8,
        WEIGHT_16X16,
    },
};

/// What the speed of a variant depends on, of an adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adapter {
    /// Whether it is a program on a CPU, such as lavapipe or SwiftShader.
    pub is_software: bool,
    /// Whether its compiler unrolls loops, and so keeps arrays in registers. SwiftShader's does not. A browser does not
    /// give the name; its software adapter is SwiftShader.
    pub unrolls_loops: bool,
    /// Whether an invocation has registers for 8 × 8 sums. On Intel's GPUs it has not. Where the maker is not known, as in
    /// a browser, it may not have.
    pub has_many_registers: bool,
    /// Whether it is a hardware GPU on which 8 or more invocations can exchange values. cubecl says so of no software
    /// adapter, though lavapipe can; there the direct variants are faster, so nothing is lost.
    pub has_subgroups: bool,
}

impl Adapter {
    pub(in crate::kernels) fn of(client: &Client) -> Self {
        let properties = client.properties();
        let card = properties.identity.physical.as_ref();
        let vendor = card.and_then(|card| card.vendor);
        let is_software = card.is_none();
        let is_swiftshader = properties.identity.name.to_lowercase().contains("swiftshader")
            || (is_software && cfg!(target_arch = "wasm32"));
        Self {
            is_software,
            unrolls_loops: !is_swiftshader,
            has_many_registers: matches!(
                vendor,
                Some(PciVendor::Amd | PciVendor::Nvidia | PciVendor::Apple)
            ),
            has_subgroups: properties.features.plane.contains(Plane::Ops)
                && properties.hardware.plane_size_min >= 8,
        }
    }
}

/// All variants that can compute `pass` on `adapter`.
pub fn candidates(pass: ConvPass, adapter: Adapter) -> impl Iterator<Item = &'static Variant> {
    let can_run = move |variant: &Variant| {
        variant.computes(pass) && (adapter.has_subgroups || !variant.needs_subgroups())
    };
    VARIANTS.iter().copied().filter(move |variant| can_run(variant))
}

/// The number of workgroups of 8 × 8 sums below which smaller tiles employ a GPU better.
const FEW_WORKGROUPS: u32 = 64;

/// The variant that computes `pass` of a layer on `adapter`: a guess from instruction counts (`benches/isa/README.md`), and
/// for software adapters from measured times.
pub fn choose(pass: ConvPass, shape: &ConvShape, adapter: Adapter) -> &'static Variant {
    let outputs = match pass {
        ConvPass::Forward | ConvPass::WeightGradient => shape.outputs,
        ConvPass::InputGradient => shape.inputs,
    };
    if pass == ConvPass::WeightGradient {
        return match outputs {
            ..=32 if adapter.is_software => &WEIGHT_16X8,
            _ if adapter.is_software => &WEIGHT_16X16,
            ..=32 => &WEIGHT_4X4,
            _ if adapter.has_many_registers => &WEIGHT_8X8,
            _ => &WEIGHT_8X4,
        };
    }
    match outputs {
        ..=4 => &FLAT_8X4,
        _ if !adapter.unrolls_loops => &FLAT_8X8,
        _ if adapter.is_software => &DIRECT_16X16,
        5..=16 => &PRODUCT_4X4_NARROW,
        _ if PRODUCT_8X8.num_workgroups(pass, shape, 1) < FEW_WORKGROUPS => &PRODUCT_4X4,
        _ if adapter.has_many_registers => &PRODUCT_8X8,
        _ => &PRODUCT_8X4,
    }
}

/// The number of parts into which `variant` divides the positions of a weight gradient: enough to employ the adapter, but
/// no part is so short, and the parts are never so many values, that adding them up takes longer.
pub fn num_parts(variant: &Variant, shape: &ConvShape, adapter: Adapter) -> usize {
    const MIN_POSITIONS: usize = 128;
    const MAX_VALUES: usize = 1 << 22;
    let workgroups = if adapter.is_software { 8 } else { 256 };
    let tiles = variant.num_workgroups(ConvPass::WeightGradient, shape, 1) as usize;
    let positions = shape.batch * shape.num_positions();
    (workgroups / tiles.max(1))
        .min(positions / MIN_POSITIONS)
        .min(MAX_VALUES / (shape.patch_len() * shape.outputs))
        .max(1)
}
