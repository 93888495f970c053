//! The algorithms, each given by what one tile reads and writes along one side.

use super::ConvShape;

/// The number of rows, and of columns, of a filter in the transformed domain.
pub(super) const FILTER_SIDE: usize = 6;
/// The number of distinct matrices of filters.
pub(super) const NUM_FILTERS: usize = FILTER_SIDE * FILTER_SIDE;

/// One pass of minimal filtering over images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Algorithm {
    /// A convolution with stride 1, and its input gradient, which is another one: F(4×4, 3×3).
    Plain,
    /// A convolution with stride 2. The first and the last tap meet every second input, which makes F(4, 2); the middle
    /// tap meets the other inputs, and is multiplied as it is.
    Strided,
    /// The input gradient of a convolution with stride 2: every second output has two taps, F(4, 2), the others one.
    StridedBack,
}

/// What one tile of an algorithm covers, along one side.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    /// Zeros before the first input.
    pub border: usize,
    /// Inputs that a tile reads.
    pub inputs: usize,
    /// Inputs from the beginning of one tile to the beginning of the next.
    pub step: usize,
    /// Places of the element-wise product.
    pub places: usize,
    /// Outputs of a tile.
    pub outputs: usize,
}

impl Algorithm {
    /// The algorithm of a forward pass.
    pub(super) fn forward(shape: &ConvShape) -> Self {
        if shape.stride == 1 { Self::Plain } else { Self::Strided }
    }

    /// The algorithm of an input gradient.
    pub(super) fn backward(shape: &ConvShape) -> Self {
        if shape.stride == 1 { Self::Plain } else { Self::StridedBack }
    }

    pub(super) const fn sizes(self) -> Sizes {
        match self {
            Self::Plain => Sizes { border: 1, inputs: 6, step: 4, places: 6, outputs: 4 },
            Self::Strided => Sizes { border: 1, inputs: 9, step: 8, places: 9, outputs: 4 },
            Self::StridedBack => Sizes { border: 0, inputs: 5, step: 4, places: 9, outputs: 8 },
        }
    }

    /// The number of places of the element-wise product.
    pub(super) const fn num_places(self) -> usize {
        self.sizes().places * self.sizes().places
    }

    /// The filter that place number `place` is multiplied by. The places of the middle tap share one.
    pub(super) fn filter_at(self, place: usize) -> usize {
        let (i, j) = (place / self.sizes().places, place % self.sizes().places);
        i.min(FILTER_SIDE - 1) * FILTER_SIDE + j.min(FILTER_SIDE - 1)
    }
}
