// The gradient of head_energy with respect to its features.
//
//   x_gradient[n, p, c] = act'(x[n, p, c]) * share * row_scale[n] * sum over k of seed[n, k] weight[row, k]
//
// with row = c and share = 1 / P for average pooling, else row = (p, c) and share = 1. One invocation
// per element.
// Source: arXiv:1912.03263, section 3.
// Twin: reference::head_input_gradient

struct Params {
    batch: u32,
    positions: u32,
    channels: u32,
    classes: u32,
    average: u32,
    negative_slope: f32,
}

@group(0) @binding(0) var<storage, read_write> seed: array<f32>;       // (N, classes)
@group(0) @binding(1) var<storage, read_write> row_scale: array<f32>;  // (N)
@group(0) @binding(2) var<storage, read_write> weight: array<f32>;     // (C or P * C, classes)
@group(0) @binding(3) var<storage, read_write> signs: array<u32>;      // of x (N, P, C), see conv_plain
@group(0) @binding(4) var<storage, read_write> x_gradient: array<f32>; // (N, P, C)
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(256)
fn head_input_gradient(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) num_groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let element = flat_workgroup(group, num_groups) * WORKGROUP_SIZE + local;
    let image_len = params.positions * params.channels;
    if element >= params.batch * image_len {
        return;
    }
    let row = element / image_len;
    let input = select(element % image_len, element % params.channels, params.average == 1u);
    let share = select(1.0, 1.0 / f32(params.positions), params.average == 1u);
    var sum = 0.0;
    for (var class_ = 0u; class_ < params.classes; class_ += 1u) {
        sum += seed[row * params.classes + class_] * weight[input * params.classes + class_];
    }
    let is_positive = ((signs[element / 32u] >> (element % 32u)) & 1u) == 1u;
    let slope = select(params.negative_slope, 1.0, is_positive);
    x_gradient[element] = slope * share * row_scale[row] * sum;
}
