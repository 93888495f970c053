// Moments of the channels of x in parts: of each part, the number of its positions, and of each channel there the mean and
// the sum of the squared distances from it.
//
//   parts[p, 0] = number of positions i in part p
//   parts[p, 1 + c] = mean = mean over i of x[i, c]
//   parts[p, 1 + C + c] = sum over i of (x[i, c] - mean)^2
//
// One invocation per part and channel. It moves the mean with every value, so that a large mean costs no digits.
// Source: Welford 1962, "Note on a method for calculating corrected sums of squares and products".
// Twin: reference::norm_moments

struct Params {
    num_positions: u32,
    channels: u32,
    rows: u32, // positions of a part
}

@group(0) @binding(0) var<storage, read_write> x: array<f32>;     // (N, H, W, C)
@group(0) @binding(1) var<storage, read_write> parts: array<f32>; // (parts, 1 + 2 C)
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(256)
fn norm_moments(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) num_groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let element = flat_workgroup(group, num_groups) * WORKGROUP_SIZE + local;
    let channel = element % params.channels;
    let part = element / params.channels;
    let begin = part * params.rows;
    if begin >= params.num_positions {
        return;
    }
    let end = min(begin + params.rows, params.num_positions);
    var count = 0.0;
    var mean = 0.0;
    var squares = 0.0;
    for (var position = begin; position < end; position += 1u) {
        let value = x[position * params.channels + channel];
        let distance = value - mean;
        count += 1.0;
        mean += distance / count;
        squares += distance * (value - mean);
    }
    let row = part * (1u + 2u * params.channels);
    if channel == 0u {
        parts[row] = count;
    }
    parts[row + 1u + channel] = mean;
    parts[row + 1u + params.channels + channel] = squares;
}
