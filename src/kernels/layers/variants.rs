//! The variants of the convolution kernels. Each one is a file of `shaders/` and the constants that stand in front of it.
//!
//! A browser gets no `conv_broadcast.wgsl`: it would have to be told in the source that subgroups are used, and the page is
//! small.
//!
//! [`VARIANTS`] says the same as `shaders/variants.toml`, which the scripts in `benches/isa` read; a test compares them.

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{Mutex, PoisonError},
};

use super::{
    super::{Kernel, WORKGROUP_SIZE, text::shader},
    shape::ConvShape,
};

/// Which result of a convolution a kernel computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConvPass {
    /// The output.
    Forward,
    /// The gradient of the input.
    InputGradient,
    /// The gradients of weights and bias.
    WeightGradient,
}

impl ConvPass {
    /// All passes.
    pub const ALL: [Self; 3] = [Self::Forward, Self::InputGradient, Self::WeightGradient];
}

/// What stands around a convolution, and is computed with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Surroundings {
    /// No batch norm: LeakyReLU in front, or nothing.
    Plain,
    /// Batch norm and LeakyReLU in front, and another batch norm behind: the first convolution of a block.
    #[cfg(not(target_arch = "wasm32"))]
    FirstOfBlock,
    /// Batch norm and LeakyReLU in front; a residual is added to the output: the second convolution of a block.
    #[cfg(not(target_arch = "wasm32"))]
    SecondOfBlock,
}

impl Surroundings {
    /// All of them.
    #[cfg(not(target_arch = "wasm32"))]
    pub const ALL: [Self; 3] = [Self::Plain, Self::FirstOfBlock, Self::SecondOfBlock];

    /// The line that the host writes in front of the file of the surroundings.
    fn line(self) -> &'static str {
        match self {
            Self::Plain => "",
            #[cfg(not(target_arch = "wasm32"))]
            Self::FirstOfBlock => "const IS_FIRST = true;\n",
            #[cfg(not(target_arch = "wasm32"))]
            Self::SecondOfBlock => "const IS_FIRST = false;\n",
        }
    }

    /// The file that stands in front of that of a variant, and the names of all bindings.
    fn file(self, pass: ConvPass) -> (&'static str, &'static [&'static str]) {
        match (self, pass) {
            (Self::Plain, ConvPass::WeightGradient) => {
                (shader!("conv_plain_weights"), &["source", "matrix", "rest", "result", "params"])
            }
            (Self::Plain, _) => {
                (shader!("conv_plain"), &["source", "matrix", "rest", "result", "signs", "params"])
            }
            #[cfg(not(target_arch = "wasm32"))]
            (_, ConvPass::Forward) => (
                shader!("conv_norm_output"),
                &["source", "matrix", "rest", "result", "table", "residual", "parts", "params"],
            ),
            #[cfg(not(target_arch = "wasm32"))]
            (_, ConvPass::InputGradient) => (
                shader!("conv_norm_gradient"),
                &[
                    "source",
                    "matrix",
                    "rest",
                    "result",
                    "table",
                    "output",
                    "gradient_table",
                    "parts",
                    "params",
                ],
            ),
            #[cfg(not(target_arch = "wasm32"))]
            (_, ConvPass::WeightGradient) => (
                shader!("conv_norm_weights"),
                &[
                    "source",
                    "matrix",
                    "rest",
                    "result",
                    "table",
                    "output",
                    "gradient_table",
                    "params",
                ],
            ),
        }
    }
}

/// How a variant divides the work: which file of `shaders/` it is, and what its constants are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the files of `shaders/` describe their constants")]
pub enum Tile {
    /// `conv_product.wgsl`: a workgroup shares pixels and weights.
    Product { positions: u32, outputs: u32, inputs: u32, rows: u32, columns: u32 },
    /// `conv_direct.wgsl`: an invocation reads pixels and weights itself.
    Direct { rows: u32, columns: u32 },
    /// `conv_flat.wgsl`: the same without inner loops, at 8 positions an invocation.
    Flat { columns: u32 },
    /// `conv_broadcast.wgsl`: a subgroup shares pixels.
    #[cfg(not(target_arch = "wasm32"))]
    Broadcast { rows: u32 },
    /// `conv_weight_parts.wgsl`: the gradient of the weights, in parts.
    WeightParts { inputs: u32, outputs: u32, positions: u32, rows: u32, columns: u32 },
}

/// A variant of a convolution kernel: one way to divide the work among invocations. All variants compute the same.
///
/// Its name says how many sums an invocation keeps in registers: positions × outputs, or inputs × outputs of the weights.
#[derive(Debug, PartialEq, Eq)]
pub struct Variant {
    /// The name, for reports.
    pub name: &'static str,
    /// The file and its constants.
    pub tile: Tile,
}

macro_rules! variants {
    ($($(#[$attribute:meta])* $constant:ident = $name:literal, $tile:expr;)*) => {
        $($(#[$attribute])* pub(super) static $constant: Variant = Variant { name: $name, tile: $tile };)*
        /// Every variant. All but the one with subgroups need no more than WebGPU guarantees.
        pub static VARIANTS: &[&Variant] = &[$($(#[$attribute])* &$constant),*];
    };
}

variants! {
    PRODUCT_8X8 = "product-8x8",
        Tile::Product { positions: 64, outputs: 64, inputs: 8, rows: 8, columns: 2 };
    PRODUCT_8X8_LARGE = "product-8x8-large",
        Tile::Product { positions: 128, outputs: 128, inputs: 8, rows: 8, columns: 2 };
    PRODUCT_8X4 = "product-8x4",
        Tile::Product { positions: 128, outputs: 64, inputs: 16, rows: 8, columns: 1 };
    PRODUCT_4X4 = "product-4x4",
        Tile::Product { positions: 32, outputs: 32, inputs: 8, rows: 4, columns: 1 };
    PRODUCT_4X4_NARROW = "product-4x4-narrow",
        Tile::Product { positions: 64, outputs: 16, inputs: 16, rows: 4, columns: 1 };
    #[cfg(not(target_arch = "wasm32"))]
    BROADCAST_16X4 = "broadcast-16x4", Tile::Broadcast { rows: 16 };
    DIRECT_16X16 = "direct-16x16", Tile::Direct { rows: 16, columns: 4 };
    FLAT_8X8 = "flat-8x8", Tile::Flat { columns: 2 };
    FLAT_8X4 = "flat-8x4", Tile::Flat { columns: 1 };
    WEIGHT_8X8 = "weight-8x8",
        Tile::WeightParts { inputs: 64, outputs: 64, positions: 8, rows: 2, columns: 2 };
    WEIGHT_8X4 = "weight-8x4",
        Tile::WeightParts { inputs: 128, outputs: 64, positions: 16, rows: 2, columns: 1 };
    WEIGHT_4X4 = "weight-4x4",
        Tile::WeightParts { inputs: 32, outputs: 32, positions: 16, rows: 1, columns: 1 };
    WEIGHT_16X16 = "weight-16x16",
        Tile::WeightParts { inputs: 64, outputs: 64, positions: 8, rows: 4, columns: 4 };
    WEIGHT_16X8 = "weight-16x8",
        Tile::WeightParts { inputs: 64, outputs: 32, positions: 8, rows: 4, columns: 2 };
}

/// How a kernel reads or writes a tensor with a number of channels.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Channels {
    /// Values that are read at once.
    lanes: u32,
    /// Channels of a group of up to 4.
    group: u32,
}

impl Channels {
    fn of(channels: usize) -> Self {
        let lanes = if channels.is_multiple_of(4) { 4 } else { 1 };
        Self { lanes, group: channels.min(4) as u32 }
    }

    fn element(self) -> &'static str {
        if self.lanes == 4 { "vec4<f32>" } else { "f32" }
    }
}

/// What a kernel depends on, besides the variant: the channels of its source and its result, the pass, the surroundings.
type Front = (Channels, Channels, ConvPass, Surroundings);

/// The kernels that were needed so far. They are few: each variant has at most 96.
static MADE: Mutex<BTreeMap<(&str, Front), &Kernel>> = Mutex::new(BTreeMap::new());

impl Variant {
    /// The kernel that computes a pass of a layer with its surroundings.
    pub fn kernel(
        &self,
        pass: ConvPass,
        shape: &ConvShape,
        surroundings: Surroundings,
    ) -> &'static Kernel {
        let (source, result) = channels(pass, shape);
        let front = (Channels::of(source), Channels::of(result), pass, surroundings);
        let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        made.entry((self.name, front)).or_insert_with(|| Box::leak(Box::new(self.make(front))))
    }

    fn make(&self, (source, result, pass, surroundings): Front) -> Kernel {
        let is_gradient = pass == ConvPass::InputGradient;
        let (around, bindings) = surroundings.file(pass);
        let mut text = format!(
            "alias Source = {};
const SOURCE_LANES = {}u;
const SOURCE_GROUP = {}u;
alias Matrix = {};
const MATRIX_LANES = {}u;
const RESULT_GROUP = {}u;
const IS_GRADIENT = {is_gradient};
",
            source.element(),
            source.lanes,
            source.group,
            result.element(),
            result.lanes,
            result.group,
        );
        for (name, value) in self.tile.constants() {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "const {name} = {value}u;");
        }
        let shared = shader!("common", "conv_common");
        text.extend([surroundings.line(), shared, around, self.tile.text()]);
        Kernel {
            name: self.tile.file(),
            source: text.leak(),
            workgroup_size: self.tile.workgroup_size(),
            bindings,
            params: &[
                "batch",
                "height",
                "width",
                "inputs",
                "outputs",
                "kernel",
                "stride",
                "negative_slope",
                "num_parts",
            ],
        }
    }

    /// Whether the variant computes this pass.
    pub fn computes(&self, pass: ConvPass) -> bool {
        matches!(self.tile, Tile::WeightParts { .. }) == (pass == ConvPass::WeightGradient)
    }

    /// Whether the variant needs an adapter with subgroups of 8 or more.
    pub fn needs_subgroups(&self) -> bool {
        self.tile.file() == "conv_broadcast"
    }

    /// The number of workgroups for a pass of a layer. The positions of a weight gradient are divided into `num_parts`.
    pub fn num_workgroups(&self, pass: ConvPass, shape: &ConvShape, num_parts: usize) -> u32 {
        // Each pass has as many blocks (`conv_common.wgsl`) as there are output positions.
        let positions = shape.batch * shape.num_positions();
        let groups = channels(pass, shape).1.div_ceil(4);
        let count = match self.tile {
            Tile::Product { positions: rows, outputs: columns, .. } => {
                positions.div_ceil(rows as usize) * groups.div_ceil(columns as usize / 4)
            }
            Tile::Direct { rows, columns } => {
                let tiles = positions.div_ceil(rows as usize) * groups.div_ceil(columns as usize);
                tiles.div_ceil(WORKGROUP_SIZE as usize)
            }
            Tile::Flat { columns } => {
                let tiles = positions.div_ceil(FLAT_ROWS) * groups.div_ceil(columns as usize);
                tiles.div_ceil(WORKGROUP_SIZE as usize)
            }
            #[cfg(not(target_arch = "wasm32"))]
            Tile::Broadcast { rows } => {
                positions.div_ceil(rows as usize) * groups.div_ceil(BROADCAST_SIZE as usize)
            }
            Tile::WeightParts { inputs: rows, outputs: columns, .. } => {
                let input_groups = shape.num_taps() * shape.inputs.div_ceil(4);
                num_parts
                    * input_groups.div_ceil(rows as usize / 4)
                    * groups.div_ceil(columns as usize / 4)
            }
        };
        count as u32
    }

    /// The number of parts in which a kernel of a block writes the statistics of its result: one for the positions that
    /// an invocation sums.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn num_result_parts(&self, pass: ConvPass, shape: &ConvShape) -> usize {
        let positions = shape.batch * shape.num_positions();
        // The gradient of x has as many results for each output position.
        let spots = if pass == ConvPass::InputGradient { shape.stride.pow(2) } else { 1 };
        let parts = match self.tile {
            Tile::Product { positions: tile, rows, .. } => {
                positions.div_ceil(tile as usize) * (tile / rows) as usize
            }
            Tile::Direct { rows, .. } | Tile::Broadcast { rows } => {
                positions.div_ceil(rows as usize)
            }
            Tile::Flat { .. } => positions.div_ceil(FLAT_ROWS),
            Tile::WeightParts { .. } => 0,
        };
        spots * parts
    }
}

/// The channels of what a pass reads at pixels, and of its result.
fn channels(pass: ConvPass, shape: &ConvShape) -> (usize, usize) {
    match pass {
        ConvPass::Forward | ConvPass::WeightGradient => (shape.inputs, shape.outputs),
        ConvPass::InputGradient => (shape.outputs, shape.inputs),
    }
}

/// The number of positions that an invocation of `conv_flat.wgsl` sums.
const FLAT_ROWS: usize = 8;
/// The number of invocations per workgroup of `conv_broadcast.wgsl`.
#[cfg(not(target_arch = "wasm32"))]
const BROADCAST_SIZE: u32 = 16;

impl Tile {
    /// The name of the file without its extension, and of its entry point.
    pub fn file(self) -> &'static str {
        match self {
            Self::Product { .. } => "conv_product",
            Self::Direct { .. } => "conv_direct",
            Self::Flat { .. } => "conv_flat",
            #[cfg(not(target_arch = "wasm32"))]
            Self::Broadcast { .. } => "conv_broadcast",
            Self::WeightParts { .. } => "conv_weight_parts",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Product { .. } => shader!("conv_product"),
            Self::Direct { .. } => shader!("conv_direct"),
            Self::Flat { .. } => shader!("conv_flat"),
            #[cfg(not(target_arch = "wasm32"))]
            Self::Broadcast { .. } => shader!("conv_broadcast"),
            Self::WeightParts { .. } => shader!("conv_weight_parts"),
        }
    }

    /// The constants that stand in front of the file, by name.
    pub fn constants(self) -> Vec<(&'static str, u32)> {
        const POSITIONS: &str = "TILE_POSITIONS";
        const OUTPUTS: &str = "TILE_OUTPUTS";
        const INPUTS: &str = "TILE_INPUTS";
        const ROWS: &str = "ROWS";
        const COLUMNS: &str = "COLUMNS";
        match self {
            Self::Product { positions, outputs, inputs, rows, columns }
            | Self::WeightParts { inputs, outputs, positions, rows, columns } => vec![
                (POSITIONS, positions),
                (OUTPUTS, outputs),
                (INPUTS, inputs),
                (ROWS, rows),
                (COLUMNS, columns),
            ],
            Self::Direct { rows, columns } => vec![(ROWS, rows), (COLUMNS, columns)],
            Self::Flat { columns } => vec![(COLUMNS, columns)],
            #[cfg(not(target_arch = "wasm32"))]
            Self::Broadcast { rows } => vec![(ROWS, rows)],
        }
    }

    /// The number of invocations per workgroup.
    fn workgroup_size(self) -> u32 {
        match self {
            Self::Product { positions, outputs, rows, columns, .. } => {
                positions / rows * (outputs / 4 / columns)
            }
            Self::Direct { .. } | Self::Flat { .. } => WORKGROUP_SIZE,
            #[cfg(not(target_arch = "wasm32"))]
            Self::Broadcast { .. } => BROADCAST_SIZE,
            Self::WeightParts { inputs, outputs, rows, columns, .. } => {
                inputs / 4 / rows * (outputs / 4 / columns)
            }
        }
    }
}
