// What the kernels of a convolution share: parameters, bindings, and how they read and write.
//
// The same program computes a convolution and its gradient with respect to x, with IS_GRADIENT. So the bindings are named
// by what the program does with them: it multiplies pixels of `source` with rows of `matrix`.
//
//   | kernel                 | source        | matrix                     | rest            | result            |
//   |------------------------|---------------|----------------------------|-----------------|-------------------|
//   | convolution            | x             | weight                     | bias            | y                 |
//   | its gradient           | gradient of y | weight, turned             | x               | gradient of x     |
//   | gradient of the weight | x             | gradient of y              | parts of bias's | parts of weight's |
//
// Twin: src/kernels/reference/layers.rs
//
// The host writes these lines in front:
//   alias Source = f32;       or vec4<f32> where the channels of the source are a multiple of 4
//   const SOURCE_LANES = 1u;  or 4u with vec4<f32>
//   alias Matrix = f32;       or vec4<f32> where the channels of the result are a multiple of 4
//   const MATRIX_LANES = 1u;  or 4u with vec4<f32>
//   const IS_GRADIENT = false;

// The sizes of the convolution, also for its gradient.
struct Params {
    batch: u32,
    height: u32,
    width: u32,
    inputs: u32,
    outputs: u32,
    kernel: u32,
    stride: u32,
    negative_slope: f32, // 1 where there is no activation
    num_parts: u32,      // of the gradient of the weights
}

@group(0) @binding(0) var<storage, read_write> source: array<Source>; // (N, H, W, source channels)
@group(0) @binding(1) var<storage, read_write> matrix: array<Matrix>; // (rows, result channels)
@group(0) @binding(2) var<storage, read_write> rest: array<f32>;
@group(0) @binding(3) var<storage, read_write> result: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

const LANES = vec4<u32>(0u, 1u, 2u, 3u);

fn output_size() -> vec2<u32> {
    return (vec2<u32>(params.height, params.width) + params.stride - 1u) / params.stride;
}

// Rows and columns of the source.
fn source_size() -> vec2<u32> {
    return select(vec2<u32>(params.height, params.width), output_size(), IS_GRADIENT);
}

// Rows and columns of the result.
fn result_size() -> vec2<u32> {
    return select(output_size(), vec2<u32>(params.height, params.width), IS_GRADIENT);
}

fn source_channels() -> u32 {
    return select(params.inputs, params.outputs, IS_GRADIENT);
}

fn result_channels() -> u32 {
    return select(params.outputs, params.inputs, IS_GRADIENT);
}

// The result is divided into blocks of `block_size()` positions in each direction. A position's place in its block says
// which taps reach it; without a gradient of a stride, all taps reach all positions.
fn block_size() -> u32 {
    return select(1u, params.stride, IS_GRADIENT);
}

fn block_grid() -> vec2<u32> {
    return (result_size() + block_size() - 1u) / block_size();
}

fn num_blocks() -> u32 {
    let grid = block_grid();
    return params.batch * grid.x * grid.y;
}

// Image, row and column of a block.
fn block_place(block: u32) -> vec3<u32> {
    let grid = block_grid();
    return vec3<u32>(block / (grid.x * grid.y), block / grid.y % grid.x, block % grid.y);
}

// The first row of taps that reaches row `place` of a block. The others follow in steps of a block's size.
fn first_tap(place: vec2<u32>) -> vec2<u32> {
    return (params.kernel / 2u + block_size() - place) % block_size();
}

// The pixel that the first tap reads at row and column `place` of a block, counted from the block's own pixel. A negative
// number wraps around.
fn first_pixel(place: vec2<u32>) -> vec2<u32> {
    let pad = params.kernel / 2u;
    return (place + first_tap(place) + (block_size() - 1u) * pad) / block_size() - pad;
}

// Row and column of a block's own pixel of the source.
fn block_pixel(block: vec3<u32>) -> vec2<u32> {
    return block.yz * select(params.stride, 1u, IS_GRADIENT);
}

fn activated(value: vec4<f32>) -> vec4<f32> {
    if IS_GRADIENT {
        return value;
    }
    return select(params.negative_slope * value, value, value > vec4<f32>(0.0));
}

// The number of elements of a pixel of the source.
fn pixel_len() -> u32 {
    return source_channels() / SOURCE_LANES;
}

// The number of elements of a row of the matrix.
fn row_len() -> u32 {
    return result_channels() / MATRIX_LANES;
}

// Four neighbouring channels of the pixel that begins at element `pixel`, and 0 past the last channel.
fn read_source(pixel: u32, group: u32) -> vec4<f32> {
    let at = pixel + group * (4u / SOURCE_LANES);
    if SOURCE_LANES == 4u {
        return vec4<f32>(source[at]);
    }
    // Here vec4<f32>(...) is four times the same.
    let lanes = min(LANES, vec4<u32>(source_channels() - 1u - 4u * group));
    let value = vec4<f32>(
        vec4<f32>(source[at]).x,
        vec4<f32>(source[at + lanes.y]).y,
        vec4<f32>(source[at + lanes.z]).z,
        vec4<f32>(source[at + lanes.w]).w,
    );
    return select(vec4<f32>(0.0), value, lanes == LANES);
}

// Four neighbouring columns of the row that begins at element `row`. Past the last column, the last one again.
fn read_matrix(row: u32, group: u32) -> vec4<f32> {
    if MATRIX_LANES == 4u {
        return vec4<f32>(matrix[row + group]);
    }
    let at = row + min(4u * group + LANES, vec4<u32>(result_channels() - 1u));
    return vec4<f32>(
        vec4<f32>(matrix[at.x]).x,
        vec4<f32>(matrix[at.y]).y,
        vec4<f32>(matrix[at.z]).z,
        vec4<f32>(matrix[at.w]).w,
    );
}

// What a sum for four neighbouring result channels starts from.
fn start(group: u32) -> vec4<f32> {
    if IS_GRADIENT {
        return vec4<f32>(0.0);
    }
    let at = min(4u * group + LANES, vec4<u32>(result_channels() - 1u));
    return vec4<f32>(rest[at.x], rest[at.y], rest[at.z], rest[at.w]);
}

// Adds the products of four channels of a pixel with their rows of weights.
fn add_products(sum: vec4<f32>, value: vec4<f32>, rows: mat4x4<f32>) -> vec4<f32> {
    let sum_2 = fma(rows[1], value.yyyy, fma(rows[0], value.xxxx, sum));
    return fma(rows[3], value.wwww, fma(rows[2], value.zzzz, sum_2));
}

// Writes four neighbouring result channels, from channel `channel` on, to the place `to` and after.
fn write_four(to: u32, channel: u32, value: vec4<f32>) {
    for (var lane = 0u; lane < 4u; lane += 1u) {
        if MATRIX_LANES == 4u || channel + lane < result_channels() {
            result[to + lane] = value[lane];
        }
    }
}

// Writes the sums for four neighbouring result channels at row and column `place` of a block.
fn write_result(block: vec3<u32>, place: vec2<u32>, group: u32, sum: vec4<f32>) {
    let size = result_size();
    let position = block.yz * block_size() + place;
    if any(position >= size) {
        return;
    }
    let channels = result_channels();
    let to = ((block.x * size.x + position.x) * size.y + position.y) * channels + 4u * group;
    var factor = vec4<f32>(1.0);
    // Without an activation, x may be a shorter placeholder.
    if IS_GRADIENT && params.negative_slope != 1.0 {
        let at = to + min(LANES, vec4<u32>(channels - 1u - 4u * group));
        let x = vec4<f32>(rest[at.x], rest[at.y], rest[at.z], rest[at.w]);
        factor = select(vec4<f32>(params.negative_slope), factor, x > vec4<f32>(0.0));
    }
    write_four(to, 4u * group, factor * sum);
}
