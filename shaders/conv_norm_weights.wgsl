// How the gradient of the weights reads where batch norm and LeakyReLU stand in front of the convolution.
//
//   source -> act((source - mean) scale + shift)
//   gradient -> a gradient + b (y - mean) + c, in the first convolution of a block, where another batch norm stands behind
//
// Source: arXiv:1502.03167, section 3.
// Twin: reference::norm_apply, reference::norm_input_gradient, reference::conv_weight_gradient
//
// The host writes IS_FIRST in front: whether it is the first convolution of a block.

@group(0) @binding(4) var<storage, read_write> table: array<Source>;          // (4, inputs), see norm_table
@group(0) @binding(5) var<storage, read_write> output: array<Matrix>;         // y, or a placeholder
@group(0) @binding(6) var<storage, read_write> gradient_table: array<Matrix>; // (4, outputs), see norm_gradient_table
@group(0) @binding(7) var<uniform> params: Params;

struct SourceMap {
    mean: vec4<f32>,
    scale: vec4<f32>,
    shift: vec4<f32>,
}

struct MatrixMap {
    mean: vec4<f32>,
    a: vec4<f32>,
    b: vec4<f32>,
    c: vec4<f32>,
}

// A group of a row of the table in front of the convolution. Past the last channel, anything: nobody uses it.
fn read_table(row: u32, group: u32) -> vec4<f32> {
    if SOURCE_LANES == 4u {
        return vec4<f32>(table[row * pixel_len() + group]);
    }
    var value = vec4<f32>(0.0);
    for (var lane = 0u; lane < SOURCE_GROUP; lane += 1u) {
        let channel = min(4u * group + lane, source_channels() - 1u);
        value[lane] = vec4<f32>(table[row * pixel_len() + channel]).x;
    }
    return value;
}

// A group of the row that begins at element `row` of the table behind the convolution, or of y, as read_matrix.
fn read_gradient_table(row: u32, group: u32) -> vec4<f32> {
    if MATRIX_LANES == 4u {
        return vec4<f32>(gradient_table[row + group]);
    }
    var value = vec4<f32>(0.0);
    for (var lane = 0u; lane < RESULT_GROUP; lane += 1u) {
        value[lane] = vec4<f32>(gradient_table[row + min(4u * group + lane, result_channels() - 1u)]).x;
    }
    return value;
}

fn read_output(row: u32, group: u32) -> vec4<f32> {
    if MATRIX_LANES == 4u {
        return vec4<f32>(output[row + group]);
    }
    var value = vec4<f32>(0.0);
    for (var lane = 0u; lane < RESULT_GROUP; lane += 1u) {
        value[lane] = vec4<f32>(output[row + min(4u * group + lane, result_channels() - 1u)]).x;
    }
    return value;
}

fn source_map(group: u32) -> SourceMap {
    return SourceMap(read_table(0u, group), read_table(1u, group), read_table(2u, group));
}

fn load_source(map: SourceMap, pixel: u32, group: u32) -> vec4<f32> {
    return activated(fma(read_source(pixel, group) - map.mean, map.scale, map.shift));
}

fn matrix_map(group: u32) -> MatrixMap {
    var map: MatrixMap;
    if IS_FIRST {
        map.mean = read_gradient_table(0u, group);
        map.a = read_gradient_table(row_len(), group);
        map.b = read_gradient_table(2u * row_len(), group);
        map.c = read_gradient_table(3u * row_len(), group);
    }
    return map;
}

fn load_matrix(map: MatrixMap, row: u32, group: u32) -> vec4<f32> {
    let gradient = read_matrix(row, group);
    if !IS_FIRST {
        return gradient;
    }
    return fma(map.a, gradient, fma(map.b, read_output(row, group) - map.mean, map.c));
}
