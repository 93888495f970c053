// What the kernels of a convolution share: parameters, bindings, and how they read and write.
//
// The same program computes a convolution and, with IS_GRADIENT, its gradient with respect to x. So the bindings are
// named by what the program does with them: it multiplies pixels of `source` with rows of `matrix`.
//
//   |                        | source        | matrix         | rest                   | result                   |
//   |------------------------|---------------|----------------|------------------------|--------------------------|
//   | convolution            | x             | weight         | bias                   | y                        |
//   | gradient of x          | gradient of y | turned weight  | see conv_norm_gradient | gradient of x            |
//   | gradient of the weight | x             | gradient of y  | bias gradient in parts | weight gradient in parts |
//
// What happens to a pixel after it is read, and to a result before it is written, is in a file of its own, which also has the
// binding of `params` and more bindings: conv_plain or conv_plain_weights, or where batch norm stands around the convolution,
// conv_norm_output, conv_norm_gradient or conv_norm_weights.
//
// Four neighbouring channels are a group. The host writes these lines in front:
//
//   alias Source = f32;       vec4<f32> where the channels of the source are a multiple of 4
//   const SOURCE_LANES = 1u;  4 with vec4<f32>
//   const SOURCE_GROUP = 4u;  the channels of the source where they are less than 4
//   alias Matrix = f32;       vec4<f32> where the channels of the result are a multiple of 4
//   const MATRIX_LANES = 1u;  4 with vec4<f32>
//   const RESULT_GROUP = 4u;  the channels of the result where they are less than 4
//   const IS_GRADIENT = false;
//
// Twin: cpu/src/reference/layers.rs

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
    num_parts: u32,      // of the gradient of the weights, of the statistics of the result, or of the signs: words
}

@group(0) @binding(0) var<storage, read_write> source: array<Source>; // (N, H, W, source channels)
@group(0) @binding(1) var<storage, read_write> matrix: array<Matrix>; // (rows, result channels)
@group(0) @binding(2) var<storage, read_write> rest: array<f32>;
@group(0) @binding(3) var<storage, read_write> result: array<f32>;

// A row or column that is outside of every image, also times a stride and with a tap added to it.
const OUTSIDE = 0x10000000u;

// Rows and columns of y.
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

// The result is divided into blocks of `block_size()` positions in each direction: one position, or in the gradient of
// x as many as the stride. Which taps reach a position depends on its spot in the block: its row and column there.
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

// Row and column of the pixel of the source that belongs to the block at `place`.
fn block_pixel(place: vec3<u32>) -> vec2<u32> {
    return place.yz * select(params.stride, 1u, IS_GRADIENT);
}

// The first tap that reaches a spot. The others follow in steps of `block_size()`.
fn first_tap(spot: vec2<u32>) -> vec2<u32> {
    return (params.kernel / 2u + block_size() - spot) % block_size();
}

// The pixel that the first tap reads for a spot, counted from the block's pixel. Negative numbers wrap around. The next
// tap reads the next pixel.
fn first_pixel(spot: vec2<u32>) -> vec2<u32> {
    let pad = params.kernel / 2u;
    return (spot + first_tap(spot) + (block_size() - 1u) * pad) / block_size() - pad;
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

// A group of the pixel that begins at element `pixel`, and 0 past the last channel.
fn read_source(pixel: u32, group: u32) -> vec4<f32> {
    let at = pixel + group * (4u / SOURCE_LANES);
    if SOURCE_LANES == 4u {
        return vec4<f32>(source[at]);
    }
    var value = vec4<f32>(0.0);
    for (var lane = 0u; lane < SOURCE_GROUP; lane += 1u) {
        let is_channel = 4u * group + lane < source_channels();
        // Here vec4<f32>(...) is four times the same.
        let read = vec4<f32>(source[select(at, at + lane, is_channel)]).x;
        value[lane] = select(0.0, read, is_channel);
    }
    return value;
}

// A group of the row that begins at element `row`. Past the last column, the last one again.
fn read_matrix(row: u32, group: u32) -> vec4<f32> {
    if MATRIX_LANES == 4u {
        return vec4<f32>(matrix[row + group]);
    }
    var value = vec4<f32>(0.0);
    for (var lane = 0u; lane < RESULT_GROUP; lane += 1u) {
        value[lane] = vec4<f32>(matrix[row + min(4u * group + lane, result_channels() - 1u)]).x;
    }
    return value;
}

// What the sums of a group of the result start from.
fn start(group: u32) -> vec4<f32> {
    var value = vec4<f32>(0.0);
    if !IS_GRADIENT {
        for (var lane = 0u; lane < RESULT_GROUP; lane += 1u) {
            value[lane] = rest[min(4u * group + lane, result_channels() - 1u)];
        }
    }
    return value;
}

// Adds the products of a group of a pixel with its rows of weights.
fn add_products(begin: vec4<f32>, value: vec4<f32>, rows: mat4x4<f32>) -> vec4<f32> {
    var sum = fma(rows[0], value.xxxx, begin);
    if SOURCE_GROUP > 1u {
        sum = fma(rows[1], value.yyyy, sum);
    }
    if SOURCE_GROUP > 2u {
        sum = fma(rows[2], value.zzzz, sum);
    }
    if SOURCE_GROUP > 3u {
        sum = fma(rows[3], value.wwww, sum);
    }
    return sum;
}

// Writes a group of the result whose first element is at `to`.
fn write_group(to: u32, group: u32, value: vec4<f32>) {
    for (var lane = 0u; lane < RESULT_GROUP; lane += 1u) {
        if MATRIX_LANES == 4u || 4u * group + lane < result_channels() {
            result[to + lane] = value[lane];
        }
    }
}

// Whether a spot of the block at `place` is a position of the result.
fn is_position(place: vec3<u32>, spot: vec2<u32>) -> bool {
    return all(place.yz * block_size() + spot < result_size());
}

// The first element of a group of the result, for a spot of the block at `place`.
fn result_at(place: vec3<u32>, spot: vec2<u32>, group: u32) -> u32 {
    let size = result_size();
    let position = place.yz * block_size() + spot;
    return ((place.x * size.x + position.x) * size.y + position.y) * result_channels() + 4u * group;
}
