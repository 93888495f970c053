//! The kernels of convolutions, in each of their variants.

use burn::tensor::Device;
use jempp_cpu::reference::{self, Conv};

use super::{Buffer, Comparison, Found, Subject, groups, scrambled};
use crate::kernels::{CONV_WEIGHT_SUM, ConvPass, ConvShape, Surroundings, Variant};

/// The sizes of a convolution, as its variants take them.
pub(super) fn shape_of(conv: &Conv) -> ConvShape {
    let Conv { batch, height, width, inputs, outputs, kernel, stride, .. } = *conv;
    ConvShape { batch, height, width, inputs, outputs, kernel, stride }
}

/// The parameters of the kernels of a convolution.
pub(super) fn params(conv: &Conv, num_parts: usize) -> [u32; 9] {
    let Conv { batch, height, width, inputs, outputs, kernel, stride, negative_slope } = *conv;
    let sizes = [batch, height, width, inputs, outputs, kernel, stride];
    let [batch, height, width, inputs, outputs, kernel, stride] = sizes.map(|size| size as u32);
    let slope = negative_slope.to_bits();
    [batch, height, width, inputs, outputs, kernel, stride, slope, num_parts as u32]
}

/// A buffer that a kernel is bound to but does not read.
const NOTHING: Buffer = Buffer::Values(&[0.0; 4]);

/// A convolution of scrambled values.
pub struct ConvCase {
    /// The sizes.
    pub conv: Conv,
    /// The input (N, H, W, inputs).
    pub x: Vec<f32>,
    /// The weights (k, k, inputs, outputs).
    pub weight: Vec<f32>,
    /// The bias (outputs).
    pub bias: Vec<f32>,
    /// The gradient of the output.
    pub gradient: Vec<f32>,
}

impl ConvCase {
    /// A convolution of these sizes.
    pub fn new(conv: Conv) -> Self {
        let Conv { batch, height, width, inputs, outputs, kernel, stride, .. } = conv;
        let num_positions = batch * height.div_ceil(stride) * width.div_ceil(stride);
        let mut x = scrambled(batch * height * width * inputs, 1);
        // Zero has the slope of negative values.
        x[0] = 0.0;
        Self {
            conv,
            x,
            weight: scrambled(kernel * kernel * inputs * outputs, 2),
            bias: scrambled(outputs, 3),
            gradient: scrambled(num_positions * outputs, 4),
        }
    }

    /// The number of words that hold the signs of x; none without an activation, where nobody asks for them.
    fn num_sign_words(&self) -> usize {
        if self.conv.negative_slope == 1.0 { 0 } else { self.x.len().div_ceil(32) }
    }

    /// The output that a variant computes, and the signs of x.
    ///
    /// # Errors
    /// Why the device gave none.
    pub async fn forward(
        &self,
        variant: &Variant,
        device: &Device,
    ) -> Result<[Vec<f32>; 2], String> {
        let (shape, pass) = (shape_of(&self.conv), ConvPass::Forward);
        let num_words = self.num_sign_words();
        let subject = Subject { kernel: variant.kernel(pass, &shape, Surroundings::Plain), device };
        let buffers = [
            Buffer::Values(&self.x),
            Buffer::Values(&self.weight),
            Buffer::Values(&self.bias),
            Buffer::Output(self.gradient.len()),
            Buffer::Output(num_words),
        ];
        let workgroups = variant.num_workgroups(pass, &shape, 1);
        subject.run(workgroups, &buffers, &params(&self.conv, num_words)).await
    }

    /// The input gradient that a variant computes.
    ///
    /// # Errors
    /// Why the device gave none.
    pub async fn input_gradient(
        &self,
        variant: &Variant,
        device: &Device,
    ) -> Result<Vec<f32>, String> {
        let (shape, pass) = (shape_of(&self.conv), ConvPass::InputGradient);
        let subject = Subject { kernel: variant.kernel(pass, &shape, Surroundings::Plain), device };
        let turned = reference::conv_turn_weights(shape.inputs, shape.outputs, &self.weight);
        let signs = reference::signs(&self.x);
        let buffers = [
            Buffer::Values(&self.gradient),
            Buffer::Values(&turned),
            NOTHING,
            Buffer::Output(self.x.len()),
            if self.num_sign_words() == 0 { NOTHING } else { Buffer::Indices(&signs) },
        ];
        let workgroups = variant.num_workgroups(pass, &shape, 1);
        let [x_gradient] = subject.run(workgroups, &buffers, &params(&self.conv, 1)).await?;
        Ok(x_gradient)
    }

    /// The gradients of weights and bias that a variant computes in parts, and `conv_weight_sum` adds up.
    async fn weight_gradients(
        &self,
        variant: &Variant,
        device: &Device,
        num_parts: usize,
    ) -> Result<[Vec<f32>; 2], String> {
        let (shape, pass) = (shape_of(&self.conv), ConvPass::WeightGradient);
        let subject = Subject { kernel: variant.kernel(pass, &shape, Surroundings::Plain), device };
        let buffers = [
            Buffer::Values(&self.x),
            Buffer::Values(&self.gradient),
            Buffer::Output(num_parts * self.bias.len()),
            Buffer::Output(num_parts * self.weight.len()),
        ];
        let workgroups = variant.num_workgroups(pass, &shape, num_parts);
        let [bias_parts, weight_parts] =
            subject.run(workgroups, &buffers, &params(&self.conv, num_parts)).await?;
        let subject = Subject { kernel: &CONV_WEIGHT_SUM, device };
        add_up(&subject, &weight_parts, &bias_parts, num_parts).await
    }
}

/// Adds up the parts of the gradients of weights and bias on the device.
async fn add_up(
    subject: &Subject<'_>,
    weight_parts: &[f32],
    bias_parts: &[f32],
    num_parts: usize,
) -> Result<[Vec<f32>; 2], String> {
    let [weights, outputs] = [weight_parts, bias_parts].map(|parts| parts.len() / num_parts);
    let buffers = [
        Buffer::Values(weight_parts),
        Buffer::Values(bias_parts),
        Buffer::Output(weights),
        Buffer::Output(outputs),
    ];
    let params = [num_parts, weights, outputs].map(|size| size as u32);
    subject.run(groups(weights + outputs), &buffers, &params).await
}

/// Sizes that no tile divides, channels with and without loads of four, batches of 1 and more, all strides.
fn cases() -> Vec<ConvCase> {
    let sizes = [(1, 1, 1), (1, 5, 7), (3, 8, 8), (2, 9, 17)];
    // Each line in front of a variant is another program to compile, which takes most of the time: these are all kinds.
    let channels = [(3, 16), (16, 33), (10, 70), (8, 72)];
    let kernels = [(3, 1, 0.2), (3, 2, 0.2), (1, 1, 0.2), (1, 2, 1.0), (5, 3, 1.0)];
    let mut cases = Vec::new();
    for (index, (inputs, outputs)) in channels.into_iter().enumerate() {
        for (number, (kernel, stride, negative_slope)) in kernels.into_iter().enumerate() {
            let (batch, height, width) = sizes[(index + number) % sizes.len()];
            cases.push(ConvCase::new(Conv {
                batch,
                height,
                width,
                inputs,
                outputs,
                kernel,
                stride,
                negative_slope,
            }));
        }
    }
    cases
}

/// Compares everything that a variant computes with the twins.
pub(super) async fn variant(variant: &Variant, device: &Device) -> Found {
    let comparison = |what| Comparison::new(variant.name, what, 1e-5);
    let cases = cases();
    if variant.computes(ConvPass::WeightGradient) {
        let mut weights = comparison("weight gradients of 20 layers, relative");
        let mut biases = comparison("bias gradients, relative");
        for case in &cases {
            let twin = reference::conv_weight_gradient(&case.conv, &case.x, &case.gradient);
            let bias_twin = reference::conv_bias_gradient(case.conv.outputs, &case.gradient);
            for num_parts in [1, 3] {
                let [weight, bias] = case.weight_gradients(variant, device, num_parts).await?;
                weights.add_relative(&weight, &twin);
                biases.add_relative(&bias, &bias_twin);
            }
        }
        return Ok(vec![weights, biases]);
    }
    let mut outputs = comparison("outputs of 20 layers, relative");
    let mut signs = Comparison::new(variant.name, "signs of inputs, words that differ", 0.0);
    let mut gradients = comparison("input gradients, relative");
    for case in &cases {
        let ConvCase { conv, x, weight, bias, gradient } = case;
        let [y, words] = case.forward(variant, device).await?;
        outputs.add_relative(&y, &reference::conv_forward(conv, x, weight, bias));
        add_words(&mut signs, &words, &reference::signs(x));
        let x_gradient = case.input_gradient(variant, device).await?;
        let twin = reference::conv_input_gradient(conv, gradient, weight, x);
        gradients.add_relative(&x_gradient, &twin);
    }
    Ok(vec![outputs, signs, gradients])
}

/// Counts the words of a device, as values with these bits, that differ from those of the CPU.
pub(super) fn add_words(comparison: &mut Comparison, found: &[f32], expected: &[u32]) {
    let pairs = found.iter().zip(expected);
    let num_wrong = pairs.filter(|(found, expected)| found.to_bits() != **expected).count();
    comparison.add_difference(num_wrong as f32, found.len());
}

pub(super) async fn conv_weight_sum(subject: &Subject<'_>) -> Found {
    let mut sums = subject.comparison("sums of up to 5 parts", 1e-6);
    for (num_parts, weights, outputs) in [(1, 9, 1), (3, 250, 6), (5, 1000, 40)] {
        let parts =
            [(weights, 1), (outputs, 2)].map(|(len, salt)| scrambled(num_parts * len, salt));
        let found = add_up(subject, &parts[0], &parts[1], num_parts).await?;
        for (found, parts) in found.iter().zip(&parts) {
            let mut twin = vec![0.0; found.len()];
            for part in parts.chunks(found.len()) {
                twin.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
            }
            sums.add(found, &twin);
        }
    }
    Ok(vec![sums])
}

pub(super) async fn conv_turn_weights(subject: &Subject<'_>) -> Found {
    let mut turned = subject.comparison("turned weights, copied", 0.0);
    for (inputs, outputs, kernel) in [(1, 1, 1), (3, 5, 1), (7, 2, 3), (16, 40, 3)] {
        let weight = scrambled(kernel * kernel * inputs * outputs, 1);
        let buffers = [Buffer::Values(&weight), Buffer::Output(weight.len())];
        let params = [inputs, outputs, kernel].map(|size| size as u32);
        let [found] = subject.run(groups(weight.len()), &buffers, &params).await?;
        turned.add(&found, &reference::conv_turn_weights(inputs, outputs, &weight));
    }
    Ok(vec![turned])
}
