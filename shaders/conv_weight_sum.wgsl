// Adds up the parts of the gradients of weights and bias, always in the same order.
//
//   gradient[i] = sum over p of parts[p, i]
//
// Source: pairs with conv_weight_parts.
// Twin: reference::conv_weight_gradient, reference::conv_bias_gradient

struct Params {
    num_parts: u32,
    num_weights: u32,
    num_outputs: u32,
}

@group(0) @binding(0) var<storage, read_write> weight_parts: array<f32>;    // (parts, k, k, inputs, outputs)
@group(0) @binding(1) var<storage, read_write> bias_parts: array<f32>;      // (parts, outputs)
@group(0) @binding(2) var<storage, read_write> weight_gradient: array<f32>; // (k, k, inputs, outputs)
@group(0) @binding(3) var<storage, read_write> bias_gradient: array<f32>;   // (outputs)
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(256)
fn conv_weight_sum(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) num_groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let element = flat_workgroup(group, num_groups) * WORKGROUP_SIZE + local;
    var sum = 0.0;
    if element < params.num_weights {
        for (var part = 0u; part < params.num_parts; part += 1u) {
            sum += weight_parts[part * params.num_weights + element];
        }
        weight_gradient[element] = sum;
    } else if element < params.num_weights + params.num_outputs {
        let output = element - params.num_weights;
        for (var part = 0u; part < params.num_parts; part += 1u) {
            sum += bias_parts[part * params.num_outputs + output];
        }
        bias_gradient[output] = sum;
    }
}
