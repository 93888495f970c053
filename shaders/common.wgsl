// Functions shared by all kernels: element addressing and counter-based noise.
//
// Noise is Philox-4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
// Its counter is (block, step, stream, 0) and its key is the 64-bit seed, each in separate words, so that neighbouring
// seeds, steps and streams give independent noise. One block gives four values: element e reads lane e % 4 of
// block e / 4. Elements are counted in the whole run, also where a tensor holds a part of its chains. The bits are the same on every adapter and on the CPU.
// Twin: cpu/src/reference/sampling.rs

const WORKGROUP_SIZE: u32 = 256u;

// Flat index of this invocation when the workgroups are tiled over x and y (past 65,535 of them).
fn flat_workgroup(group: vec3<u32>, num_groups: vec3<u32>) -> u32 {
    return group.y * num_groups.x + group.x;
}

// Whether `value` is a NaN. Its bits tell: a compiler may assume that there is no NaN, and then `value != value` is
// false.
fn is_nan(value: f32) -> bool {
    return (bitcast<u32>(value) & 0x7fffffffu) > 0x7f800000u;
}

// Where `value` is a NaN, that NaN; elsewhere `result`, a function of `value`. WGSL leaves open what clamp, min, max,
// exp and log make of a NaN. Some adapters make a number of it, and then nobody sees that a chain is broken.
fn keep_nan(value: f32, result: f32) -> f32 {
    return select(result, value, is_nan(value));
}

// Clamps `value` to [low, high]; a NaN stays NaN.
fn clamp_number(value: f32, low: f32, high: f32) -> f32 {
    return keep_nan(value, clamp(value, low, high));
}

// exp(value) and log(value); a NaN stays NaN.
fn exp_number(value: f32) -> f32 {
    return keep_nan(value, exp(value));
}

fn log_number(value: f32) -> f32 {
    return keep_nan(value, log(value));
}

// The 64-bit product a * b as two words: (high, low).
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

// Logarithms and angles are computed here and not with WGSL's log, sin and cos: WGSL allows these a large error, which
// SwiftShader really has, and after twenty steps the chains would be different.

// Natural logarithm of u in (0, 1): u = m * 2^e with m in [sqrt(1/2), sqrt(2)), and
// ln m = 2 artanh((m - 1) / (m + 1)) from its series, whose next term is below 1e-9.
fn log_unit(u: vec2<f32>) -> vec2<f32> {
    let bits = bitcast<vec2<i32>>(u);
    let exponent = (bits - vec2<i32>(0x3f3504f3)) >> vec2<u32>(23u);
    let mantissa = bitcast<vec2<f32>>(bits - (exponent << vec2<u32>(23u)));
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let square = s * s;
    let tail = square * (1.0 / 3.0 + square * (0.2 + square * (1.0 / 7.0 + square * (1.0 / 9.0))));
    return vec2<f32>(exponent) * 0.6931472 + 2.0 * (s + s * tail);
}

// (cos, sin) of 2 pi (u - 1/2), u in (0, 1): the nearest quarter turn, and the rest of at most an eighth of a turn with
// the Taylor series, whose next terms are below 3e-8.
fn unit_circle(u: f32) -> vec2<f32> {
    let turn = 4.0 * (u - 0.5);
    let quarter = floor(turn + 0.5);
    let r = (turn - quarter) * 1.5707964;
    let square = r * r;
    let sine = r * (1.0 - square * (1.0 / 6.0) * (1.0 - square * (1.0 / 20.0) * (1.0 - square * (1.0 / 42.0) * (1.0 - square * (1.0 / 72.0)))));
    let cosine = 1.0 - 0.5 * square * (1.0 - square * (1.0 / 12.0) * (1.0 - square * (1.0 / 30.0) * (1.0 - square * (1.0 / 56.0))));
    switch (i32(quarter) & 3) {
        case 0: { return vec2<f32>(cosine, sine); }
        case 1: { return vec2<f32>(-sine, cosine); }
        case 2: { return vec2<f32>(-cosine, -sine); }
        default: { return vec2<f32>(sine, -cosine); }
    }
}

// Four draws from N(0, 1): Box-Muller on the four words of one Philox block.
fn standard_normal_4(block: u32, step: u32, stream: u32, seed: vec2<u32>) -> vec4<f32> {
    let u = unit_interval(philox_4x32(vec4<u32>(block, step, stream, 0u), seed));
    let radius = sqrt(-2.0 * log_unit(u.xz));
    return vec4<f32>(radius.x * unit_circle(u.y), radius.y * unit_circle(u.w));
}

fn standard_normal(element: u32, step: u32, stream: u32, seed: vec2<u32>) -> f32 {
    return standard_normal_4(element / 4u, step, stream, seed)[element % 4u];
}
