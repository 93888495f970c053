// Energy of an analytic 2-D density, and its gradient, at N points.
//
//   mixture (form 0)  E = -log sum_k exp(t_k),  t_k = w_k - (a d0^2 + 2 b d0 d1 + c d1^2) / 2,  d = x - m_k
//   ring    (form 1)  E = (|x| - radius)^2 / (2 width^2)
//   banana  (form 2)  E = x0^2 / (2 along^2) + (x1 - bend x0^2 - shift)^2 / (2 across^2)
//   funnel  (form 3)  E = x1^2 / (2 along^2) + x0^2 / (2 s^2) + log s,   s = across exp(bend x1)
//                     (the exponent is cut at 30, far beyond the plane)
//
// For a mixture, the table has a row (w, m0, m1, a, b, c) per Gaussian: log weight with its normaliser, mean,
// precision.
// For the other forms, it has one row: (radius, width), (along, across, bend, shift), (along, across, bend).
// A coordinate that is NaN makes energy and gradient NaN.
// Units: energies at temperature 1; gradient in energy per unit of x.
// Source: banana after Haario et al., Computational Statistics 14, 1999; funnel after Neal, Annals of
// Statistics 31(3), 2003, section 8.
// Twin: reference::density_energy

struct Params {
    num_points: u32,
    form: u32,
    num_rows: u32,
}

@group(0) @binding(0) var<storage, read_write> x: array<f32>;        // (N, 2)
@group(0) @binding(1) var<storage, read_write> table: array<f32>;    // (rows, 6)
@group(0) @binding(2) var<storage, read_write> energy: array<f32>;   // (N)
@group(0) @binding(3) var<storage, read_write> gradient: array<f32>; // (N, 2)
@group(0) @binding(4) var<uniform> params: Params;

// (E, dE/dx0, dE/dx1) of a mixture, in one pass: the sum is rescaled when a larger term is found.
fn mixture_energy(point: vec2<f32>) -> vec3<f32> {
    var largest = -3.0e38;
    var total = 0.0;
    var slope = vec2<f32>(0.0);
    for (var row = 0u; row < params.num_rows; row += 1u) {
        let at = 6u * row;
        let d = point - vec2<f32>(table[at + 1u], table[at + 2u]);
        let pull = vec2<f32>(
            table[at + 3u] * d.x + table[at + 4u] * d.y,
            table[at + 4u] * d.x + table[at + 5u] * d.y,
        );
        let term = table[at] - 0.5 * dot(d, pull);
        if term > largest {
            let shrink = exp(max(largest - term, -80.0));
            total = total * shrink;
            slope = slope * shrink;
            largest = term;
        }
        let weight = exp_number(clamp_number(term - largest, -80.0, 0.0));
        total += weight;
        slope += weight * pull;
    }
    return vec3<f32>(-(largest + log_number(total)), slope / total);
}

// (E, dE/dx0, dE/dx1) at a point.
fn energy_at(point: vec2<f32>) -> vec3<f32> {
    switch params.form {
        case 0u: {
            return mixture_energy(point);
        }
        case 1u: {
            let size = max(length(point), 1e-6);
            let off = (size - table[0]) / (table[1] * table[1]);
            return vec3<f32>(0.5 * off * (size - table[0]), off * point / size);
        }
        case 2u: {
            let off = point.y - table[2] * point.x * point.x - table[3];
            let pull = off / (table[1] * table[1]);
            let along = point.x / (table[0] * table[0]);
            return vec3<f32>(
                0.5 * (point.x * along + off * pull),
                along - 2.0 * table[2] * point.x * pull,
                pull,
            );
        }
        default: {
            let size = table[1] * exp(clamp(table[2] * point.y, -30.0, 30.0));
            let ratio = point.x / size;
            let along = point.y / (table[0] * table[0]);
            return vec3<f32>(
                0.5 * (point.y * along + ratio * ratio) + log(size),
                ratio / size,
                along + table[2] * (1.0 - ratio * ratio),
            );
        }
    }
}

@compute @workgroup_size(256)
fn density_energy(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) num_groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = flat_workgroup(group, num_groups) * WORKGROUP_SIZE + local;
    if index >= params.num_points {
        return;
    }
    let point = vec2<f32>(x[2u * index], x[2u * index + 1u]);
    // A NaN if one of the coordinates is.
    let broken = keep_nan(point.x, point.y);
    var result = vec3<f32>(broken);
    if !is_nan(broken) {
        result = energy_at(point);
    }
    energy[index] = result.x;
    gradient[2u * index] = result.y;
    gradient[2u * index + 1u] = result.z;
}
