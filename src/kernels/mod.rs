//! The hand-written WGSL kernels of `shaders/`: their table, the launcher, and one typed function per kernel, which
//! runs the kernel on a GPU tensor and its CPU twin on a CPU tensor.
//!
//! This module does not depend on models, samplers or the configuration.

mod bridge;
mod density;
mod labels;
mod launch;
mod layers;
mod ops;
#[cfg(not(target_arch = "wasm32"))]
mod rates;
mod text;

pub(crate) use bridge::contiguous;
pub use density::{Density, density_energy};
pub use labels::Labels;
pub(crate) use launch::{MAX_LAUNCH_FLOPS, MAX_WAITING, max_binding_bytes, note_submission};
pub use launch::{count_bound_bytes, count_launches};
pub use layers::{
    Adapter, ConvOptions2d, ConvPass, ConvShape, EnergyOptions, HeadOptions, Pooling, Surroundings,
    Tile, VARIANTS, Variant, batch_norm, candidates, choose, conv2d, head_energy, head_logits,
    log_sum_exp, num_parts, reference_batch_norm, reference_conv2d, reference_head_energy,
    reference_head_logits,
};
#[cfg(not(target_arch = "wasm32"))]
pub use layers::{
    BatchSharers, BlockOptions, Features, NormConv, is_batch_shared, norm_block, tuner,
    with_shared_batch,
};
pub(crate) use ops::index_tensor;
pub use ops::{
    ClassGaussians, Proposals, adapter_of, chain_summary, class_center_start, mala_accept,
    normalized_step, proximal_step, replay_gather, replay_scatter, run_and_read, uniform_start,
};
#[cfg(not(target_arch = "wasm32"))]
pub use rates::{copy_rate, fma_rate};

/// The number of invocations per workgroup, for every kernel without variants.
pub const WORKGROUP_SIZE: u32 = 256;

/// The description of one shader, for the launcher and the tests.
///
/// A kernel is known by its address, so there is one value of each.
#[derive(Debug)]
pub struct Kernel {
    /// The name of the entry point, and of the file without its extension.
    pub name: &'static str,
    /// The whole WGSL source: `common.wgsl` followed by the file of the kernel. Convolutions have more, see [`Variant`].
    /// In the page it has no comments.
    pub source: &'static str,
    /// The number of invocations per workgroup.
    pub workgroup_size: u32,
    /// The names of the bindings in order, with `params` last.
    pub bindings: &'static [&'static str],
    /// The members of `Params` in order, each of four bytes.
    pub params: &'static [&'static str],
}

macro_rules! kernels {
    ($($(#[$attribute:meta])* $constant:ident = $name:literal, $bindings:expr, $params:expr;)*) => {
        $($(#[$attribute])*
        /// See the file of that name in `shaders/`.
        pub static $constant: Kernel = Kernel {
            name: $name,
            source: text::shader!("common", $name),
            workgroup_size: WORKGROUP_SIZE,
            bindings: &$bindings,
            params: &$params,
        };)*
        /// Every kernel of `shaders/` that has no variants; the others are in [`VARIANTS`].
        pub static KERNELS: &[&Kernel] = &[$($(#[$attribute])* &$constant),*];
    };
}

kernels! {
    PROXIMAL_STEP = "proximal_step",
        ["x", "gradient", "x_next", "params"],
        ["len", "step_size", "noise_std", "proximal_radius", "project", "first_element", "step", "stream",
         "seed_low", "seed_high"];
    NORMALIZED_STEP = "normalized_step",
        ["x", "gradient", "summary", "x_next", "params"],
        ["len", "num_pixels", "step_size", "noise_std", "project", "first_element", "step", "stream", "seed_low",
         "seed_high"];
    UNIFORM_START = "uniform_start",
        ["x", "params"],
        ["len", "first_element", "step", "stream", "seed_low", "seed_high"];
    CLASS_CENTER_START = "class_center_start",
        ["mean", "factor", "residual_std", "labels", "x", "params"],
        ["num_chains", "num_pixels", "num_components", "tiles_per_chain", "first_chain", "step", "stream",
         "seed_low", "seed_high"];
    REPLAY_GATHER = "replay_gather",
        ["buffer", "fresh", "source", "x", "params"],
        ["len", "num_pixels", "capacity"];
    REPLAY_SCATTER = "replay_scatter",
        ["x", "slots", "buffer", "params"],
        ["len", "num_pixels"];
    CHAIN_SUMMARY = "chain_summary",
        ["x", "gradient", "summary", "params"],
        ["num_chains", "num_pixels", "proximal_radius"];
    MALA_ACCEPT = "mala_accept",
        ["x", "gradient", "proposal", "proposal_gradient", "energies", "acceptance", "x_next",
         "params"],
        ["num_chains", "num_pixels", "step_size", "inverse_temperature", "first_chain", "step", "stream",
         "seed_low", "seed_high"];
    CONV_WEIGHT_SUM = "conv_weight_sum",
        ["weight_parts", "bias_parts", "weight_gradient", "bias_gradient", "params"],
        ["num_parts", "num_weights", "num_outputs"];
    CONV_TURN_WEIGHTS = "conv_turn_weights",
        ["weight", "turned", "params"],
        ["inputs", "outputs", "kernel"];
    HEAD_ENERGY = "head_energy",
        ["x", "weight", "bias", "labels", "value", "seed", "signs", "params"],
        ["batch", "positions", "channels", "classes", "average", "labelled", "negative_slope",
         "scale", "num_words"];
    HEAD_INPUT_GRADIENT = "head_input_gradient",
        ["seed", "row_scale", "weight", "signs", "x_gradient", "params"],
        ["batch", "positions", "channels", "classes", "average", "negative_slope"];
    NORM_MOMENTS = "norm_moments",
        ["x", "parts", "params"],
        ["num_positions", "channels", "rows"];
    NORM_TABLE = "norm_table",
        ["parts", "gamma", "beta", "table", "params"],
        ["num_parts", "channels", "epsilon"];
    NORM_APPLY = "norm_apply",
        ["x", "table", "y", "params"],
        ["len", "channels"];
    NORM_GRADIENT_SUMS = "norm_gradient_sums",
        ["gradient", "x", "table", "parts", "params"],
        ["num_positions", "channels", "rows"];
    NORM_GRADIENT_TABLE = "norm_gradient_table",
        ["parts", "table", "gradient_table", "gamma_gradient", "beta_gradient", "params"],
        ["num_parts", "channels", "epsilon"];
    NORM_INPUT_GRADIENT = "norm_input_gradient",
        ["gradient", "x", "gradient_table", "other", "x_gradient", "params"],
        ["len", "channels", "has_other"];
    DENSITY_ENERGY = "density_energy",
        ["x", "table", "energy", "gradient", "params"],
        ["num_points", "form", "num_rows"];
    #[cfg(not(target_arch = "wasm32"))]
    FMA_RATE = "fma_rate", ["x", "params"], ["len", "rounds", "m", "a"];
    #[cfg(not(target_arch = "wasm32"))]
    COPY_RATE = "copy_rate", ["x", "to", "params"], ["len"];
}
