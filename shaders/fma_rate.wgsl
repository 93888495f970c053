// Benchmark of the arithmetic speed of an adapter: fused multiply-adds in registers.
//
//   x <- x m + a, `rounds` times, on each of the 16 values of an invocation
//
// Source: arXiv:1907.06154, section 3 (register-resident micro-benchmarks).
// Twin: reference::fma_rate

struct Params {
    len: u32,
    rounds: u32,
    m: f32,
    a: f32,
}

@group(0) @binding(0) var<storage, read_write> x: array<vec4<f32>>; // (len / 4)
@group(0) @binding(1) var<uniform> params: Params;

@compute @workgroup_size(256)
fn fma_rate(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) num_groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let invocation = flat_workgroup(group, num_groups) * WORKGROUP_SIZE + local;
    if 16u * invocation >= params.len {
        return;
    }
    let at = 4u * invocation;
    let m = vec4<f32>(params.m);
    let a = vec4<f32>(params.a);
    var x_0 = x[at];
    var x_1 = x[at + 1u];
    var x_2 = x[at + 2u];
    var x_3 = x[at + 3u];
    for (var round = 0u; round < params.rounds; round += 1u) {
        x_0 = fma(x_0, m, a);
        x_1 = fma(x_1, m, a);
        x_2 = fma(x_2, m, a);
        x_3 = fma(x_3, m, a);
    }
    x[at] = x_0;
    x[at + 1u] = x_1;
    x[at + 2u] = x_2;
    x[at + 3u] = x_3;
}
