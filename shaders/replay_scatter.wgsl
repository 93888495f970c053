// Writes one batch of chains back to its slots of the replay buffer, in place.
//
//   buffer[slots[n]] = x[n]
//
// The slots of one batch are distinct, so no two invocations write the same element.
// Source: arXiv:1912.03263, section 4.
// Twin: reference::replay_scatter

struct Params {
    len: u32,
    num_pixels: u32,
}

@group(0) @binding(0) var<storage, read_write> x: array<f32>;      // (N, D)
@group(0) @binding(1) var<storage, read_write> slots: array<u32>;  // (N)
@group(0) @binding(2) var<storage, read_write> buffer: array<f32>; // (capacity, D)
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(256)
fn replay_scatter(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) num_groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let element = flat_workgroup(group, num_groups) * WORKGROUP_SIZE + local;
    if element >= params.len {
        return;
    }
    let row = slots[element / params.num_pixels];
    buffer[row * params.num_pixels + element % params.num_pixels] = x[element];
}
