// The gradient of conv_forward with respect to x, including the derivative of the LeakyReLU.
//
//   x_gradient[n, i, j, c] = act'(x[n, i, j, c])
//       * sum over r, s, o of gradient[n, (i + k/2 - r) / stride, (j + k/2 - s) / stride, o] w[r, s, c, o]
//
// where both divisions have no remainder and the result lies inside. One invocation sums 4 positions of a row times 4
// neighbouring inputs in registers. The positions are one stride apart, so that the same taps reach them.
// Source: arXiv:1410.0759, section 3.2 (implicit matrix product).
// Twin: reference::conv_input_gradient

struct Params {
    batch: u32,
    height: u32,
    width: u32,
    inputs: u32,
    outputs: u32,
    kernel: u32,
    stride: u32,
    negative_slope: f32, // 1 where there is no activation
}

@group(0) @binding(0) var<storage, read_write> gradient: array<f32>;   // (N, H', W', outputs)
@group(0) @binding(1) var<storage, read_write> weight: array<f32>;     // (k, k, inputs, outputs)
@group(0) @binding(2) var<storage, read_write> x: array<f32>;          // (N, H, W, inputs)
@group(0) @binding(3) var<storage, read_write> x_gradient: array<f32>; // (N, H, W, inputs)
@group(0) @binding(4) var<storage, read> params: Params;

@compute @workgroup_size(256)
fn conv_input_gradient(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) num_groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let invocation = flat_workgroup(group, num_groups) * WORKGROUP_SIZE + local;
    let out_height = (params.height + params.stride - 1u) / params.stride;
    let out_width = (params.width + params.stride - 1u) / params.stride;
    let input_groups = (params.inputs + 3u) / 4u;
    let input = invocation % input_groups * 4u;
    let inputs = min(vec4<u32>(input) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(params.inputs - 1u));

    let span = 4u * params.stride;
    let groups_per_row = (params.width + span - 1u) / span * params.stride;
    let position_group = invocation / input_groups;
    let row = position_group / groups_per_row;
    if row >= params.batch * params.height {
        return;
    }
    let in_row = position_group % groups_per_row;
    let first = in_row / params.stride * span + in_row % params.stride;
    let columns = vec4<u32>(first) + params.stride * vec4<u32>(0u, 1u, 2u, 3u);
    let i = row % params.height;
    let image = row / params.height;
    let pad = params.kernel / 2u;

    var sum_0 = vec4<f32>(0.0);
    var sum_1 = vec4<f32>(0.0);
    var sum_2 = vec4<f32>(0.0);
    var sum_3 = vec4<f32>(0.0);
    for (var tap = 0u; tap < params.kernel * params.kernel; tap += 1u) {
        // Counted from a kernel's height above the image, so that no value is negative.
        let above = i + pad + params.kernel * params.stride - tap / params.kernel;
        let left = columns + pad + params.kernel * params.stride - tap % params.kernel;
        if above % params.stride != 0u || left.x % params.stride != 0u {
            continue;
        }
        let out_i = above / params.stride - params.kernel;
        let out_j = left / params.stride - params.kernel;
        // A negative number has wrapped around, so it is also too large.
        let inside = (vec4<u32>(out_i) < vec4<u32>(out_height)) & (out_j < vec4<u32>(out_width));
        let pixel = (image * out_height + out_i) * out_width + out_j;
        // Outside of the image, the first value is read but not used, not even times 0, because it may be NaN.
        let source = select(vec4<u32>(0u), pixel, inside) * params.outputs;
        let weights = (vec4<u32>(tap * params.inputs) + inputs) * params.outputs;
        for (var output = 0u; output < params.outputs; output += 1u) {
            let at = weights + output;
            let w = vec4<f32>(weight[at.x], weight[at.y], weight[at.z], weight[at.w]);
            sum_0 += select(0.0, gradient[source.x + output], inside.x) * w;
            sum_1 += select(0.0, gradient[source.y + output], inside.y) * w;
            sum_2 += select(0.0, gradient[source.z + output], inside.z) * w;
            sum_3 += select(0.0, gradient[source.w + output], inside.w) * w;
        }
    }
    let num_inputs = min(4u, params.inputs - input);
    for (var index = 0u; index < 4u; index += 1u) {
        if columns[index] >= params.width {
            break;
        }
        var sum = sum_0;
        if index == 1u {
            sum = sum_1;
        } else if index == 2u {
            sum = sum_2;
        } else if index == 3u {
            sum = sum_3;
        }
        let to = (row * params.width + columns[index]) * params.inputs + input;
        for (var lane = 0u; lane < num_inputs; lane += 1u) {
            // Without an activation, x may be a shorter placeholder.
            var factor = 1.0;
            if params.negative_slope != 1.0 {
                factor = select(params.negative_slope, 1.0, x[to + lane] > 0.0);
            }
            x_gradient[to + lane] = factor * sum[lane];
        }
    }
}
