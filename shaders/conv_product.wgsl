// A convolution of LeakyReLU(x), or of x itself, plus bias; or the gradient of one with respect to x.
//
//   y[n, i, j, o] = bias[o] + sum over r, s, c of act(x[n, i stride + r - k/2, j stride + s - k/2, c]) w[r, s, c, o]
//   x_gradient[n, i, j, c] = act'(x[n, i, j, c])
//       * sum over r, s, o of gradient[n, (i + r - k/2) / stride, (j + s - k/2) / stride, o] v[r, s, o, c]
//
// with the weights v[r, s, o, c] = w[k - 1 - r, k - 1 - s, c, o], where both divisions have no remainder and the result
// lies inside. It is a matrix product: a workgroup sums a tile of TILE_POSITIONS x TILE_OUTPUTS results. It brings
// TILE_INPUTS channels of one tap at a time into workgroup memory, the pixels and the weights. An invocation sums ROWS
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
const SOURCE_LOADS = NUM_PIXELS / INVOCATIONS;
const MATRIX_LOADS = (NUM_WEIGHTS + INVOCATIONS - 1u) / INVOCATIONS;
const_assert SOURCE_LOADS * INVOCATIONS == NUM_PIXELS;

// A row that is outside of every image, also times a stride and with a tap added to it.
const OUTSIDE = 0x10000000u;

var<workgroup> places: array<vec3<u32>, TILE_POSITIONS>;                // image, row and column of each block
var<workgroup> pixels: array<vec4<f32>, NUM_PIXELS>; // (input group, position)
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

    for (var i = local; i < TILE_POSITIONS; i += INVOCATIONS) {
        let is_block = first_block + i < num_blocks;
        places[i] = select(vec3<u32>(0u, OUTSIDE, OUTSIDE), block_place(first_block + i), is_block);
    }
    workgroupBarrier();

    // What this invocation brings into workgroup memory: one group of inputs at some positions, one group of outputs at
    // some inputs.
    let load_group = local % INPUT_GROUPS;
    var load_row: array<u32, MATRIX_LOADS>;
    for (var i = 0u; i < MATRIX_LOADS; i += 1u) {
        load_row[i] = (local + i * INVOCATIONS) / TILE_GROUPS * row_len();
    }
    let load_output = min(first_group + local % TILE_GROUPS, output_groups - 1u);

    let row = local / COLUMN_STEP;
    let column = local % COLUMN_STEP;
    for (var place_index = 0u; place_index < block_size() * block_size(); place_index += 1u) {
        let place = vec2<u32>(place_index / block_size(), place_index % block_size());
        var sum: array<array<vec4<f32>, COLUMNS>, ROWS>;
        for (var n = 0u; n < COLUMNS; n += 1u) {
            let begin = start(min(first_group + column + n * COLUMN_STEP, output_groups - 1u));
            for (var m = 0u; m < ROWS; m += 1u) {
                sum[m][n] = begin;
            }
        }
        let first = first_tap(place);
        let corner = first_pixel(place);
        for (var r = first.x; r < params.kernel; r += block_size()) {
            for (var s = first.y; s < params.kernel; s += block_size()) {
                let shift = corner + (vec2<u32>(r, s) - first) / block_size();
                let tap = (r * params.kernel + s) * channels * row_len();
                var is_inside: array<bool, SOURCE_LOADS>;
                var load_from: array<u32, SOURCE_LOADS>;
                for (var i = 0u; i < SOURCE_LOADS; i += 1u) {
                    let block = places[(local + i * INVOCATIONS) / INPUT_GROUPS];
                    let pixel = block_pixel(block) + shift;
                    is_inside[i] = all(pixel < size);
                    load_from[i] = ((block.x * size.x + pixel.x) * size.y + pixel.y) * pixel_len();
                }
                for (var input_group = 0u; input_group < input_groups; input_group += INPUT_GROUPS) {
                    var value: array<vec4<f32>, SOURCE_LOADS>;
                    for (var i = 0u; i < SOURCE_LOADS; i += 1u) {
                        // Outside, the first value is read but not used, not even times 0, because it may be NaN.
                        let at = input_group + load_group;
                        let is_value = is_inside[i] && at < input_groups;
                        let read = read_source(select(0u, load_from[i], is_value), select(0u, at, is_value));
                        value[i] = select(vec4<f32>(0.0), activated(read), is_value);
                    }
                    var rows: array<vec4<f32>, MATRIX_LOADS>;
                    for (var i = 0u; i < MATRIX_LOADS; i += 1u) {
                        // Past the last input, the last row is multiplied by 0.
                        let input = min(4u * input_group * row_len() + load_row[i], (channels - 1u) * row_len());
                        rows[i] = read_matrix(tap + input, load_output);
                    }
                    workgroupBarrier();
                    for (var i = 0u; i < SOURCE_LOADS; i += 1u) {
                        pixels[load_group * TILE_POSITIONS + (local + i * INVOCATIONS) / INPUT_GROUPS] = value[i];
                    }
                    for (var i = 0u; i < MATRIX_LOADS; i += 1u) {
                        // A constant where the loads come out even.
                        if NUM_WEIGHTS % INVOCATIONS == 0u || local + i * INVOCATIONS < NUM_WEIGHTS {
                            weights[local + i * INVOCATIONS] = rows[i];
                        }
                    }
                    workgroupBarrier();
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
        for (var m = 0u; m < ROWS; m += 1u) {
            let block = places[m * ROW_STEP + row];
            for (var n = 0u; n < COLUMNS; n += 1u) {
                let output_group = first_group + n * COLUMN_STEP + column;
                if output_group < output_groups {
                    write_result(block, place, output_group, sum[m][n]);
                }
            }
        }
    }
}
