//! CPU twins of the layer kernels, and of the kernels that measure the speed of a device.

/// The sizes of a convolution with odd kernel and padding k/2; tensors are channels last.
#[derive(Clone, Copy, Debug)]
pub struct Conv {
    /// The batch size N.
    pub batch: usize,
    /// The height H of the input.
    pub height: usize,
    /// The width W of the input.
    pub width: usize,
    /// Channels of the input.
    pub inputs: usize,
    /// Channels of the output.
    pub outputs: usize,
    /// The kernel size k.
    pub kernel: usize,
    /// Step between output positions.
    pub stride: usize,
    /// The slope for negative values of the LeakyReLU before the convolution; 1 for none.
    pub negative_slope: f32,
}

impl Conv {
    /// Calls `visit` with (index in x, index in weight, index in y) of every product.
    fn for_each_product(&self, mut visit: impl FnMut(usize, usize, usize)) {
        let (out_height, out_width) =
            (self.height.div_ceil(self.stride), self.width.div_ceil(self.stride));
        let pad = self.kernel / 2;
        for position in 0..self.batch * out_height * out_width {
            let (n, i, j) = (
                position / (out_height * out_width),
                position / out_width % out_height,
                position % out_width,
            );
            for tap in 0..self.kernel * self.kernel {
                let row = (i * self.stride + tap / self.kernel).wrapping_sub(pad);
                let column = (j * self.stride + tap % self.kernel).wrapping_sub(pad);
                if row >= self.height || column >= self.width {
                    continue;
                }
                let pixel = (n * self.height + row) * self.width + column;
                for input in 0..self.inputs {
                    for output in 0..self.outputs {
                        let at = (tap * self.inputs + input) * self.outputs + output;
                        visit(pixel * self.inputs + input, at, position * self.outputs + output);
                    }
                }
            }
        }
    }
}

/// The convolution of LeakyReLU(`x`) (N, H, W, inputs) with `weight` (k, k, inputs, outputs) plus `bias`,
/// shape (N, H', W', outputs); twin of `shaders/conv_product.wgsl`, `conv_direct.wgsl`, `conv_flat.wgsl` and
/// `conv_broadcast.wgsl`.
pub fn conv_forward(conv: &Conv, x: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
    let positions = conv.height.div_ceil(conv.stride) * conv.width.div_ceil(conv.stride);
    let mut y = bias.repeat(conv.batch * positions);
    conv.for_each_product(|from, at, to| {
        let slope = if x[from] > 0.0 { 1.0 } else { conv.negative_slope };
        y[to] += slope * x[from] * weight[at];
    });
    y
}

/// Where the values of `x` are positive, 32 in a word: bit b of word w stands for value 32 w + b. Twin of what
/// `shaders/conv_plain.wgsl` and `head_energy.wgsl` keep of x for the gradient of x.
pub fn signs(x: &[f32]) -> Vec<u32> {
    let word = |values: &[f32]| {
        values.iter().rev().fold(0, |word, &value| word << 1 | u32::from(value > 0.0))
    };
    x.chunks(32).map(word).collect()
}

/// The input gradient ∂L/∂x of [`conv_forward`], from `gradient` = ∂L/∂y; twin of the same shaders, which read the
/// weights of [`conv_turn_weights`].
pub fn conv_input_gradient(conv: &Conv, gradient: &[f32], weight: &[f32], x: &[f32]) -> Vec<f32> {
    let mut x_gradient = vec![0.0; x.len()];
    conv.for_each_product(|to, at, from| {
        let slope = if x[to] > 0.0 { 1.0 } else { conv.negative_slope };
        x_gradient[to] += slope * gradient[from] * weight[at];
    });
    x_gradient
}

/// The weight gradient ∂L/∂weight of [`conv_forward`], from `gradient` = ∂L/∂y; twin of
/// `shaders/conv_weight_parts.wgsl` and `conv_weight_sum.wgsl` together.
pub fn conv_weight_gradient(conv: &Conv, x: &[f32], gradient: &[f32]) -> Vec<f32> {
    let mut weight_gradient = vec![0.0; conv.kernel * conv.kernel * conv.inputs * conv.outputs];
    conv.for_each_product(|from, to, at| {
        let slope = if x[from] > 0.0 { 1.0 } else { conv.negative_slope };
        weight_gradient[to] += slope * x[from] * gradient[at];
    });
    weight_gradient
}

/// The bias gradient ∂L/∂bias of [`conv_forward`], from `gradient` = ∂L/∂y, with `outputs` channels; twin of the same
/// shaders as [`conv_weight_gradient`].
pub fn conv_bias_gradient(outputs: usize, gradient: &[f32]) -> Vec<f32> {
    let mut bias_gradient = vec![0.0; outputs];
    for position in gradient.chunks(outputs) {
        bias_gradient.iter_mut().zip(position).for_each(|(sum, slope)| *sum += slope);
    }
    bias_gradient
}

/// The weights (k, k, outputs, inputs) with which the gradient of [`conv_forward`] is a convolution: turned by half a turn,
/// with inputs and outputs exchanged; twin of `shaders/conv_turn_weights.wgsl`.
pub fn conv_turn_weights(inputs: usize, outputs: usize, weight: &[f32]) -> Vec<f32> {
    let taps = weight.chunks(inputs * outputs).rev();
    let turned = taps.flat_map(|tap| {
        (0..inputs * outputs).map(move |at| tap[at % inputs * outputs + at / inputs])
    });
    turned.collect()
}

/// The sizes of a head: LeakyReLU, pooling over positions, a linear map to classes.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    /// The number of positions P = H · W.
    pub positions: usize,
    /// The number of channels C.
    pub channels: usize,
    /// The number of classes.
    pub classes: usize,
    /// Whether the features are averaged over the positions before the linear map.
    pub average: bool,
    /// The slope of the LeakyReLU for negative values.
    pub negative_slope: f32,
}

impl Head {
    /// The row of the weights that an element of an image is multiplied by, and the weight of the element in the
    /// pooling.
    fn row(&self, element: usize) -> (usize, f32) {
        match self.average {
            true => (element % self.channels, 1.0 / self.positions as f32),
            false => (element, 1.0),
        }
    }
}

/// `scale` · log_sum_exp of the logits of `x` (N, P, C), or `scale` times the logit of each row's label,
/// shape (N), and its gradient with respect to the logits, shape (N, classes); twin of
/// `shaders/head_energy.wgsl`.
pub fn head_energy(
    head: &Head,
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    labels: Option<&[u32]>,
    scale: f32,
) -> (Vec<f32>, Vec<f32>) {
    let (mut values, mut seeds) = (Vec::new(), Vec::new());
    for (n, image) in x.chunks(head.positions * head.channels).enumerate() {
        let mut logits = bias.to_vec();
        for (element, &value) in image.iter().enumerate() {
            let (row, share) = head.row(element);
            let feature = if value > 0.0 { value } else { head.negative_slope * value };
            for (class, logit) in logits.iter_mut().enumerate() {
                *logit += share * feature * weight[row * head.classes + class];
            }
        }
        if let Some(labels) = labels {
            let label = labels[n] as usize;
            values.push(scale * logits[label]);
            seeds.extend((0..head.classes).map(|class| if class == label { scale } else { 0.0 }));
        } else {
            let largest = logits.iter().fold(f32::NEG_INFINITY, |largest, &x| largest.max(x));
            let total: f32 = logits.iter().map(|logit| (logit - largest).exp()).sum();
            values.push(scale * (total.ln() + largest));
            seeds.extend(logits.iter().map(|logit| scale * (logit - largest).exp() / total));
        }
    }
    (values, seeds)
}

/// The input gradient ∂L/∂x of [`head_energy`], from its second result and `row_scale` = ∂L/∂value (N); twin of
/// `shaders/head_input_gradient.wgsl`.
pub fn head_input_gradient(
    head: &Head,
    seed: &[f32],
    row_scale: &[f32],
    weight: &[f32],
    x: &[f32],
) -> Vec<f32> {
    let image_len = head.positions * head.channels;
    let gradient = |(index, &value): (usize, &f32)| {
        let (n, (row, share)) = (index / image_len, head.row(index % image_len));
        let slope = if value > 0.0 { 1.0 } else { head.negative_slope };
        let classes = 0..head.classes;
        let sum: f32 = classes
            .map(|class| seed[n * head.classes + class] * weight[row * head.classes + class])
            .sum();
        slope * share * row_scale[n] * sum
    };
    x.iter().enumerate().map(gradient).collect()
}

/// The multiply-adds of each value in a round of [`fma_rate`].
pub const FMA_PER_ROUND: u32 = 8;

/// Repeats x ← x m + a, [`FMA_PER_ROUND`] times in each of the `rounds`; the number of values is a multiple of 16. Twin
/// of `shaders/fma_rate.wgsl`.
#[inline(always)]
pub fn fma_rate(x: &mut [f32], rounds: u32, m: f32, a: f32) {
    // The number of values that fills the registers of a CPU core and uses both of its FMA units.
    for x in x.chunks_mut(128) {
        let mut registers = [0.0; 128];
        registers[..x.len()].copy_from_slice(x);
        for _ in 0..rounds * FMA_PER_ROUND {
            for value in &mut registers {
                *value = value.mul_add(m, a);
            }
        }
        x.copy_from_slice(&registers[..x.len()]);
    }
}

/// Copies `x` to `to`; twin of `shaders/copy_rate.wgsl`.
pub fn copy_rate(x: &[f32], to: &mut [f32]) {
    to.copy_from_slice(x);
}
