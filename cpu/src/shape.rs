//! The sizes of the layers.

/// The largest stride for which `OUTSIDE` in `shaders/conv_common.wgsl` stays outside.
const MAX_STRIDE: usize = 15;

/// The sizes of one convolution with an odd kernel k and padding k/2.
#[derive(Clone, Copy, Debug)]
pub struct ConvShape {
    /// The number of images.
    pub batch: usize,
    /// The height of the input.
    pub height: usize,
    /// The width of the input.
    pub width: usize,
    /// The channels of the input.
    pub inputs: usize,
    /// The channels of the output.
    pub outputs: usize,
    /// The kernel size k.
    pub kernel: usize,
    /// The step between output positions, in both directions.
    pub stride: usize,
}

impl ConvShape {
    /// The sizes of a convolution of inputs (N, H, W, C) with weights (k, k, inputs, outputs).
    ///
    /// # Panics
    /// Panics if the sizes do not fit each other, if k is even, or if the stride is not from 1 to 15.
    pub fn new(x: [usize; 4], weight: [usize; 4], stride: usize) -> Self {
        let [batch, height, width, inputs] = x;
        let [kernel, kernel_width, weight_inputs, outputs] = weight;
        assert!(
            weight_inputs == inputs
                && kernel == kernel_width
                && kernel % 2 == 1
                && (1..=MAX_STRIDE).contains(&stride),
            "a convolution of inputs {x:?} (N, H, W, C) with weights {weight:?} and stride {stride}"
        );
        Self { batch, height, width, inputs, outputs, kernel, stride }
    }

    /// The height and the width of the output.
    pub fn output_size(&self) -> [usize; 2] {
        [self.height.div_ceil(self.stride), self.width.div_ceil(self.stride)]
    }

    /// The number of output positions of one image.
    pub fn num_positions(&self) -> usize {
        self.output_size().iter().product()
    }

    /// The number of places of the kernel, k².
    pub fn num_taps(&self) -> usize {
        self.kernel * self.kernel
    }

    /// The number of input values that one output position depends on.
    pub fn patch_len(&self) -> usize {
        self.num_taps() * self.inputs
    }

    /// The number of values of one input image.
    pub fn image_len(&self) -> usize {
        self.height * self.width * self.inputs
    }

    /// The number of values of one output image.
    pub fn output_image_len(&self) -> usize {
        self.num_positions() * self.outputs
    }

    /// The number of values of all inputs.
    pub fn input_len(&self) -> usize {
        self.batch * self.image_len()
    }

    /// The number of values of all outputs.
    pub fn output_len(&self) -> usize {
        self.batch * self.output_image_len()
    }

    /// The number of multiplications and additions of a pass: the forward one, or that of either gradient.
    pub fn flops(&self) -> u64 {
        2 * self.output_len() as u64 * self.patch_len() as u64
    }

    /// Whether it is a 1×1 convolution with stride 1.
    pub fn is_pointwise(&self) -> bool {
        self.kernel == 1 && self.stride == 1
    }
}

/// How a head reduces the features before its linear map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pooling {
    /// No reduction: every value, in the order (H, W, C).
    Flatten,
    /// Average pooling: the mean of each channel over all positions.
    Average,
}

/// The sizes of one head.
#[derive(Clone, Copy, Debug)]
pub struct HeadShape {
    /// The number of images.
    pub batch: usize,
    /// The height of the features.
    pub height: usize,
    /// The width of the features.
    pub width: usize,
    /// The channels of the features.
    pub channels: usize,
    /// The number of classes.
    pub classes: usize,
    /// How the features are reduced first.
    pub pooling: Pooling,
}

impl HeadShape {
    /// The sizes of a head for features (N, H, W, C) with weights (inputs, classes).
    ///
    /// # Panics
    /// Panics if the sizes do not fit each other.
    pub fn new(x: [usize; 4], weight: [usize; 2], pooling: Pooling) -> Self {
        let [batch, height, width, channels] = x;
        let [inputs, classes] = weight;
        let shape = Self { batch, height, width, channels, classes, pooling };
        assert!(inputs == shape.inputs(), "a head of features {x:?} with weights {weight:?}");
        shape
    }

    /// The number of inputs of the linear map, the rows of its weights.
    pub fn inputs(&self) -> usize {
        match self.pooling {
            Pooling::Flatten => self.image_len(),
            Pooling::Average => self.channels,
        }
    }

    /// The number of positions of the features.
    pub fn positions(&self) -> usize {
        self.height * self.width
    }

    /// The number of features of one image.
    pub fn image_len(&self) -> usize {
        self.positions() * self.channels
    }
}
