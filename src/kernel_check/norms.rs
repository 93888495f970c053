//! The kernels of batch norm, and the variants of a convolution where batch norm stands around it.

use burn::tensor::Device;

use super::{Buffer, Comparison, Found, Subject, convolutions, groups, scrambled};
use crate::kernels::{
    ConvPass, ConvShape, Surroundings, Variant,
    reference::{self, Conv},
};

const EPSILON: f32 = 1e-5;
/// The channels of the kernels that combine parts for each of 8.
const CHANNELS_AT_ONCE: usize = 8;
/// Numbers of positions and channels of features, and of positions of a part.
const FEATURES: [(usize, usize, usize); 4] = [(1, 1, 16), (50, 3, 16), (99, 10, 7), (300, 130, 16)];

/// Features (positions, C) whose channels are far from zero, next to how far they spread: their variance is easily lost in
/// rounding.
fn features(positions: usize, channels: usize, salt: u32) -> Vec<f32> {
    let centers = scrambled(channels, salt + 100);
    let values = scrambled(positions * channels, salt);
    values.iter().enumerate().map(|(at, value)| value + 30.0 * centers[at % channels]).collect()
}

/// The table of features, with a gamma and a beta.
fn table_of(x: &[f32], channels: usize) -> Vec<f32> {
    let parts = reference::norm_moments(x, channels, x.len());
    let (gamma, beta) = (scrambled(channels, 8), scrambled(channels, 9));
    reference::norm_table(&parts, &gamma, &beta, EPSILON)
}

/// A table for a gradient.
fn gradient_table_of(x: &[f32], channels: usize) -> Vec<f32> {
    let gradient = scrambled(x.len(), 7);
    let table = table_of(x, channels);
    let sums = reference::norm_gradient_sums(&gradient, x, &table, x.len());
    let [gradient_table, _, _] = reference::norm_gradient_table(&sums, &table, EPSILON);
    gradient_table
}

/// The number of workgroups that combine the parts of so many channels.
fn combining_groups(channels: usize) -> u32 {
    channels.div_ceil(CHANNELS_AT_ONCE) as u32
}

pub(super) async fn norm_moments(subject: &Subject<'_>) -> Found {
    let mut moments = subject.comparison("moments in parts, relative", 1e-5);
    for (positions, channels, rows) in FEATURES {
        let x = features(positions, channels, 1);
        let num_parts = positions.div_ceil(rows);
        let buffers = [Buffer::Values(&x), Buffer::Output(num_parts * (1 + 2 * channels))];
        let params = [positions, channels, rows].map(|size| size as u32);
        let [parts] = subject.run(groups(num_parts * channels), &buffers, &params).await?;
        moments.add_relative(&parts, &reference::norm_moments(&x, channels, rows));
    }
    Ok(vec![moments])
}

pub(super) async fn norm_table(subject: &Subject<'_>) -> Found {
    let mut tables = subject.comparison("tables of channels, relative", 1e-5);
    for (positions, channels, rows) in FEATURES {
        let mut parts = reference::norm_moments(&features(positions, channels, 1), channels, rows);
        // A part without positions, as a tile past the end has.
        parts.extend(vec![0.0; 1 + 2 * channels]);
        let (gamma, beta) = (scrambled(channels, 2), scrambled(channels, 3));
        let buffers = [
            Buffer::Values(&parts),
            Buffer::Values(&gamma),
            Buffer::Values(&beta),
            Buffer::Output(4 * channels),
        ];
        let num_parts = parts.len() / (1 + 2 * channels);
        let params = [num_parts as u32, channels as u32, EPSILON.to_bits()];
        let [table] = subject.run(combining_groups(channels), &buffers, &params).await?;
        let twin = reference::norm_table(&parts, &gamma, &beta, EPSILON);
        for (found, twin) in table.chunks(channels).zip(twin.chunks(channels)) {
            tables.add_relative(found, twin);
        }
    }
    Ok(vec![tables])
}

pub(super) async fn norm_apply(subject: &Subject<'_>) -> Found {
    let mut values = subject.comparison("normalised values, relative", 1e-5);
    for (positions, channels, _) in FEATURES {
        let x = features(positions, channels, 1);
        let table = table_of(&x, channels);
        let buffers = [Buffer::Values(&x), Buffer::Values(&table), Buffer::Output(x.len())];
        let params = [x.len() as u32, channels as u32];
        let [y] = subject.run(groups(x.len()), &buffers, &params).await?;
        values.add_relative(&y, &reference::norm_apply(&x, &table));
    }
    Ok(vec![values])
}

pub(super) async fn norm_gradient_sums(subject: &Subject<'_>) -> Found {
    let mut sums = subject.comparison("sums of gradients in parts, relative", 1e-5);
    for (positions, channels, rows) in FEATURES {
        let x = features(positions, channels, 1);
        let (gradient, table) = (scrambled(x.len(), 2), table_of(&x, channels));
        let num_parts = positions.div_ceil(rows);
        let buffers = [
            Buffer::Values(&gradient),
            Buffer::Values(&x),
            Buffer::Values(&table),
            Buffer::Output(num_parts * (1 + 2 * channels)),
        ];
        let params = [positions, channels, rows].map(|size| size as u32);
        let [parts] = subject.run(groups(num_parts * channels), &buffers, &params).await?;
        let twin = reference::norm_gradient_sums(&gradient, &x, &table, rows);
        sums.add_relative(&parts, &twin);
    }
    Ok(vec![sums])
}

pub(super) async fn norm_gradient_table(subject: &Subject<'_>) -> Found {
    let mut tables = subject.comparison("tables of gradients, relative", 1e-5);
    for (positions, channels, rows) in FEATURES {
        let x = features(positions, channels, 1);
        let (gradient, table) = (scrambled(x.len(), 2), table_of(&x, channels));
        let parts = reference::norm_gradient_sums(&gradient, &x, &table, rows);
        let buffers = [
            Buffer::Values(&parts),
            Buffer::Values(&table),
            Buffer::Output(4 * channels),
            Buffer::Output(channels),
            Buffer::Output(channels),
        ];
        let num_parts = parts.len() / (1 + 2 * channels);
        let params = [num_parts as u32, channels as u32, EPSILON.to_bits()];
        let found: [Vec<f32>; 3] =
            subject.run(combining_groups(channels), &buffers, &params).await?;
        let twins = reference::norm_gradient_table(&parts, &table, EPSILON);
        for (found, twin) in found.concat().chunks(channels).zip(twins.concat().chunks(channels)) {
            tables.add_relative(found, twin);
        }
    }
    Ok(vec![tables])
}

pub(super) async fn norm_input_gradient(subject: &Subject<'_>) -> Found {
    let mut gradients = subject.comparison("input gradients, relative", 1e-5);
    for (positions, channels, _) in FEATURES {
        let x = features(positions, channels, 1);
        let (gradient, other) = (scrambled(x.len(), 2), scrambled(x.len(), 3));
        let table = gradient_table_of(&x, channels);
        for other in [None, Some(&other[..])] {
            let buffers = [
                Buffer::Values(&gradient),
                Buffer::Values(&x),
                Buffer::Values(&table),
                Buffer::Values(other.unwrap_or(&[0.0])),
                Buffer::Output(x.len()),
            ];
            let params = [x.len() as u32, channels as u32, other.is_some().into()];
            let [found] = subject.run(groups(x.len()), &buffers, &params).await?;
            let twin = reference::norm_input_gradient(&gradient, &x, &table, other);
            gradients.add_relative(&found, &twin);
        }
    }
    Ok(vec![gradients])
}

/// A convolution of a block.
struct BlockCase {
    surroundings: Surroundings,
    conv: Conv,
    x: Vec<f32>,
    /// The table of the norm in front.
    table: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    residual: Vec<f32>,
    /// The gradient that comes from behind.
    gradient: Vec<f32>,
    /// The output, as the norm behind has it.
    output: Vec<f32>,
    /// The table of the gradient of the norm behind.
    gradient_table: Vec<f32>,
}

/// What is read by no kernel of these surroundings.
const PLACEHOLDER: [f32; 4] = [0.0; 4];

impl BlockCase {
    fn new(surroundings: Surroundings, conv: Conv) -> Self {
        let Conv { batch, height, width, inputs, outputs, kernel, stride, .. } = conv;
        let positions = batch * height.div_ceil(stride) * width.div_ceil(stride);
        let x = features(batch * height * width, inputs, 1);
        let output = features(positions, outputs, 5);
        Self {
            surroundings,
            conv,
            table: table_of(&x, inputs),
            x,
            weight: scrambled(kernel * kernel * inputs * outputs, 2),
            // Outputs far from zero.
            bias: scrambled(outputs, 3).iter().map(|value| 30.0 * value).collect(),
            residual: scrambled(positions * outputs, 4),
            gradient: scrambled(positions * outputs, 6),
            gradient_table: gradient_table_of(&output, outputs),
            output,
        }
    }

    fn is_first(&self) -> bool {
        self.surroundings == Surroundings::FirstOfBlock
    }

    /// The buffers of the norm behind, which stands only behind the first convolution.
    fn behind(&self) -> [Buffer<'_>; 2] {
        match self.is_first() {
            true => [Buffer::Values(&self.output), Buffer::Values(&self.gradient_table)],
            false => [Buffer::Values(&PLACEHOLDER), Buffer::Values(&PLACEHOLDER)],
        }
    }

    fn normalised(&self) -> Vec<f32> {
        reference::norm_apply(&self.x, &self.table)
    }

    /// The output of the convolution with its surroundings.
    fn twin_output(&self) -> Vec<f32> {
        let mut y =
            reference::conv_forward(&self.conv, &self.normalised(), &self.weight, &self.bias);
        if !self.is_first() {
            y.iter_mut().zip(&self.residual).for_each(|(y, residual)| *y += residual);
        }
        y
    }

    /// The gradient of the convolution alone.
    fn gradient_of_conv(&self) -> Vec<f32> {
        match self.is_first() {
            true => reference::norm_input_gradient(
                &self.gradient,
                &self.output,
                &self.gradient_table,
                None,
            ),
            false => self.gradient.clone(),
        }
    }

    fn shape(&self) -> ConvShape {
        convolutions::shape_of(&self.conv)
    }

    /// The output that a variant computes, and its moments in parts.
    async fn forward(&self, variant: &Variant, device: &Device) -> Result<[Vec<f32>; 2], String> {
        let (shape, pass) = (self.shape(), ConvPass::Forward);
        let num_parts = variant.num_result_parts(pass, &shape);
        let residual: &[f32] = if self.is_first() { &PLACEHOLDER } else { &self.residual };
        let buffers = [
            Buffer::Values(&self.x),
            Buffer::Values(&self.weight),
            Buffer::Values(&self.bias),
            Buffer::Output(self.output.len()),
            Buffer::Values(&self.table),
            Buffer::Values(residual),
            Buffer::Output(num_parts * (1 + 2 * shape.outputs)),
        ];
        self.run(variant, pass, (1, num_parts), &buffers, device).await
    }

    /// The gradient of the normalised input that a variant computes, and its sums in parts.
    async fn input_gradient(
        &self,
        variant: &Variant,
        device: &Device,
    ) -> Result<[Vec<f32>; 2], String> {
        let (shape, pass) = (self.shape(), ConvPass::InputGradient);
        let num_parts = variant.num_result_parts(pass, &shape);
        let turned = reference::conv_turn_weights(shape.inputs, shape.outputs, &self.weight);
        let [output, gradient_table] = self.behind();
        let buffers = [
            Buffer::Values(&self.gradient),
            Buffer::Values(&turned),
            Buffer::Values(&self.x),
            Buffer::Output(self.x.len()),
            Buffer::Values(&self.table),
            output,
            gradient_table,
            Buffer::Output(num_parts * (1 + 2 * shape.inputs)),
        ];
        self.run(variant, pass, (1, num_parts), &buffers, device).await
    }

    /// The gradients of bias and weights that a variant computes, all in one part.
    async fn weight_gradients(
        &self,
        variant: &Variant,
        device: &Device,
    ) -> Result<[Vec<f32>; 2], String> {
        let [output, gradient_table] = self.behind();
        let buffers = [
            Buffer::Values(&self.x),
            Buffer::Values(&self.gradient),
            Buffer::Output(self.bias.len()),
            Buffer::Output(self.weight.len()),
            Buffer::Values(&self.table),
            output,
            gradient_table,
        ];
        self.run(variant, ConvPass::WeightGradient, (1, 1), &buffers, device).await
    }

    async fn run<const N: usize>(
        &self,
        variant: &Variant,
        pass: ConvPass,
        (work_parts, num_parts): (usize, usize),
        buffers: &[Buffer<'_>],
        device: &Device,
    ) -> Result<[Vec<f32>; N], String> {
        let shape = self.shape();
        let subject = Subject { kernel: variant.kernel(pass, &shape, self.surroundings), device };
        let workgroups = variant.num_workgroups(pass, &shape, work_parts);
        subject.run(workgroups, buffers, &convolutions::params(&self.conv, num_parts)).await
    }
}

/// Both convolutions of blocks, at sizes that no tile divides, with and without loads of four.
fn cases() -> Vec<BlockCase> {
    use Surroundings::{FirstOfBlock, SecondOfBlock};
    let sizes = [
        (FirstOfBlock, (2, 9, 17), (8, 12), 3, 1),
        (FirstOfBlock, (3, 5, 7), (10, 3), 3, 1),
        (SecondOfBlock, (2, 9, 17), (8, 12), 3, 2),
        (SecondOfBlock, (1, 8, 8), (8, 12), 3, 1),
        (SecondOfBlock, (3, 5, 7), (1, 10), 1, 2),
    ];
    let case = |(surroundings, (batch, height, width), (inputs, outputs), kernel, stride)| {
        let negative_slope = 0.2;
        let conv = Conv { batch, height, width, inputs, outputs, kernel, stride, negative_slope };
        BlockCase::new(surroundings, conv)
    };
    sizes.map(case).into()
}

/// Compares everything that a variant computes in a block with the twins.
pub(super) async fn variant(variant: &Variant, device: &Device) -> Found {
    let comparison = |what, allowed| Comparison::new(variant.name, what, allowed);
    let cases = cases();
    if variant.computes(ConvPass::WeightGradient) {
        let mut weights = comparison("weight gradients beside batch norm, rel.", 1e-5);
        let mut biases = comparison("bias gradients there, relative", 1e-5);
        for case in &cases {
            let [bias, weight] = case.weight_gradients(variant, device).await?;
            let gradient = case.gradient_of_conv();
            let twin = reference::conv_weight_gradient(&case.conv, &case.normalised(), &gradient);
            weights.add_relative(&weight, &twin);
            let twin = reference::conv_bias_gradient(case.conv.outputs, &gradient);
            biases.add_relative(&bias, &twin);
        }
        return Ok(vec![weights, biases]);
    }
    let mut outputs = comparison("outputs beside batch norm, relative", 1e-5);
    let mut moments = comparison("their moments, relative", 1e-5);
    let mut gradients = comparison("input gradients there, relative", 1e-5);
    let mut sums = comparison("their sums, relative", 1e-5);
    for case in &cases {
        let Conv { inputs, outputs: channels, .. } = case.conv;
        let [y, parts] = case.forward(variant, device).await?;
        outputs.add_relative(&y, &case.twin_output());
        let table = |parts: &[f32]| {
            reference::norm_table(parts, &vec![1.0; channels], &vec![0.0; channels], EPSILON)
        };
        // Of the output that the device computed: rounding there is no error of the moments.
        let twin = table(&reference::norm_moments(&y, channels, y.len()));
        for (found, twin) in table(&parts).chunks(channels).zip(twin.chunks(channels)) {
            moments.add_relative(found, twin);
        }
        let [x_gradient, parts] = case.input_gradient(variant, device).await?;
        let gradient = case.gradient_of_conv();
        let normalised = case.normalised();
        let twin = reference::conv_input_gradient(&case.conv, &gradient, &case.weight, &normalised);
        gradients.add_relative(&x_gradient, &twin);
        let twin = reference::norm_gradient_sums(&x_gradient, &case.x, &case.table, case.x.len());
        let [_, found @ ..] = reference::norm_gradient_table(&parts, &case.table, EPSILON);
        let [_, twin @ ..] = reference::norm_gradient_table(&twin, &case.table, EPSILON);
        for (found, twin) in found.concat().chunks(inputs).zip(twin.concat().chunks(inputs)) {
            sums.add_relative(found, twin);
        }
    }
    Ok(vec![outputs, moments, gradients, sums])
}
