// How the kernels of a convolution read and write where no batch norm stands around it: LeakyReLU is in front.
//
//   source -> act(source), and the gradient of x is multiplied by act'(x)
//
// Source: arXiv:1410.0759, section 3.2 (implicit matrix product).
// Twin: reference::conv_forward, reference::conv_input_gradient, reference::conv_weight_gradient

@group(0) @binding(4) var<uniform> params: Params;

// Batch norm would need numbers of each channel to read, and statistics of the result. Here there are none of them.
alias SourceMap = u32;
alias MatrixMap = u32;
alias Tally = u32;

fn source_map(group: u32) -> SourceMap {
    return 0u;
}

fn load_source(map: SourceMap, pixel: u32, group: u32) -> vec4<f32> {
    return activated(read_source(pixel, group));
}

fn matrix_map(group: u32) -> MatrixMap {
    return 0u;
}

fn load_matrix(map: MatrixMap, row: u32, group: u32) -> vec4<f32> {
    return read_matrix(row, group);
}

// Writes the sums of a group for a spot of the block at `place`.
fn write_result(place: vec3<u32>, spot: vec2<u32>, group: u32, sum: vec4<f32>, tally: ptr<function, Tally>) {
    if !is_position(place, spot) {
        return;
    }
    let to = result_at(place, spot, group);
    var value = sum;
    // Without an activation, x may be a shorter placeholder.
    if IS_GRADIENT && params.negative_slope != 1.0 {
        for (var lane = 0u; lane < RESULT_GROUP; lane += 1u) {
            let x = rest[to + min(lane, result_channels() - 1u - 4u * group)];
            value[lane] *= select(params.negative_slope, 1.0, x > 0.0);
        }
    }
    write_group(to, group, value);
}

fn write_part(part: u32, group: u32, tally: Tally) {
}
