// Benchmark of the memory bandwidth of an adapter: a copy.
//
//   to = x
//
// One invocation copies four values.
// Source: McCalpin, "Memory bandwidth and machine balance", IEEE TCCA Newsletter 1995 (STREAM copy).
// Twin: reference::copy_rate

struct Params {
    len: u32,
}

@group(0) @binding(0) var<storage, read_write> x: array<vec4<f32>>;  // (len / 4)
@group(0) @binding(1) var<storage, read_write> to: array<vec4<f32>>; // (len / 4)
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(256)
fn copy_rate(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) num_groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let at = flat_workgroup(group, num_groups) * WORKGROUP_SIZE + local;
    if 4u * at < params.len {
        to[at] = x[at];
    }
}
