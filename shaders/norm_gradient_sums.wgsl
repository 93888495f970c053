// The sums that the gradients of batch norm need, in parts: of each part, the number of its positions, and of each channel
// there the sum of the gradient of y, and of that gradient times the distance of x from its mean.
//
//   parts[p, 0] = number of positions i in part p
//   parts[p, 1 + c] = sum over i of gradient[i, c]
//   parts[p, 1 + C + c] = sum over i of gradient[i, c] (x[i, c] - mean)
//
// One invocation per part and channel.
// Source: arXiv:1502.03167, section 3.
// Twin: reference::norm_gradient_sums

struct Params {
    num_positions: u32,
    channels: u32,
    rows: u32, // positions of a part
}

@group(0) @binding(0) var<storage, read_write> gradient: array<f32>; // (N, H, W, C)
@group(0) @binding(1) var<storage, read_write> x: array<f32>;        // (N, H, W, C)
@group(0) @binding(2) var<storage, read_write> table: array<f32>;    // (4, C), see norm_table
@group(0) @binding(3) var<storage, read_write> parts: array<f32>;    // (parts, 1 + 2 C)
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(256)
fn norm_gradient_sums(
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
    let mean = table[channel];
    var plain = 0.0;
    var weighted = 0.0;
    for (var position = begin; position < end; position += 1u) {
        let at = position * params.channels + channel;
        plain += gradient[at];
        weighted = fma(gradient[at], x[at] - mean, weighted);
    }
    let row = part * (1u + 2u * params.channels);
    if channel == 0u {
        parts[row] = f32(end - begin);
    }
    parts[row + 1u + channel] = plain;
    parts[row + 1u + params.channels + channel] = weighted;
}
