// Starts of chains: uniform noise on (-1, 1), as in JEM.
//
//   x = 2 * u - 1,   u ~ U(0, 1)
//
// Exact in f32, so the bits are the same on every adapter.
// Source: arXiv:1912.03263, section 4.
// Twin: reference::uniform_start

struct Params {
    len: u32,
    first_element: u32,
    step: u32,
    stream: u32,
    seed_low: u32,
    seed_high: u32,
}

@group(0) @binding(0) var<storage, read_write> x: array<f32>; // (N, C, H, W)
@group(0) @binding(1) var<uniform> params: Params;

@compute @workgroup_size(256)
fn uniform_start(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) num_groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let element = flat_workgroup(group, num_groups) * WORKGROUP_SIZE + local;
    if element >= params.len {
        return;
    }
    let draw = params.first_element + element;
    let counter = vec4<u32>(draw / 4u, params.step, params.stream, 0u);
    let bits = philox_4x32(counter, vec2<u32>(params.seed_low, params.seed_high));
    x[element] = 2.0 * unit_interval(bits)[draw % 4u] - 1.0;
}
