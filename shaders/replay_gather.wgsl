// Gathers the starts of one batch of chains: old chains from the replay buffer, or fresh ones.
//
//   x[n] = source[n] < capacity ? buffer[source[n]] : fresh[source[n] - capacity]
//
// Source: arXiv:1912.03263, section 4 (replay buffer with re-initialisation).
// Twin: reference::replay_gather

struct Params {
    len: u32,
    num_pixels: u32,
    capacity: u32,
}

@group(0) @binding(0) var<storage, read_write> buffer: array<f32>; // (capacity, D)
@group(0) @binding(1) var<storage, read_write> fresh: array<f32>;  // (F, D)
@group(0) @binding(2) var<storage, read_write> source: array<u32>; // (N)
@group(0) @binding(3) var<storage, read_write> x: array<f32>;      // (N, D)
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(256)
fn replay_gather(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) num_groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let element = flat_workgroup(group, num_groups) * WORKGROUP_SIZE + local;
    if element >= params.len {
        return;
    }
    let row = source[element / params.num_pixels];
    let pixel = element % params.num_pixels;
    if row < params.capacity {
        x[element] = buffer[row * params.num_pixels + pixel];
    } else {
        x[element] = fresh[(row - params.capacity) * params.num_pixels + pixel];
    }
}
