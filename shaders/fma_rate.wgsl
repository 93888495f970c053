// Benchmark of the arithmetic speed of an adapter: fused multiply-adds in registers.
//
//   x <- x m + a, eight times in each round, on each of the 16 values of an invocation
//
// The 16 values do not wait for each other, and the eight steps of a round are written out, so nearly all instructions of
// the loop are multiply-adds (benches/isa counts them). Neighbouring invocations hold neighbouring values.
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

fn multiply_add(values: mat4x4<f32>, m: vec4<f32>, a: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(fma(values[0], m, a), fma(values[1], m, a), fma(values[2], m, a), fma(values[3], m, a));
}

fn four_times(values: mat4x4<f32>, m: vec4<f32>, a: vec4<f32>) -> mat4x4<f32> {
    let twice = multiply_add(multiply_add(values, m, a), m, a);
    return multiply_add(multiply_add(twice, m, a), m, a);
}

@compute @workgroup_size(256)
fn fma_rate(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) num_groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let invocation = flat_workgroup(group, num_groups) * WORKGROUP_SIZE + local;
    let num_invocations = params.len / 16u;
    if invocation >= num_invocations {
        return;
    }
    let rounds = params.rounds;
    let m = vec4<f32>(params.m);
    let a = vec4<f32>(params.a);
    var values = mat4x4<f32>(
        x[invocation],
        x[invocation + num_invocations],
        x[invocation + 2u * num_invocations],
        x[invocation + 3u * num_invocations],
    );
    for (var round = 0u; round < rounds; round += 1u) {
        values = four_times(four_times(values, m, a), m, a);
    }
    x[invocation] = values[0];
    x[invocation + num_invocations] = values[1];
    x[invocation + 2u * num_invocations] = values[2];
    x[invocation + 3u * num_invocations] = values[3];
}
