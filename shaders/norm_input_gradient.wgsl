// The gradient of batch norm with respect to x, plus another gradient of x where there is one.
//
//   x_gradient[i, c] = a gradient[i, c] + b (x[i, c] - mean) + c + other[i, c]
//
// One invocation per element.
// Source: arXiv:1502.03167, section 3.
// Twin: reference::norm_input_gradient

struct Params {
    len: u32,
    channels: u32,
    has_other: u32,
}

@group(0) @binding(0) var<storage, read_write> gradient: array<f32>;       // (N, H, W, C), of y
@group(0) @binding(1) var<storage, read_write> x: array<f32>;              // (N, H, W, C)
@group(0) @binding(2) var<storage, read_write> gradient_table: array<f32>; // (4, C), see norm_gradient_table
@group(0) @binding(3) var<storage, read_write> other: array<f32>;          // (N, H, W, C), or a placeholder
@group(0) @binding(4) var<storage, read_write> x_gradient: array<f32>;     // (N, H, W, C)
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(256)
fn norm_input_gradient(
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
    let distance = x[element] - gradient_table[channel];
    let pull = fma(gradient_table[2u * channels + channel], distance, gradient_table[3u * channels + channel]);
    var sum = fma(gradient_table[channels + channel], gradient[element], pull);
    if params.has_other == 1u {
        sum += other[element];
    }
    x_gradient[element] = sum;
}
