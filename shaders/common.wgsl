// Shared by every kernel: element addressing and counter-based noise.
//
// Noise is Philox-4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
// Its counter is (block, step, stream, 0) and its key the 64-bit seed, each in words of its own, so
// that neighbouring seeds, steps and streams share nothing. One block yields four values: element e
// reads lane e % 4 of block e / 4. The same bits come out on every adapter and on the CPU.
// Twin: src/kernels/reference.rs

const WORKGROUP_SIZE: u32 = 256u;

// Flat index of this invocation when the workgroups are tiled over x and y (past 65,535 of them).
fn flat_workgroup(group: vec3<u32>, num_groups: vec3<u32>) -> u32 {
    return group.y * num_groups.x + group.x;
}

// Both halves of the 64-bit product a * b: (high, low).
fn mul_wide(a: u32, b: u32) -> vec2<u32> {
    let a_low = a & 0xffffu;
    let a_high = a >> 16u;
    let b_low = b & 0xffffu;
    let b_high = b >> 16u;
    let low = a_low * b_low;
    let middle = a_high * b_low + (low >> 16u);
    let carry = a_low * b_high + (middle & 0xffffu);
    return vec2<u32>(a_high * b_high + (middle >> 16u) + (carry >> 16u), a * b);
}

fn philox_4x32(counter_in: vec4<u32>, key_in: vec2<u32>) -> vec4<u32> {
    var counter = counter_in;
    var key = key_in;
    for (var round = 0u; round < 10u; round += 1u) {
        let product_0 = mul_wide(0xd2511f53u, counter.x);
        let product_1 = mul_wide(0xcd9e8d57u, counter.z);
        counter = vec4<u32>(
            product_1.x ^ counter.y ^ key.x,
            product_1.y,
            product_0.x ^ counter.w ^ key.y,
            product_0.y,
        );
        key += vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
    }
    return counter;
}

// Uniform on (0, 1), exact in f32: the upper 23 bits plus one half.
fn unit_interval(bits: vec4<u32>) -> vec4<f32> {
    return (vec4<f32>(bits >> vec4<u32>(9u)) + 0.5) * 1.1920929e-7;
}

// Four draws from N(0, 1): Box-Muller on the four words of one Philox block.
fn standard_normal_4(block: u32, step: u32, stream: u32, seed: vec2<u32>) -> vec4<f32> {
    let u = unit_interval(philox_4x32(vec4<u32>(block, step, stream, 0u), seed));
    let radius = sqrt(-2.0 * log(u.xz));
    // The angle lies in [-pi, pi), where WGSL bounds the error of sin and cos.
    let angle = 6.2831855 * (u.yw - 0.5);
    return vec4<f32>(
        radius.x * cos(angle.x),
        radius.x * sin(angle.x),
        radius.y * cos(angle.y),
        radius.y * sin(angle.y),
    );
}

fn standard_normal(element: u32, step: u32, stream: u32, seed: vec2<u32>) -> f32 {
    return standard_normal_4(element / 4u, step, stream, seed)[element % 4u];
}
