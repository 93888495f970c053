//! The variants of a convolution where batch norm stands around it, as in a residual block. The page has none of them.

use burn::tensor::Device;
use jempp_cpu::reference::{self, Conv};

use super::{
    Buffer, Comparison, Found, Subject, convolutions,
    norms::{EPSILON, features, gradient_table_of, table_of},
    scrambled,
};
use crate::kernels::{ConvPass, ConvShape, Surroundings, Variant};

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
