// Accepts or rejects the Langevin proposal of each chain (MALA), so that the chain samples exactly p^beta.
//
//   log_ratio = beta * (E - E' + sum((g + g') * (2 * (x' - x) + step_size * (g - g'))) / 4)
//   accept    = log(u) < log_ratio,   u uniform on (0, 1)
//   x_next    = accept ? x' : x
//
// x' = x - step_size * g + noise_std * xi is the proposal, g and g' are the gradients at x and x', and beta = 2 *
// step_size / noise_std^2. The ratio is the one of Metropolis and Hastings, with the squares of the two proposal
// densities expanded, because their difference would lose digits. One workgroup per chain. Units: energies are
// unscaled; the data has x in [-1, 1].
// Source: Roberts & Tweedie, Bernoulli 2(4), 1996, section 1.4.
// Twin: reference::mala_accept

struct Params {
    num_chains: u32,
    num_pixels: u32,
    step_size: f32,
    inverse_temperature: f32,
    first_chain: u32,
    step: u32,
    stream: u32,
    seed_low: u32,
    seed_high: u32,
}

@group(0) @binding(0) var<storage, read_write> x: array<f32>;                 // (N, D)
@group(0) @binding(1) var<storage, read_write> gradient: array<f32>;          // (N, D)
@group(0) @binding(2) var<storage, read_write> proposal: array<f32>;          // (N, D)
@group(0) @binding(3) var<storage, read_write> proposal_gradient: array<f32>; // (N, D)
@group(0) @binding(4) var<storage, read_write> energies: array<f32>;          // (2, N): E, then E'
@group(0) @binding(5) var<storage, read_write> acceptance: array<f32>;        // (N, 2): 0 or 1, probability
@group(0) @binding(6) var<storage, read_write> x_next: array<f32>;            // (N, D)
@group(0) @binding(7) var<uniform> params: Params;

var<workgroup> partial: array<f32, 256>;

@compute @workgroup_size(256)
fn mala_accept(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) num_groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let chain = flat_workgroup(group, num_groups);
    let first = chain * params.num_pixels;
    var sum = 0.0;
    if chain < params.num_chains {
        for (var pixel = local; pixel < params.num_pixels; pixel += WORKGROUP_SIZE) {
            let at = first + pixel;
            let slope = gradient[at];
            let slope_there = proposal_gradient[at];
            let move_ = 2.0 * (proposal[at] - x[at]) + params.step_size * (slope - slope_there);
            sum += (slope + slope_there) * move_;
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
    if chain >= params.num_chains {
        return;
    }
    let change = energies[chain] - energies[params.num_chains + chain] + 0.25 * partial[0];
    let log_ratio = params.inverse_temperature * change;
    let seed = vec2<u32>(params.seed_low, params.seed_high);
    // The last word of the counter is 1 here; it is 0 for the noise of the proposal.
    let counter = vec4<u32>(params.first_chain + chain, params.step, params.stream, 1u);
    let bits = philox_4x32(counter, seed);
    // A proposal whose ratio is NaN is rejected.
    let is_number = !is_nan(log_ratio);
    let accepted = is_number && log_unit(unit_interval(bits).xx).x < log_ratio;
    for (var pixel = local; pixel < params.num_pixels; pixel += WORKGROUP_SIZE) {
        let at = first + pixel;
        if accepted {
            x_next[at] = proposal[at];
        } else {
            x_next[at] = x[at];
        }
    }
    if local == 0u {
        acceptance[2u * chain] = select(0.0, 1.0, accepted);
        acceptance[2u * chain + 1u] = select(0.0, exp(min(log_ratio, 0.0)), is_number);
    }
}
