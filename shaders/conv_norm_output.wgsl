// How a convolution reads and writes where batch norm and LeakyReLU stand in front of it, and another batch norm behind.
//
//   source -> act((source - mean) scale + shift)
//   y -> y + residual, in the second convolution of a block
//
// It also writes the moments of y in parts, as norm_moments does. Each part is the positions that one invocation sums.
// Source: arXiv:1502.03167; Welford 1962, "Note on a method for calculating corrected sums of squares and products".
// Twin: reference::norm_apply, reference::conv_forward, reference::norm_moments
//
// The host writes IS_FIRST in front: whether it is the first convolution of a block.

@group(0) @binding(4) var<storage, read_write> table: array<Source>; // (4, inputs), see norm_table
@group(0) @binding(5) var<storage, read_write> residual: array<f32>; // like y, or a placeholder in the first convolution
@group(0) @binding(6) var<storage, read_write> parts: array<f32>;    // (parts, 1 + 2 * outputs)
@group(0) @binding(7) var<uniform> params: Params;

struct SourceMap {
    mean: vec4<f32>,
    scale: vec4<f32>,
    shift: vec4<f32>,
}

struct Tally {
    count: f32,
    mean: vec4<f32>,
    squares: vec4<f32>, // sum of the squared distances from the mean
}

// A group of a row of the table, and 0 past the last channel.
fn read_table(row: u32, group: u32) -> vec4<f32> {
    let at = row * pixel_len() + group * (4u / SOURCE_LANES);
    if SOURCE_LANES == 4u {
        return vec4<f32>(table[at]);
    }
    var value = vec4<f32>(0.0);
    for (var lane = 0u; lane < SOURCE_GROUP; lane += 1u) {
        let is_channel = 4u * group + lane < source_channels();
        value[lane] = select(0.0, vec4<f32>(table[select(at, at + lane, is_channel)]).x, is_channel);
    }
    return value;
}

fn source_map(group: u32) -> SourceMap {
    return SourceMap(read_table(0u, group), read_table(1u, group), read_table(2u, group));
}

fn load_source(map: SourceMap, pixel: u32, group: u32) -> vec4<f32> {
    return activated(fma(read_source(pixel, group) - map.mean, map.scale, map.shift));
}

// Batch norm needs x itself for its gradient.
fn keep_signs(workgroup: u32, num_groups: vec3<u32>, local: u32, invocations: u32) {
}

// Writes the sums of a group for a spot of the block at `place`, and counts them.
fn write_result(place: vec3<u32>, spot: vec2<u32>, group: u32, sum: vec4<f32>, tally: ptr<function, Tally>) {
    if !is_position(place, spot) {
        return;
    }
    let to = result_at(place, spot, group);
    var value = sum;
    if !IS_FIRST {
        for (var lane = 0u; lane < RESULT_GROUP; lane += 1u) {
            value[lane] += residual[to + min(lane, result_channels() - 1u - 4u * group)];
        }
    }
    write_group(to, group, value);
    (*tally).count += 1.0;
    let distance = value - (*tally).mean;
    (*tally).mean += distance / (*tally).count;
    (*tally).squares += distance * (value - (*tally).mean);
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
            parts[row + 1u + channel] = tally.mean[lane];
            parts[row + 1u + channels + channel] = tally.squares[lane];
        }
    }
}
