// Summary of a Langevin step per chain: gradient norm, share of clamped gradient components, share of saturated pixels.
//
//   summary[n] = (||gradient_n||_2, share of |gradient| >= proximal_radius, share of |x| >= 1)
//
// One workgroup per chain. A radius of 0 means no clamp; the second number is then 0. A NaN makes the norm NaN and counts
// in neither share. Units: the norm in energy per unit of x, the shares in [0, 1].
// Source: training health after arXiv:1903.12370.
// Twin: reference::chain_summary

struct Params {
    num_chains: u32,
    num_pixels: u32,
    proximal_radius: f32,
}

@group(0) @binding(0) var<storage, read_write> x: array<f32>;        // (N, D)
@group(0) @binding(1) var<storage, read_write> gradient: array<f32>; // (N, D)
@group(0) @binding(2) var<storage, read_write> summary: array<f32>;  // (N, 3)
@group(0) @binding(3) var<uniform> params: Params;

var<workgroup> partial: array<vec3<f32>, 256>;

fn reaches(value: f32, bound: f32) -> bool {
    return !is_nan(value) && abs(value) >= bound;
}

@compute @workgroup_size(256)
fn chain_summary(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) num_groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let chain = flat_workgroup(group, num_groups);
    var sum = vec3<f32>(0.0);
    if chain < params.num_chains {
        for (var pixel = local; pixel < params.num_pixels; pixel += WORKGROUP_SIZE) {
            let at = chain * params.num_pixels + pixel;
            let slope = gradient[at];
            sum.x += slope * slope;
            if params.proximal_radius > 0.0 && reaches(slope, params.proximal_radius) {
                sum.y += 1.0;
            }
            if reaches(x[at], 1.0) {
                sum.z += 1.0;
            }
        }
    }
    partial[local] = sum;
    workgroupBarrier();
    for (var stride = WORKGROUP_SIZE / 2u; stride > 0u; stride /= 2u) {
        if local < stride {
            partial[local] += partial[local + stride];
        }
        workgroupBarrier();
    }
    if local == 0u && chain < params.num_chains {
        let total = partial[0];
        let count = f32(params.num_pixels);
        summary[3u * chain] = sqrt(total.x);
        summary[3u * chain + 1u] = total.y / count;
        summary[3u * chain + 2u] = total.z / count;
    }
}
