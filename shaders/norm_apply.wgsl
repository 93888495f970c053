// Batch norm of x, with the table of its channels.
//
//   y[i, c] = (x[i, c] - mean) scale + shift
//
// One invocation per element.
// Source: arXiv:1502.03167.
// Twin: reference::norm_apply

struct Params {
    len: u32,
    channels: u32,
}

@group(0) @binding(0) var<storage, read_write> x: array<f32>;     // (N, H, W, C)
@group(0) @binding(1) var<storage, read_write> table: array<f32>; // (4, C), see norm_table
@group(0) @binding(2) var<storage, read_write> y: array<f32>;     // (N, H, W, C)
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(256)
fn norm_apply(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) num_groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let element = flat_workgroup(group, num_groups) * WORKGROUP_SIZE + local;
    if element >= params.len {
        return;
    }
    let channels = params.channels;
    let channel = element % channels;
    y[element] = fma(x[element] - table[channel], table[channels + channel], table[2u * channels + channel]);
}
