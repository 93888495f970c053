// What the gradient of batch norm does to each channel, and the gradients of gamma and beta, from sums in parts.
//
//   count, plain, weighted = sums of all parts together;  r = 1 / sqrt(variance + epsilon)
//   gamma_gradient[c] = weighted r                        beta_gradient[c] = plain
//   gradient_table[0, c] = mean                           gradient_table[1, c] = a = scale
//   gradient_table[2, c] = b = -scale r^2 weighted / count
//   gradient_table[3, c] = c = -scale plain / count
//
// so that x_gradient = a gradient + b (x - mean) + c. 32 invocations add up the parts of a channel.
// Source: arXiv:1502.03167, section 3.
// Twin: reference::norm_gradient_table

struct Params {
    num_parts: u32,
    channels: u32,
    epsilon: f32,
}

@group(0) @binding(0) var<storage, read_write> parts: array<f32>;          // (parts, 1 + 2 C), see norm_gradient_sums
@group(0) @binding(1) var<storage, read_write> table: array<f32>;          // (4, C), see norm_table
@group(0) @binding(2) var<storage, read_write> gradient_table: array<f32>; // (4, C)
@group(0) @binding(3) var<storage, read_write> gamma_gradient: array<f32>; // (C)
@group(0) @binding(4) var<storage, read_write> beta_gradient: array<f32>;  // (C)
@group(0) @binding(5) var<uniform> params: Params;

const INVOCATIONS = 32u;
const CHANNELS = WORKGROUP_SIZE / INVOCATIONS;

// Number of positions, plain sum, weighted sum.
var<workgroup> sums: array<vec3<f32>, WORKGROUP_SIZE>;

@compute @workgroup_size(256)
fn norm_gradient_table(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) num_groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let channels = params.channels;
    let channel = flat_workgroup(group, num_groups) * CHANNELS + local % CHANNELS;
    let read_channel = min(channel, channels - 1u);
    var own = vec3<f32>(0.0);
    for (var part = local / CHANNELS; part < params.num_parts; part += INVOCATIONS) {
        let row = part * (1u + 2u * channels);
        own += vec3<f32>(parts[row], parts[row + 1u + read_channel], parts[row + 1u + channels + read_channel]);
    }
    sums[local] = own;
    workgroupBarrier();
    for (var half = WORKGROUP_SIZE / 2u; half >= CHANNELS; half /= 2u) {
        if local < half {
            sums[local] += sums[local + half];
        }
        workgroupBarrier();
    }
    if local >= CHANNELS || channel >= channels {
        return;
    }
    let all = sums[local];
    let scale = table[channels + channel];
    let inverse_std = 1.0 / sqrt(table[3u * channels + channel] + params.epsilon);
    gradient_table[channel] = table[channel];
    gradient_table[channels + channel] = scale;
    gradient_table[2u * channels + channel] = -scale * inverse_std * inverse_std * all.z / all.x;
    gradient_table[3u * channels + channel] = -scale * all.y / all.x;
    gamma_gradient[channel] = all.z * inverse_std;
    beta_gradient[channel] = all.y;
}
