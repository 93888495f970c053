//! The Inception network whose features FID compares: Inception v3 as TensorFlow published it in 2015, in the layout of
//! its usual PyTorch port.
//!
//! # Source
//! Szegedy et al., arXiv:1512.00567. The network of FID (Heusel et al., arXiv:1706.08500) differs from later ones in its
//! pooling: averages do not count the padding, and the last block takes maxima instead of averages.

use std::collections::HashMap;

use burn::tensor::{
    Device, Tensor, TensorData,
    activation::relu,
    module::{avg_pool2d, conv2d, max_pool2d},
    ops::{AvgPoolOptions, ConvOptions, MaxPoolOptions},
};
use safetensors::{Dtype, SafeTensors};

/// The height and width to which images are brought.
const SIZE: usize = 299;
/// Added to the variance in every batch norm.
const NORM_EPSILON: f32 = 1e-3;

/// Why the content of a file is not this network, as a clause.
type Reason = String;

/// A convolution with batch norm folded into it, followed by ReLU.
struct Conv {
    /// Shape (outputs, inputs, kernel height, kernel width).
    weight: Tensor<4>,
    bias: Tensor<1>,
}

/// A convolution by its name within a block, and its kernel (height, width).
type Named = (&'static str, [usize; 2]);

/// The network without its classifier. The number of channels of each layer is that of its weights.
pub(super) struct Inception {
    convs: HashMap<String, Conv>,
}

impl Inception {
    /// Takes the weights from a safetensors file with the names of the PyTorch port, and folds each batch norm into its
    /// convolution.
    ///
    /// # Errors
    /// The file is no safetensors file, or a tensor has another type or shape than it should. Whether all layers are
    /// there shows in [`Inception::features`].
    pub(super) fn new(bytes: &[u8], device: &Device) -> Result<Self, Reason> {
        let file = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
        let mut convs = HashMap::new();
        for name in file.names() {
            let Some(layer) = name.strip_suffix(".conv.weight") else { continue };
            let (shape, mut weight) = tensor(&file, name)?;
            let shape: [usize; 4] =
                shape.try_into().map_err(|shape| format!("the shape of {name} is {shape:?}"))?;
            let outputs = shape[0];
            let per_output = |what: &str| {
                let name = format!("{layer}.bn.{what}");
                match tensor(&file, &name)? {
                    (shape, values) if shape == [outputs] => Ok(values),
                    (shape, _) => {
                        Err(format!("the shape of {name} is {shape:?} instead of [{outputs}]"))
                    }
                }
            };
            let [scale, mut bias] = [per_output("weight")?, per_output("bias")?];
            let [mean, variance] = [per_output("running_mean")?, per_output("running_var")?];
            let rows = weight.chunks_mut(shape[1..].iter().product::<usize>().max(1));
            for (output, row) in rows.enumerate() {
                let factor = scale[output] / (variance[output] + NORM_EPSILON).sqrt();
                row.iter_mut().for_each(|value| *value *= factor);
                bias[output] -= mean[output] * factor;
            }
            let weight = Tensor::from_data(TensorData::new(weight, shape), device);
            let bias = Tensor::from_data(TensorData::new(bias, [outputs]), device);
            convs.insert(layer.to_string(), Conv { weight, bias });
        }
        Ok(Self { convs })
    }

    /// The features (N, 2048) of images (N, 3, H, W) with values in [-1, 1], brought to 299 × 299 first.
    ///
    /// # Errors
    /// A layer is missing, or its shape does not fit the layer before it.
    pub(super) fn features(&self, x: Tensor<4>) -> Result<Tensor<2>, Reason> {
        let x = self.valid("Conv2d_1a_3x3", resized(x, SIZE), 2)?;
        let x = self.valid("Conv2d_2a_3x3", x, 1)?;
        let x = halved(self.same(("Conv2d_2b_3x3", [3, 3]), "", x)?);
        let x = self.same(("Conv2d_3b_1x1", [1, 1]), "", x)?;
        let mut x = halved(self.valid("Conv2d_4a_3x3", x, 1)?);
        for block in ["Mixed_5b", "Mixed_5c", "Mixed_5d"] {
            x = self.block_35(block, x)?;
        }
        let mut x = self.reduction_17("Mixed_6a", x)?;
        for block in ["Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"] {
            x = self.block_17(block, x)?;
        }
        let x = self.reduction_8("Mixed_7a", x)?;
        let x = self.block_8("Mixed_7b", x, average)?;
        let x = self.block_8("Mixed_7c", x, maximum)?;
        let [n, c, h, w] = x.dims();
        Ok(x.reshape([n, c, h * w]).mean_dim(2).squeeze_dim(2))
    }

    /// A block on 35 × 35 positions.
    fn block_35(&self, block: &str, x: Tensor<4>) -> Result<Tensor<4>, Reason> {
        let path = |layers: &[Named], x| self.path(block, layers, x);
        Ok(Tensor::cat(
            vec![
                path(&[("branch1x1", [1, 1])], x.clone())?,
                path(&[("branch5x5_1", [1, 1]), ("branch5x5_2", [5, 5])], x.clone())?,
                path(
                    &[
                        ("branch3x3dbl_1", [1, 1]),
                        ("branch3x3dbl_2", [3, 3]),
                        ("branch3x3dbl_3", [3, 3]),
                    ],
                    x.clone(),
                )?,
                path(&[("branch_pool", [1, 1])], average(x))?,
            ],
            1,
        ))
    }

    /// The block that goes from 35 × 35 to 17 × 17 positions.
    fn reduction_17(&self, block: &str, x: Tensor<4>) -> Result<Tensor<4>, Reason> {
        let double = [("branch3x3dbl_1", [1, 1]), ("branch3x3dbl_2", [3, 3])];
        let double = self.path(block, &double, x.clone())?;
        Ok(Tensor::cat(
            vec![
                self.valid(&format!("{block}.branch3x3"), x.clone(), 2)?,
                self.valid(&format!("{block}.branch3x3dbl_3"), double, 2)?,
                halved(x),
            ],
            1,
        ))
    }

    /// A block on 17 × 17 positions.
    fn block_17(&self, block: &str, x: Tensor<4>) -> Result<Tensor<4>, Reason> {
        let path = |layers: &[Named], x| self.path(block, layers, x);
        Ok(Tensor::cat(
            vec![
                path(&[("branch1x1", [1, 1])], x.clone())?,
                path(
                    &[("branch7x7_1", [1, 1]), ("branch7x7_2", [1, 7]), ("branch7x7_3", [7, 1])],
                    x.clone(),
                )?,
                path(
                    &[
                        ("branch7x7dbl_1", [1, 1]),
                        ("branch7x7dbl_2", [7, 1]),
                        ("branch7x7dbl_3", [1, 7]),
                        ("branch7x7dbl_4", [7, 1]),
                        ("branch7x7dbl_5", [1, 7]),
                    ],
                    x.clone(),
                )?,
                path(&[("branch_pool", [1, 1])], average(x))?,
            ],
            1,
        ))
    }

    /// The block that goes from 17 × 17 to 8 × 8 positions.
    fn reduction_8(&self, block: &str, x: Tensor<4>) -> Result<Tensor<4>, Reason> {
        let short = self.path(block, &[("branch3x3_1", [1, 1])], x.clone())?;
        let long =
            [("branch7x7x3_1", [1, 1]), ("branch7x7x3_2", [1, 7]), ("branch7x7x3_3", [7, 1])];
        let long = self.path(block, &long, x.clone())?;
        Ok(Tensor::cat(
            vec![
                self.valid(&format!("{block}.branch3x3_2"), short, 2)?,
                self.valid(&format!("{block}.branch7x7x3_4"), long, 2)?,
                halved(x),
            ],
            1,
        ))
    }

    /// A block on 8 × 8 positions, whose last branch begins with `pool`.
    fn block_8(
        &self,
        block: &str,
        x: Tensor<4>,
        pool: fn(Tensor<4>) -> Tensor<4>,
    ) -> Result<Tensor<4>, Reason> {
        let path = |layers: &[Named], x| self.path(block, layers, x);
        let short = path(&[("branch3x3_1", [1, 1])], x.clone())?;
        let long = path(&[("branch3x3dbl_1", [1, 1]), ("branch3x3dbl_2", [3, 3])], x.clone())?;
        Ok(Tensor::cat(
            vec![
                path(&[("branch1x1", [1, 1])], x.clone())?,
                path(&[("branch3x3_2a", [1, 3])], short.clone())?,
                path(&[("branch3x3_2b", [3, 1])], short)?,
                path(&[("branch3x3dbl_3a", [1, 3])], long.clone())?,
                path(&[("branch3x3dbl_3b", [3, 1])], long)?,
                path(&[("branch_pool", [1, 1])], pool(x))?,
            ],
            1,
        ))
    }

    /// Convolutions of a block one after the other, each keeping the size.
    fn path(&self, block: &str, layers: &[Named], x: Tensor<4>) -> Result<Tensor<4>, Reason> {
        let block = format!("{block}.");
        layers.iter().try_fold(x, |x, layer| self.same(*layer, &block, x))
    }

    /// A convolution with as many zeros around the image as keep its size.
    fn same(&self, (name, kernel): Named, block: &str, x: Tensor<4>) -> Result<Tensor<4>, Reason> {
        self.conv(&format!("{block}{name}"), kernel, x, 1, kernel.map(|size| size / 2))
    }

    /// A convolution with a 3 × 3 kernel and no zeros around the image.
    fn valid(&self, name: &str, x: Tensor<4>, stride: usize) -> Result<Tensor<4>, Reason> {
        self.conv(name, [3, 3], x, stride, [0, 0])
    }

    fn conv(
        &self,
        name: &str,
        kernel: [usize; 2],
        x: Tensor<4>,
        stride: usize,
        padding: [usize; 2],
    ) -> Result<Tensor<4>, Reason> {
        let Some(Conv { weight, bias }) = self.convs.get(name) else {
            return Err(format!("the tensor {name}.conv.weight is missing"));
        };
        let (found, inputs) = (weight.dims(), x.dims()[1]);
        if found[1..] != [inputs, kernel[0], kernel[1]] || found[0] == 0 {
            return Err(format!(
                "the shape of {name}.conv.weight is {found:?} instead of [channels, {inputs}, {}, {}]",
                kernel[0], kernel[1]
            ));
        }
        let options = ConvOptions::new([stride, stride], padding, [1, 1], 1);
        Ok(relu(conv2d(x, weight.clone(), Some(bias.clone()), options)))
    }
}

/// The shape and the values of a tensor of a file.
fn tensor(file: &SafeTensors, name: &str) -> Result<(Vec<usize>, Vec<f32>), Reason> {
    let Ok(view) = file.tensor(name) else {
        return Err(format!("the tensor {name} is missing"));
    };
    if view.dtype() != Dtype::F32 {
        return Err(format!("the type of {name} is {:?} instead of F32", view.dtype()));
    }
    let (numbers, _) = view.data().as_chunks();
    let values: Vec<f32> = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    if values.iter().any(|value| !value.is_finite()) {
        return Err(format!("a value of {name} is not finite"));
    }
    Ok((view.shape().to_vec(), values))
}

/// The mean over 3 × 3 positions, without those beyond the border.
fn average(x: Tensor<4>) -> Tensor<4> {
    let options = AvgPoolOptions::new([3, 3]).with_stride([1, 1]).with_padding([1, 1]);
    avg_pool2d(x, options.with_count_include_pad(false))
}

/// The maximum over 3 × 3 positions.
fn maximum(x: Tensor<4>) -> Tensor<4> {
    max_pool2d(x, MaxPoolOptions::new([3, 3]).with_stride([1, 1]).with_padding([1, 1]))
}

/// The maximum over 3 × 3 positions at every second position.
fn halved(x: Tensor<4>) -> Tensor<4> {
    max_pool2d(x, MaxPoolOptions::new([3, 3]).with_stride([2, 2]))
}

/// Images (N, C, H, W) brought to `size` × `size` by bilinear interpolation between the centres of the pixels.
fn resized(x: Tensor<4>, size: usize) -> Tensor<4> {
    let [n, c, h, w] = x.dims();
    let device = x.device();
    let x = x.reshape([n * c * h, w]).matmul(interpolation(w, size, &device));
    let x = x.reshape([n * c, h, size]).swap_dims(1, 2).reshape([n * c * size, h]);
    let x = x.matmul(interpolation(h, size, &device));
    x.reshape([n * c, size, size]).swap_dims(1, 2).reshape([n, c, size, size])
}

/// The matrix (`from`, `to`) of linear interpolation from `from` to `to` positions.
fn interpolation(from: usize, to: usize, device: &Device) -> Tensor<2> {
    let mut weights = vec![0.0f32; from * to];
    for position in 0..to {
        // The centres of the pixels are half a pixel from their edges; beyond the outer centres, values are constant.
        let at = (position as f64 + 0.5) * from as f64 / to as f64 - 0.5;
        let at = at.clamp(0.0, (from - 1) as f64);
        let below = at.floor() as usize;
        let above = (below + 1).min(from - 1);
        let share = (at - below as f64) as f32;
        weights[below * to + position] += 1.0 - share;
        weights[above * to + position] += share;
    }
    Tensor::from_data(TensorData::new(weights, [from, to]), device)
}
