// Convolution of LeakyReLU(x), or of x itself, plus bias, with an odd kernel k and padding k / 2.
//
//   y[n, i, j, o] = bias[o] + sum over r, s, c of act(x[n, i stride + r - k/2, j stride + s - k/2, c]) w[r, s, c, o]
//
// One invocation sums 4 neighbouring output positions times 4 neighbouring outputs in registers, so that each value of
// x and of w is used for 4 products. Neighbouring invocations in a workgroup read the same x.
// Source: arXiv:1410.0759, section 3.2 (implicit matrix product).
// Twin: reference::conv_forward

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

@group(0) @binding(0) var<storage, read_write> x: array<f32>;      // (N, H, W, inputs)
@group(0) @binding(1) var<storage, read_write> weight: array<f32>; // (k, k, inputs, outputs)
@group(0) @binding(2) var<storage, read_write> bias: array<f32>;   // (outputs)
@group(0) @binding(3) var<storage, read_write> y: array<f32>;      // (N, H', W', outputs)
@group(0) @binding(4) var<storage, read> params: Params;

fn activated(value: f32) -> f32 {
    return select(params.negative_slope * value, value, value > 0.0);
}

@compute @workgroup_size(256)
fn conv_forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) num_groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let invocation = flat_workgroup(group, num_groups) * WORKGROUP_SIZE + local;
    let out_height = (params.height + params.stride - 1u) / params.stride;
    let out_width = (params.width + params.stride - 1u) / params.stride;
    let num_positions = params.batch * out_height * out_width;
    let output_groups = (params.outputs + 3u) / 4u;
    let first = invocation / output_groups * 4u;
    if first >= num_positions {
        return;
    }
    let output = invocation % output_groups * 4u;
    // Past the last output, the last output is computed again and not written.
    let outputs = min(vec4<u32>(output) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(params.outputs - 1u));

    let positions = min(vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(num_positions - 1u));
    let column = vec4<i32>(positions % out_width * params.stride);
    let row = vec4<i32>(positions / out_width % out_height * params.stride);
    let image = vec4<i32>(positions / out_width / out_height * params.height);
    let size = vec2<i32>(i32(params.height), i32(params.width));
    let pad = i32(params.kernel / 2u);

    var sum_0 = vec4<f32>(bias[outputs.x], bias[outputs.y], bias[outputs.z], bias[outputs.w]);
    var sum_1 = sum_0;
    var sum_2 = sum_0;
    var sum_3 = sum_0;
    for (var tap = 0u; tap < params.kernel * params.kernel; tap += 1u) {
        let i = row + i32(tap / params.kernel) - pad;
        let j = column + i32(tap % params.kernel) - pad;
        let inside = (i >= vec4<i32>(0)) & (i < vec4<i32>(size.x))
            & (j >= vec4<i32>(0)) & (j < vec4<i32>(size.y));
        // Outside of the image, the first pixel is read but not used, not even times 0, because it may be NaN.
        let pixel = select(vec4<i32>(0), (image + i) * size.y + j, inside);
        let source = vec4<u32>(pixel) * params.inputs;
        let weights = tap * params.inputs * params.outputs;
        for (var input = 0u; input < params.inputs; input += 1u) {
            let at = vec4<u32>(weights + input * params.outputs) + outputs;
            let w = vec4<f32>(weight[at.x], weight[at.y], weight[at.z], weight[at.w]);
            sum_0 += select(0.0, activated(x[source.x + input]), inside.x) * w;
            sum_1 += select(0.0, activated(x[source.y + input]), inside.y) * w;
            sum_2 += select(0.0, activated(x[source.z + input]), inside.z) * w;
            sum_3 += select(0.0, activated(x[source.w + input]), inside.w) * w;
        }
    }
    let num_outputs = min(4u, params.outputs - output);
    for (var lane = 0u; lane < num_outputs; lane += 1u) {
        let to = first * params.outputs + output + lane;
        y[to] = sum_0[lane];
        if first + 1u < num_positions {
            y[to + params.outputs] = sum_1[lane];
        }
        if first + 2u < num_positions {
            y[to + 2u * params.outputs] = sum_2[lane];
        }
        if first + 3u < num_positions {
            y[to + 3u * params.outputs] = sum_3[lane];
        }
    }
}
