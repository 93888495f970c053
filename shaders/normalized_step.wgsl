// Step of the same length for every chain: noise, the gradient over its norm, and projection onto [-1, 1] in one pass.
//
//   x_next = x - step_size * gradient / ||gradient_n||_2 + noise_std * xi,   xi ~ N(0, 1)
//   x_next = project ? clamp(x_next, -1, 1) : x_next
//
// The norm of chain n is the first number of its summary, see chain_summary.wgsl. Where it is 0, the chain moves by the
// noise alone; where it is NaN, the whole chain becomes NaN. Units: x and step_size in units of x.
// Source: arXiv:2510.13872 (DAT), without noise there.
// Twin: reference::normalized_step

struct Params {
    len: u32,
    num_pixels: u32,
    step_size: f32,
    noise_std: f32,
    project: u32,
    first_element: u32,
    step: u32,
    stream: u32,
    seed_low: u32,
    seed_high: u32,
}

@group(0) @binding(0) var<storage, read_write> x: array<f32>;        // (N, D)
@group(0) @binding(1) var<storage, read_write> gradient: array<f32>; // (N, D)
@group(0) @binding(2) var<storage, read_write> summary: array<f32>;  // (N, 3)
@group(0) @binding(3) var<storage, read_write> x_next: array<f32>;   // (N, D)
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(256)
fn normalized_step(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) num_groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let element = flat_workgroup(group, num_groups) * WORKGROUP_SIZE + local;
    if element >= params.len {
        return;
    }
    let norm = summary[3u * (element / params.num_pixels)];
    let scale = keep_nan(norm, select(params.step_size / norm, 0.0, norm == 0.0));
    var value = x[element] - scale * gradient[element];
    if params.noise_std > 0.0 {
        let seed = vec2<u32>(params.seed_low, params.seed_high);
        let xi = standard_normal(params.first_element + element, params.step, params.stream, seed);
        value += params.noise_std * xi;
    }
    if params.project != 0u {
        value = clamp_number(value, -1.0, 1.0);
    }
    x_next[element] = value;
}
