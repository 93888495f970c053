// A convolution of LeakyReLU(x), or of x itself, plus bias; or the gradient of one with respect to x.
//
//   y[n, i, j, o] = bias[o] + sum over r, s, c of act(x[n, i stride + r - k/2, j stride + s - k/2, c]) w[r, s, c, o]
//   x_gradient[n, i, j, c] = act'(x[n, i, j, c])
//       * sum over r, s, o of gradient[n, (i + r - k/2) / stride, (j + s - k/2) / stride, o] v[r, s, o, c]
//
// with v[r, s, o, c] = w[k - 1 - r, k - 1 - s, c, o], where both divisions have no remainder and the result lies
// inside. It is a matrix product: a workgroup sums a tile of TILE_POSITIONS x TILE_OUTPUTS results. It brings TILE_INPUTS
// channels of one tap at a time into workgroup memory, of the pixels and of the weights. An invocation sums ROWS
// positions x COLUMNS groups of 4 outputs in registers.
// Source: arXiv:1410.0759, section 3.2 (implicit matrix product); arXiv:1603.07285, section 4 (transposed convolutions).
// Twin: reference::conv_forward, reference::conv_input_gradient
//
// The host writes TILE_POSITIONS, TILE_OUTPUTS, TILE_INPUTS, ROWS and COLUMNS in front.

const TILE_GROUPS = TILE_OUTPUTS / 4u;
const INPUT_GROUPS = TILE_INPUTS / 4u;
const ROW_STEP = TILE_POSITIONS / ROWS;
const COLUMN_STEP = TILE_GROUPS / COLUMNS;
const INVOCATIONS = ROW_STEP * COLUMN_STEP;
const NUM_PIXELS = TILE_POSITIONS * INPUT_GROUPS;
const NUM_WEIGHTS = TILE_INPUTS * TILE_GROUPS;
// An invocation brings the same group of every PIXEL_STEP-th position, and of every WEIGHT_STEP-th input.
const PIXEL_LOADS = NUM_PIXELS / INVOCATIONS;
const PIXEL_STEP = INVOCATIONS / INPUT_GROUPS;
const WEIGHT_LOADS = NUM_WEIGHTS / INVOCATIONS;
const WEIGHT_STEP = INVOCATIONS / TILE_GROUPS;
const_assert PIXEL_LOADS * PIXEL_STEP == TILE_POSITIONS;
const_assert WEIGHT_LOADS * WEIGHT_STEP == TILE_INPUTS;

var<workgroup> places: array<vec3<u32>, TILE_POSITIONS>;
var<workgroup> pixels: array<vec4<f32>, NUM_PIXELS>;   // (input group, position)
var<workgroup> weights: array<vec4<f32>, NUM_WEIGHTS>; // (input, output group)

@compute @workgroup_size(INVOCATIONS)
fn conv_product(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) num_groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let channels = source_channels();
    let input_groups = (channels + 3u) / 4u;
    let output_groups = (result_channels() + 3u) / 4u;
    let size = source_size();
    let num_blocks = num_blocks();

    let tile = flat_workgroup(group, num_groups);
    let tiles_across = (output_groups + TILE_GROUPS - 1u) / TILE_GROUPS;
    let first_block = tile / tiles_across * TILE_POSITIONS;
    let first_group = tile % tiles_across * TILE_GROUPS;

    keep_signs(tile, num_groups, local, INVOCATIONS);

    // Where each block is, to be looked up: divisions are slow.
    for (var i = local; i < TILE_POSITIONS; i += INVOCATIONS) {
        let is_block = first_block + i < num_blocks;
        places[i] = select(vec3<u32>(0u, OUTSIDE, OUTSIDE), block_place(first_block + i), is_block);
    }
    workgroupBarrier();

    // What this invocation brings into workgroup memory.
    let load_position = local / INPUT_GROUPS;
    let load_input_group = local % INPUT_GROUPS;
    let load_input = local / TILE_GROUPS;
    let load_output_group = min(first_group + local % TILE_GROUPS, output_groups - 1u);
    let last_row = (channels - 1u) * row_len();

    let row = local / COLUMN_STEP;
    let column = local % COLUMN_STEP;
    for (var spot_index = 0u; spot_index < block_size() * block_size(); spot_index += 1u) {
        let spot = vec2<u32>(spot_index / block_size(), spot_index % block_size());
        var sum: array<array<vec4<f32>, COLUMNS>, ROWS>;
        for (var n = 0u; n < COLUMNS; n += 1u) {
            let bias = start(min(first_group + column + n * COLUMN_STEP, output_groups - 1u));
            for (var m = 0u; m < ROWS; m += 1u) {
                sum[m][n] = bias;
            }
        }
        let first = first_tap(spot);
        let begin = first_pixel(spot);
        for (var r = first.x; r < params.kernel; r += block_size()) {
            for (var s = first.y; s < params.kernel; s += block_size()) {
                let shift = begin + (vec2<u32>(r, s) - first) / block_size();
                let tap = (r * params.kernel + s) * channels * row_len();
                var is_inside: array<bool, PIXEL_LOADS>;
                var pixel_at: array<u32, PIXEL_LOADS>;
                for (var i = 0u; i < PIXEL_LOADS; i += 1u) {
                    let place = places[load_position + i * PIXEL_STEP];
                    let pixel = block_pixel(place) + shift;
                    is_inside[i] = all(pixel < size);
                    pixel_at[i] = ((place.x * size.x + pixel.x) * size.y + pixel.y) * pixel_len();
                }
                for (var input_group = 0u; input_group < input_groups; input_group += INPUT_GROUPS) {
                    // Outside, the first value is read but not used, not even times 0, because it may be NaN.
                    let at = input_group + load_input_group;
                    let map = source_map(min(at, input_groups - 1u));
                    var value: array<vec4<f32>, PIXEL_LOADS>;
                    for (var i = 0u; i < PIXEL_LOADS; i += 1u) {
                        let is_value = is_inside[i] && at < input_groups;
                        let read = load_source(map, select(0u, pixel_at[i], is_value), select(0u, at, is_value));
                        value[i] = select(vec4<f32>(0.0), read, is_value);
                    }
                    // Past the last input, the last row of weights is multiplied by 0.
                    var weight: array<vec4<f32>, WEIGHT_LOADS>;
                    for (var i = 0u; i < WEIGHT_LOADS; i += 1u) {
                        let weight_at = (4u * input_group + load_input + i * WEIGHT_STEP) * row_len();
                        weight[i] = read_matrix(tap + min(weight_at, last_row), load_output_group);
                    }
                    workgroupBarrier();
                    for (var i = 0u; i < PIXEL_LOADS; i += 1u) {
                        pixels[load_input_group * TILE_POSITIONS + load_position + i * PIXEL_STEP] = value[i];
                    }
                    for (var i = 0u; i < WEIGHT_LOADS; i += 1u) {
                        weights[local + i * INVOCATIONS] = weight[i];
                    }
                    workgroupBarrier();
                    // An array over k, because Mesa then unrolls the loop over k whatever its length.
                    var across: array<array<mat4x4<f32>, COLUMNS>, INPUT_GROUPS>;
                    for (var k = 0u; k < INPUT_GROUPS; k += 1u) {
                        for (var n = 0u; n < COLUMNS; n += 1u) {
                            let at = 4u * k * TILE_GROUPS + n * COLUMN_STEP + column;
                            across[k][n] = mat4x4<f32>(
                                weights[at],
                                weights[at + TILE_GROUPS],
                                weights[at + 2u * TILE_GROUPS],
                                weights[at + 3u * TILE_GROUPS],
                            );
                        }
                        for (var m = 0u; m < ROWS; m += 1u) {
                            let pixel = pixels[k * TILE_POSITIONS + m * ROW_STEP + row];
                            for (var n = 0u; n < COLUMNS; n += 1u) {
                                sum[m][n] = add_products(sum[m][n], pixel, across[k][n]);
                            }
                        }
                    }
                }
            }
        }
        let part = (tile / tiles_across * block_size() * block_size() + spot_index) * ROW_STEP + row;
        for (var n = 0u; n < COLUMNS; n += 1u) {
            let output_group = first_group + n * COLUMN_STEP + column;
            if output_group < output_groups {
                var tally: Tally;
                for (var m = 0u; m < ROWS; m += 1u) {
                    write_result(places[m * ROW_STEP + row], spot, output_group, sum[m][n], &tally);
                }
                write_part(part, output_group, tally);
            }
        }
    }
}
