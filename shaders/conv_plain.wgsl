// How the kernels of a convolution read and write where no batch norm stands around it: LeakyReLU is in front.
//
//   source -> act(source), and the gradient of x is multiplied by act'(x)
//
// That gradient needs only the signs of x. The convolution packs them: bit b of word w is 1 where value 32 w + b of x is
// positive. Nobody has to keep x.
// Source: arXiv:1410.0759, section 3.2 (implicit matrix product).
// Twin: reference::conv_forward, reference::conv_input_gradient, reference::signs

@group(0) @binding(4) var<storage, read_write> signs: array<u32>; // of x, or a placeholder without an activation
@group(0) @binding(5) var<uniform> params: Params;

// Batch norm would need numbers of each channel to read, and statistics of the result. Here there are none of them.
alias SourceMap = u32;
alias Tally = u32;

// Packs the signs of x, if they are wanted: each workgroup those of a part of x, which it is about to read.
fn keep_signs(workgroup: u32, num_groups: vec3<u32>, local: u32, invocations: u32) {
    if IS_GRADIENT {
        return;
    }
    let len = params.batch * params.height * params.width * pixel_len();
    let num_workgroups = num_groups.x * num_groups.y;
    let share = (params.num_parts + num_workgroups - 1u) / num_workgroups;
    let end = min((workgroup + 1u) * share, params.num_parts);
    for (var word = workgroup * share + local; word < end; word += invocations) {
        var bits = 0u;
        for (var bit = 0u; bit < 32u; bit += SOURCE_LANES) {
            let at = (32u * word + bit) / SOURCE_LANES;
            let is_positive = vec4<f32>(source[min(at, len - 1u)]) > vec4<f32>(0.0);
            let four = select(vec4<u32>(0u), vec4<u32>(1u, 2u, 4u, 8u), is_positive);
            let lanes = select(four.x, four.x | four.y | four.z | four.w, SOURCE_LANES == 4u);
            bits |= select(0u, lanes, at < len) << bit;
        }
        signs[word] = bits;
    }
}

// The signs from value `at` of x on, in the bits of a word from the lowest one on.
fn signs_from(at: u32) -> u32 {
    return signs[at / 32u] >> (at % 32u);
}

fn source_map(group: u32) -> SourceMap {
    return 0u;
}

fn load_source(map: SourceMap, pixel: u32, group: u32) -> vec4<f32> {
    return activated(read_source(pixel, group));
}

// Writes the sums of a group for a spot of the block at `place`.
fn write_result(place: vec3<u32>, spot: vec2<u32>, group: u32, sum: vec4<f32>, tally: ptr<function, Tally>) {
    if !is_position(place, spot) {
        return;
    }
    let to = result_at(place, spot, group);
    var value = sum;
    if IS_GRADIENT && params.negative_slope != 1.0 {
        // All groups that begin at a multiple of 4 are inside of one word.
        let first = signs_from(to);
        for (var lane = 0u; lane < RESULT_GROUP; lane += 1u) {
            var sign = first >> lane;
            if MATRIX_LANES != 4u {
                sign = signs_from(to + min(lane, result_channels() - 1u - 4u * group));
            }
            value[lane] *= select(params.negative_slope, 1.0, (sign & 1u) == 1u);
        }
    }
    write_group(to, group, value);
}

fn write_part(part: u32, group: u32, tally: Tally) {
}
