// Turns the weights of a convolution by half a turn and exchanges inputs and outputs, for the gradient of x.
//
//   turned[r, s, o, c] = weight[k - 1 - r, k - 1 - s, c, o]
//
// Source: arXiv:1603.07285, section 4 (transposed convolutions).
// Twin: reference::conv_turn_weights

struct Params {
    inputs: u32,
    outputs: u32,
    kernel: u32,
}

@group(0) @binding(0) var<storage, read_write> weight: array<f32>; // (k, k, inputs, outputs)
@group(0) @binding(1) var<storage, read_write> turned: array<f32>; // (k, k, outputs, inputs)
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(256)
fn conv_turn_weights(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) num_groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let element = flat_workgroup(group, num_groups) * WORKGROUP_SIZE + local;
    let num_taps = params.kernel * params.kernel;
    if element >= num_taps * params.inputs * params.outputs {
        return;
    }
    let input = element % params.inputs;
    let output = element / params.inputs % params.outputs;
    // Counted backwards, the taps are turned.
    let tap = num_taps - 1u - element / (params.inputs * params.outputs);
    turned[element] = weight[(tap * params.inputs + input) * params.outputs + output];
}
