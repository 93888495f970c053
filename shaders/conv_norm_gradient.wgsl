// How the gradient of x reads and writes where batch norm and LeakyReLU stand in front of the convolution.
//
//   source -> a source + b (y - mean) + c, in the first convolution of a block, where another batch norm stands behind
//   result -> act'((x - mean) scale + shift) result, the gradient of the normalised x
//
// It also writes the sums in parts that the batch norm in front needs, as norm_gradient_sums does. Each part is the
// positions that one invocation sums.
// Source: arXiv:1502.03167, section 3.
// Twin: reference::norm_input_gradient, reference::conv_input_gradient, reference::norm_gradient_sums
//
// `rest` is x.
//
// The host writes IS_FIRST in front: whether it is the first convolution of a block.

@group(0) @binding(4) var<storage, read_write> table: array<f32>;             // (4, inputs), see norm_table
@group(0) @binding(5) var<storage, read_write> output: array<Source>;         // y, or a placeholder
@group(0) @binding(6) var<storage, read_write> gradient_table: array<Source>; // (4, outputs), see norm_gradient_table
@group(0) @binding(7) var<storage, read_write> parts: array<f32>;             // (parts, 1 + 2 * inputs)
@group(0) @binding(8) var<uniform> params: Params;

struct SourceMap {
    mean: vec4<f32>,
    a: vec4<f32>,
    b: vec4<f32>,
    c: vec4<f32>,
}

struct Tally {
    count: f32,
    plain: vec4<f32>,    // sum of the gradient
    weighted: vec4<f32>, // sum of the gradient times x - mean
}

// A group of a row of the table behind the convolution, and 0 past the last channel.
fn read_gradient_table(row: u32, group: u32) -> vec4<f32> {
    let at = row * pixel_len() + group * (4u / SOURCE_LANES);
    if SOURCE_LANES == 4u {
        return vec4<f32>(gradient_table[at]);
    }
    var value = vec4<f32>(0.0);
    for (var lane = 0u; lane < SOURCE_GROUP; lane += 1u) {
        let is_channel = 4u * group + lane < source_channels();
        value[lane] = select(0.0, vec4<f32>(gradient_table[select(at, at + lane, is_channel)]).x, is_channel);
    }
    return value;
}

// As read_source, of y.
fn read_output(pixel: u32, group: u32) -> vec4<f32> {
    let at = pixel + group * (4u / SOURCE_LANES);
    if SOURCE_LANES == 4u {
        return vec4<f32>(output[at]);
    }
    var value = vec4<f32>(0.0);
    for (var lane = 0u; lane < SOURCE_GROUP; lane += 1u) {
        let is_channel = 4u * group + lane < source_channels();
        value[lane] = select(0.0, vec4<f32>(output[select(at, at + lane, is_channel)]).x, is_channel);
    }
    return value;
}

fn source_map(group: u32) -> SourceMap {
    var map: SourceMap;
    if IS_FIRST {
        map.mean = read_gradient_table(0u, group);
        map.a = read_gradient_table(1u, group);
        map.b = read_gradient_table(2u, group);
        map.c = read_gradient_table(3u, group);
    }
    return map;
}

fn load_source(map: SourceMap, pixel: u32, group: u32) -> vec4<f32> {
    let gradient = read_source(pixel, group);
    if !IS_FIRST {
        return gradient;
    }
    return fma(map.a, gradient, fma(map.b, read_output(pixel, group) - map.mean, map.c));
}

// Batch norm needs x itself for its gradient.
fn keep_signs(workgroup: u32, num_groups: vec3<u32>, local: u32, invocations: u32) {
}

// Writes the sums of a group for a spot of the block at `place`, and counts them.
fn write_result(place: vec3<u32>, spot: vec2<u32>, group: u32, sum: vec4<f32>, tally: ptr<function, Tally>) {
    if !is_position(place, spot) {
        return;
    }
    let channels = result_channels();
    let to = result_at(place, spot, group);
    var value = sum;
    var distance = vec4<f32>(0.0);
    for (var lane = 0u; lane < RESULT_GROUP; lane += 1u) {
        let step = min(lane, channels - 1u - 4u * group);
        let channel = 4u * group + step;
        distance[lane] = rest[to + step] - table[channel];
        let normalised = fma(distance[lane], table[channels + channel], table[2u * channels + channel]);
        value[lane] *= select(params.negative_slope, 1.0, normalised > 0.0);
    }
    write_group(to, group, value);
    (*tally).count += 1.0;
    (*tally).plain += value;
    (*tally).weighted = fma(value, distance, (*tally).weighted);
}

// Writes the statistics of the positions that this invocation has written.
fn write_part(part: u32, group: u32, tally: Tally) {
    if part >= params.num_parts {
        return;
    }
    let channels = result_channels();
    let row = part * (1u + 2u * channels);
    if group == 0u {
        parts[row] = tally.count;
    }
    for (var lane = 0u; lane < RESULT_GROUP; lane += 1u) {
        let channel = 4u * group + lane;
        if channel < channels {
            parts[row + 1u + channel] = tally.plain[lane];
            parts[row + 1u + channels + channel] = tally.weighted[lane];
        }
    }
}
