// The gradient of conv_forward with respect to its weights.
//
//   weight_gradient[r, s, c, o] = sum over n, i, j of gradient[n, i, j, o]
//       * act(x[n, i stride + r - k/2, j stride + s - k/2, c])
//
// with zeros around x. One workgroup per tap, 4 neighbouring inputs and 4 neighbouring outputs: the positions are
// distributed over its invocations. Each one sums 16 products per position in registers, then the workgroup adds up
// these sums.
// Source: arXiv:1410.0759, section 3.2 (implicit matrix product).
// Twin: reference::conv_weight_gradient

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

@group(0) @binding(0) var<storage, read_write> x: array<f32>;               // (N, H, W, inputs)
@group(0) @binding(1) var<storage, read_write> gradient: array<f32>;        // (N, H', W', outputs)
@group(0) @binding(2) var<storage, read_write> weight_gradient: array<f32>; // (k, k, inputs, outputs)
@group(0) @binding(3) var<storage, read> params: Params;

// One row for each of the 4 inputs of an invocation.
var<workgroup> partial: array<vec4<f32>, 1024>;

@compute @workgroup_size(256)
fn conv_weight_gradient(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) num_groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let workgroup = flat_workgroup(group, num_groups);
    let input_groups = (params.inputs + 3u) / 4u;
    let output_groups = (params.outputs + 3u) / 4u;
    let output = workgroup % output_groups * 4u;
    let input = workgroup / output_groups % input_groups * 4u;
    let tap = workgroup / (output_groups * input_groups);
    let lanes = vec4<u32>(0u, 1u, 2u, 3u);
    let inputs = min(input + lanes, vec4<u32>(params.inputs - 1u));
    let outputs = min(output + lanes, vec4<u32>(params.outputs - 1u));

    let out_height = (params.height + params.stride - 1u) / params.stride;
    let out_width = (params.width + params.stride - 1u) / params.stride;
    let is_tap = tap < params.kernel * params.kernel;
    let num_positions = select(0u, params.batch * out_height * out_width, is_tap);
    let pad = params.kernel / 2u;

    var sum_0 = vec4<f32>(0.0);
    var sum_1 = vec4<f32>(0.0);
    var sum_2 = vec4<f32>(0.0);
    var sum_3 = vec4<f32>(0.0);
    for (var position = local; position < num_positions; position += WORKGROUP_SIZE) {
        // A negative number wraps around, so it is also too large.
        let row = position / out_width % out_height * params.stride + tap / params.kernel - pad;
        let column = position % out_width * params.stride + tap % params.kernel - pad;
        if row >= params.height || column >= params.width {
            continue;
        }
        let image = position / (out_height * out_width);
        let pixel = (image * params.height + row) * params.width + column;
        let at = pixel * params.inputs + inputs;
        let value = vec4<f32>(x[at.x], x[at.y], x[at.z], x[at.w]);
        let activated = select(params.negative_slope * value, value, value > vec4<f32>(0.0));
        let to = position * params.outputs + outputs;
        let slope = vec4<f32>(gradient[to.x], gradient[to.y], gradient[to.z], gradient[to.w]);
        sum_0 += activated.x * slope;
        sum_1 += activated.y * slope;
        sum_2 += activated.z * slope;
        sum_3 += activated.w * slope;
    }
    partial[4u * local] = sum_0;
    partial[4u * local + 1u] = sum_1;
    partial[4u * local + 2u] = sum_2;
    partial[4u * local + 3u] = sum_3;
    workgroupBarrier();
    for (var half = WORKGROUP_SIZE / 2u; half > 0u; half /= 2u) {
        if local < half {
            for (var lane = 0u; lane < 4u; lane += 1u) {
                partial[4u * local + lane] += partial[4u * (local + half) + lane];
            }
        }
        workgroupBarrier();
    }
    let lane_in = local / 4u;
    let lane_out = local % 4u;
    let is_inside = input + lane_in < params.inputs && output + lane_out < params.outputs;
    if is_tap && local < 16u && is_inside {
        let weight = (tap * params.inputs + input + lane_in) * params.outputs + output + lane_out;
        weight_gradient[weight] = partial[lane_in][lane_out];
    }
}
