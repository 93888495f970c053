//! Batch normalisation on a GPU, in hand-written WGSL. What the kernels write in parts is explained in
//! `shaders/norm_moments.wgsl`, the tables in `shaders/norm_table.wgsl` and `shaders/norm_gradient_table.wgsl`.

use burn::backend::TensorMetadata;
use burn_wgpu::{CubeTensor, into_contiguous};

use super::{
    super::{
        Kernel, NORM_APPLY, NORM_GRADIENT_SUMS, NORM_GRADIENT_TABLE, NORM_INPUT_GRADIENT,
        NORM_MOMENTS, NORM_TABLE, WORKGROUP_SIZE, launch::empty_like,
    },
    cube::{placeholder, run},
};

/// The number of positions of a part: few enough to employ a GPU, and enough that combining the parts costs little.
const ROWS: usize = 16;
/// The number of invocations that combine the parts of a channel.
const COMBINING: usize = 32;

/// The number of values of a part for so many channels.
pub(super) fn part_len(channels: usize) -> usize {
    1 + 2 * channels
}

/// The number of positions, and of channels, of features (N, H, W, C).
fn sizes(x: &CubeTensor) -> [usize; 2] {
    let [n, h, w, channels] = x.shape().dims();
    [n * h * w, channels]
}

/// Runs a kernel that writes in parts what it finds in `tensors`, the first of which are features (N, H, W, C).
fn in_parts(kernel: &'static Kernel, tensors: &[&CubeTensor]) -> CubeTensor {
    let [positions, channels] = sizes(tensors[0]);
    let num_parts = positions.div_ceil(ROWS);
    let parts = empty_like(tensors[0], [num_parts, part_len(channels)]);
    run(
        kernel,
        num_parts * channels,
        &[tensors, &[&parts]].concat(),
        &[positions, channels, ROWS].map(|size| size as u32),
    );
    parts
}

/// The parameters of the kernels that combine parts, and the number of their invocations.
fn combining(parts: &CubeTensor, channels: usize, epsilon: f64) -> ([u32; 3], usize) {
    let num_parts = parts.shape().num_elements() / part_len(channels);
    let params = [num_parts as u32, channels as u32, (epsilon as f32).to_bits()];
    (params, channels.next_multiple_of(WORKGROUP_SIZE as usize / COMBINING) * COMBINING)
}

/// The moments of each channel in parts.
pub(super) fn moments(x: CubeTensor) -> CubeTensor {
    in_parts(&NORM_MOMENTS, &[&into_contiguous(x)])
}

/// Mean, scale, shift and variance of each channel (4, C), from moments in parts.
pub(super) fn table(
    parts: CubeTensor,
    gamma: CubeTensor,
    beta: CubeTensor,
    epsilon: f64,
) -> CubeTensor {
    let [parts, gamma, beta] = [parts, gamma, beta].map(into_contiguous);
    let [channels] = gamma.shape().dims();
    let table = empty_like(&parts, [4, channels]);
    let (params, num_invocations) = combining(&parts, channels, epsilon);
    run(&NORM_TABLE, num_invocations, &[&parts, &gamma, &beta, &table], &params);
    table
}

/// (x - mean) · scale + shift.
pub(super) fn apply(x: CubeTensor, table: &CubeTensor) -> CubeTensor {
    let x = into_contiguous(x);
    let [positions, channels] = sizes(&x);
    let (len, y) = (positions * channels, empty_like(&x, x.shape()));
    run(&NORM_APPLY, len, &[&x, table, &y], &[len as u32, channels as u32]);
    y
}

/// The sums of each channel in parts that the gradients need, from ∂L/∂y and x.
pub(super) fn gradient_sums(
    gradient: &CubeTensor,
    x: &CubeTensor,
    table: &CubeTensor,
) -> CubeTensor {
    in_parts(&NORM_GRADIENT_SUMS, &[gradient, x, table])
}

/// What the kernels make of the sums of a gradient in parts.
pub(super) struct NormGradients {
    /// Mean and factors of each channel (4, C), with which [`input_gradient`] computes ∂L/∂x.
    pub table: CubeTensor,
    /// ∂L/∂gamma and ∂L/∂beta.
    pub affine: [CubeTensor; 2],
}

/// The table for ∂L/∂x, and the gradients ∂L/∂gamma and ∂L/∂beta, from sums in parts.
pub(super) fn gradient_table(
    parts: &CubeTensor,
    table: &CubeTensor,
    epsilon: f64,
) -> NormGradients {
    let [_, channels] = table.shape().dims();
    let like = |dims: &[usize]| empty_like(table, dims.to_vec());
    let (of_x, gamma, beta) = (like(&[4, channels]), like(&[channels]), like(&[channels]));
    let (params, num_invocations) = combining(parts, channels, epsilon);
    let tensors = [parts, table, &of_x, &gamma, &beta];
    run(&NORM_GRADIENT_TABLE, num_invocations, &tensors, &params);
    NormGradients { table: of_x, affine: [gamma, beta] }
}

/// ∂L/∂x of batch norm, from ∂L/∂y; `other` is another gradient of x, which is added.
pub(super) fn input_gradient(
    gradient: &CubeTensor,
    x: &CubeTensor,
    gradient_table: &CubeTensor,
    other: Option<&CubeTensor>,
) -> CubeTensor {
    let [positions, channels] = sizes(x);
    let (len, x_gradient) = (positions * channels, empty_like(x, x.shape()));
    let has_other = u32::from(other.is_some());
    let other = other.cloned().unwrap_or_else(|| placeholder(x));
    run(
        &NORM_INPUT_GRADIENT,
        len,
        &[gradient, x, gradient_table, &other, &x_gradient],
        &[len as u32, channels as u32, has_other],
    );
    x_gradient
}
