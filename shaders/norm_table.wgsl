// What batch norm does to each channel, from the moments of its input in parts.
//
//   mean, variance = moments of all parts together
//   table[0, c] = mean               table[1, c] = scale = gamma / sqrt(variance + epsilon)
//   table[2, c] = shift = beta       table[3, c] = variance
//
// so that y = (x - mean) scale + shift. 32 invocations combine the parts of a channel.
// Source: Chan, Golub & LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample variances";
// arXiv:1502.03167.
// Twin: reference::norm_table

struct Params {
    num_parts: u32,
    channels: u32,
    epsilon: f32,
}

@group(0) @binding(0) var<storage, read_write> parts: array<f32>; // (parts, 1 + 2 C), see norm_moments
@group(0) @binding(1) var<storage, read_write> gamma: array<f32>; // (C)
@group(0) @binding(2) var<storage, read_write> beta: array<f32>;  // (C)
@group(0) @binding(3) var<storage, read_write> table: array<f32>; // (4, C)
@group(0) @binding(4) var<uniform> params: Params;

const INVOCATIONS = 32u;
const CHANNELS = WORKGROUP_SIZE / INVOCATIONS;

struct Moments {
    count: f32,
    mean: f32,
    squares: f32,
}

var<workgroup> moments: array<Moments, WORKGROUP_SIZE>;

fn combined(one: Moments, two: Moments) -> Moments {
    let count = one.count + two.count;
    let share = select(0.0, two.count / count, count > 0.0);
    let distance = two.mean - one.mean;
    return Moments(
        count,
        one.mean + distance * share,
        one.squares + two.squares + distance * distance * one.count * share,
    );
}

@compute @workgroup_size(256)
fn norm_table(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) num_groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let channels = params.channels;
    let channel = flat_workgroup(group, num_groups) * CHANNELS + local % CHANNELS;
    let read_channel = min(channel, channels - 1u);
    var own = Moments(0.0, 0.0, 0.0);
    for (var part = local / CHANNELS; part < params.num_parts; part += INVOCATIONS) {
        let row = part * (1u + 2u * channels);
        let mean = parts[row + 1u + read_channel];
        own = combined(own, Moments(parts[row], mean, parts[row + 1u + channels + read_channel]));
    }
    moments[local] = own;
    workgroupBarrier();
    for (var half = WORKGROUP_SIZE / 2u; half >= CHANNELS; half /= 2u) {
        if local < half {
            moments[local] = combined(moments[local], moments[local + half]);
        }
        workgroupBarrier();
    }
    if local >= CHANNELS || channel >= channels {
        return;
    }
    let all = moments[local];
    let variance = all.squares / all.count;
    table[channel] = all.mean;
    table[channels + channel] = gamma[channel] / sqrt(variance + params.epsilon);
    table[2u * channels + channel] = beta[channel];
    table[3u * channels + channel] = variance;
}
