// Langevin update of every pixel: noise, gradient clamp and projection onto [-1, 1] in one pass.
//
//   d      = proximal_radius > 0 ? clamp(gradient, -proximal_radius, proximal_radius) : gradient
//   x_next = x - step_size * d + noise_std * xi,   xi ~ N(0, 1)
//   x_next = project ? clamp(x_next, -1, 1) : x_next
//
// A gradient or pixel that is NaN gives NaN. Units: x in [-1, 1]; gradient and proximal_radius in energy per unit of x.
// Without radius and projection, this is SGLD; with step_size = N * alpha, it is PYLD with an affine first layer.
// Source: arXiv:2109.09032, section 3; arXiv:1912.03263, equation 2.
// Twin: reference::proximal_step

struct Params {
    len: u32,
    step_size: f32,
    noise_std: f32,
    proximal_radius: f32,
    project: u32,
    first_element: u32,
    step: u32,
    stream: u32,
    seed_low: u32,
    seed_high: u32,
}

@group(0) @binding(0) var<storage, read_write> x: array<f32>;        // (N, C, H, W)
@group(0) @binding(1) var<storage, read_write> gradient: array<f32>; // (N, C, H, W)
@group(0) @binding(2) var<storage, read_write> x_next: array<f32>;   // (N, C, H, W)
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(256)
fn proximal_step(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) num_groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let element = flat_workgroup(group, num_groups) * WORKGROUP_SIZE + local;
    if element >= params.len {
        return;
    }
    var direction = gradient[element];
    if params.proximal_radius > 0.0 {
        direction = clamp_number(direction, -params.proximal_radius, params.proximal_radius);
    }
    var value = x[element] - params.step_size * direction;
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
