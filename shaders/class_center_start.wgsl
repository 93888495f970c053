// Starts of chains: a draw from the Gaussian of each chain's class, the informative start of JEM++.
//
//   x = clamp(mean_c + factor_c^T z + residual_std_c * xi, -1, 1),   z ~ N(0, I_k), xi ~ N(0, I_D)
//
// One workgroup computes 256 pixels of one chain; the k coordinates z are drawn once per workgroup, in tiles of 256. z
// uses the words of stream, xi those of stream + 1. Both are numbered by the chain's place in the whole run, so that the
// start of a chain does not depend on the other chains. A large set of classes is bound in parts, in one launch each: a launch leaves the
// chains of other classes alone, whose label is NO_CLASS.
// Source: arXiv:2109.09032, section 3.3 (full covariance there; truncated factor here).
// Twin: reference::class_center_start

struct Params {
    num_chains: u32,
    num_pixels: u32,
    num_components: u32,
    tiles_per_chain: u32,
    first_chain: u32,
    step: u32,
    stream: u32,
    seed_low: u32,
    seed_high: u32,
}

@group(0) @binding(0) var<storage, read_write> mean: array<f32>;         // (classes, D)
@group(0) @binding(1) var<storage, read_write> factor: array<f32>;       // (classes, k, D)
@group(0) @binding(2) var<storage, read_write> residual_std: array<f32>; // (classes, D)
@group(0) @binding(3) var<storage, read_write> labels: array<u32>;       // (N), of these classes or NO_CLASS
@group(0) @binding(4) var<storage, read_write> x: array<f32>;            // (N, D)
@group(0) @binding(5) var<uniform> params: Params;

const NO_CLASS = 0xffffffffu;

var<workgroup> coordinates: array<f32, 256>;

@compute @workgroup_size(256)
fn class_center_start(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) num_groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let flat = flat_workgroup(group, num_groups);
    // The workgroups of the last row of the tiling may lie past the end. They run too, without writing, because every
    // invocation must reach the barriers.
    let chain = min(flat / params.tiles_per_chain, params.num_chains - 1u);
    let pixel = (flat % params.tiles_per_chain) * WORKGROUP_SIZE + local;
    let class_index = labels[chain];
    let inside = flat < params.num_chains * params.tiles_per_chain
        && pixel < params.num_pixels && class_index != NO_CLASS;
    let place = params.first_chain + chain;
    let seed = vec2<u32>(params.seed_low, params.seed_high);

    var value = 0.0;
    for (var first = 0u; first < params.num_components; first += WORKGROUP_SIZE) {
        let component = first + local;
        let element = place * ((params.num_components + 3u) / 4u * 4u) + component;
        coordinates[local] = standard_normal(element, params.step, params.stream, seed);
        workgroupBarrier();
        if inside {
            let count = min(WORKGROUP_SIZE, params.num_components - first);
            let row = class_index * params.num_components + first;
            for (var j = 0u; j < count; j += 1u) {
                value += factor[(row + j) * params.num_pixels + pixel] * coordinates[j];
            }
        }
        workgroupBarrier();
    }
    if inside {
        let element = place * ((params.num_pixels + 3u) / 4u * 4u) + pixel;
        let xi = standard_normal(element, params.step, params.stream + 1u, seed);
        let at = class_index * params.num_pixels + pixel;
        value += mean[at] + residual_std[at] * xi;
        x[chain * params.num_pixels + pixel] = clamp_number(value, -1.0, 1.0);
    }
}
