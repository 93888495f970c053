// The gradient of a convolution with respect to its weights and its bias, in parts.
//
//   weight_gradient[r, s, c, o] = sum over n, i, j of act(x[n, i stride + r - k/2, j stride + s - k/2, c])
//       * gradient[n, i, j, o]
//   bias_gradient[o] = sum over n, i, j of gradient[n, i, j, o]
//
// with zeros around x. It is a matrix product that sums over positions. They are divided into parts, because there are too
// few weights for all invocations; conv_weight_sum adds up the parts. A workgroup sums a tile of TILE x TILE weights: 4
// neighbouring inputs of one tap are a group, and so are 4 neighbouring outputs. It brings TILE_POSITIONS positions at a
// time into workgroup memory. An invocation sums ROWS groups of inputs x COLUMNS groups of outputs in registers.
// Source: arXiv:1410.0759, section 3.2 (implicit matrix product).
// Twin: reference::conv_weight_gradient
//
// The host writes TILE, TILE_POSITIONS, ROWS and COLUMNS in front.

const GROUPS = TILE / 4u;
const ROW_STEP = GROUPS / ROWS;
const COLUMN_STEP = GROUPS / COLUMNS;
const INVOCATIONS = ROW_STEP * COLUMN_STEP;
const LOADS = TILE_POSITIONS * GROUPS / INVOCATIONS;
const LOAD_STEP = INVOCATIONS / GROUPS;
const_assert LOADS * INVOCATIONS == TILE_POSITIONS * GROUPS;
const_assert LOAD_STEP * GROUPS == INVOCATIONS;

var<workgroup> pixels: array<vec4<f32>, TILE_POSITIONS * GROUPS>; // (position, input group)
var<workgroup> slopes: array<vec4<f32>, TILE_POSITIONS * GROUPS>; // (position, output group)

// Adds the products of four inputs with four outputs.
fn add_outer(sum: mat4x4<f32>, value: vec4<f32>, slope: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(
        fma(value.xxxx, slope, sum[0]),
        fma(value.yyyy, slope, sum[1]),
        fma(value.zzzz, slope, sum[2]),
        fma(value.wwww, slope, sum[3]),
    );
}

@compute @workgroup_size(INVOCATIONS)
fn conv_weight_parts(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) num_groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let inputs_per_tap = (params.inputs + 3u) / 4u;
    let input_groups = params.kernel * params.kernel * inputs_per_tap;
    let output_groups = (params.outputs + 3u) / 4u;
    let size = source_size();
    let grid = block_grid();
    let num_positions = num_blocks();

    let tile = flat_workgroup(group, num_groups);
    let tiles_across = (output_groups + GROUPS - 1u) / GROUPS;
    let tiles_down = (input_groups + GROUPS - 1u) / GROUPS;
    let first_output = tile % tiles_across * GROUPS;
    let first_input = tile / tiles_across % tiles_down * GROUPS;
    let part = tile / (tiles_across * tiles_down);
    let num_steps = (num_positions + params.num_parts * TILE_POSITIONS - 1u) / (params.num_parts * TILE_POSITIONS);
    let first_position = part * num_steps * TILE_POSITIONS;

    // What this invocation brings into workgroup memory: the same groups of every LOAD_STEP-th position.
    let load_input = first_input + local % GROUPS;
    let load_output = first_output + local % GROUPS;
    let has_input = load_input < input_groups;
    let has_output = load_output < output_groups;
    let input_group = load_input % inputs_per_tap;
    let tap = load_input / inputs_per_tap;
    let shift = vec2<u32>(tap / params.kernel, tap % params.kernel) - params.kernel / 2u;
    let step = block_place(TILE_POSITIONS);
    var place: array<vec3<u32>, LOADS>;
    for (var i = 0u; i < LOADS; i += 1u) {
        place[i] = block_place(first_position + local / GROUPS + i * LOAD_STEP);
    }

    let row = local / COLUMN_STEP;
    let column = local % COLUMN_STEP;
    var sum: array<array<mat4x4<f32>, COLUMNS>, ROWS>;
    var bias_sum = vec4<f32>(0.0);
    for (var tile_step = 0u; tile_step < num_steps; tile_step += 1u) {
        var value: array<vec4<f32>, LOADS>;
        var slope: array<vec4<f32>, LOADS>;
        for (var i = 0u; i < LOADS; i += 1u) {
            let position = first_position + tile_step * TILE_POSITIONS + local / GROUPS + i * LOAD_STEP;
            let is_position = position < num_positions;
            // Outside, the first value is read but not used, not even times 0, because it may be NaN.
            let pixel = place[i].yz * params.stride + shift;
            let is_inside = all(pixel < size) && is_position && has_input;
            let at = select(0u, (place[i].x * size.x + pixel.x) * size.y + pixel.y, is_inside);
            value[i] = select(vec4<f32>(0.0), activated(read_source(at, input_group)), is_inside);
            let is_slope = is_position && has_output;
            let read = read_matrix(select(0u, position, is_slope), select(0u, load_output, is_slope));
            slope[i] = select(vec4<f32>(0.0), read, is_slope);
            bias_sum += slope[i];
            // The place of the position one tile further.
            var next = place[i] + step;
            let next_row = next.z >= grid.y;
            next = select(next, next + vec3<u32>(0u, 1u, 0u - grid.y), next_row);
            let next_image = next.y >= grid.x;
            place[i] = select(next, next + vec3<u32>(1u, 0u - grid.x, 0u), next_image);
        }
        workgroupBarrier();
        for (var i = 0u; i < LOADS; i += 1u) {
            pixels[local + i * INVOCATIONS] = value[i];
            slopes[local + i * INVOCATIONS] = slope[i];
        }
        workgroupBarrier();
        for (var k = 0u; k < TILE_POSITIONS; k += 1u) {
            var across: array<vec4<f32>, COLUMNS>;
            for (var n = 0u; n < COLUMNS; n += 1u) {
                across[n] = slopes[k * GROUPS + n * COLUMN_STEP + column];
            }
            for (var m = 0u; m < ROWS; m += 1u) {
                let pixel = pixels[k * GROUPS + m * ROW_STEP + row];
                for (var n = 0u; n < COLUMNS; n += 1u) {
                    sum[m][n] = add_outer(sum[m][n], pixel, across[n]);
                }
            }
        }
    }

    let is_part = part < params.num_parts;
    for (var m = 0u; m < ROWS; m += 1u) {
        let to_input = first_input + m * ROW_STEP + row;
        for (var n = 0u; n < COLUMNS; n += 1u) {
            let output = 4u * (first_output + n * COLUMN_STEP + column);
            for (var lane = 0u; lane < 4u; lane += 1u) {
                let input = 4u * (to_input % inputs_per_tap) + lane;
                if is_part && to_input < input_groups && input < params.inputs {
                    let weights = part * params.kernel * params.kernel + to_input / inputs_per_tap;
                    let to = (weights * params.inputs + input) * params.outputs + output;
                    write_four(to, output, sum[m][n][lane]);
                }
            }
        }
    }
    // The first row of tiles also sums the gradient of the bias.
    workgroupBarrier();
    slopes[local] = bias_sum;
    workgroupBarrier();
    if is_part && first_input == 0u && local < GROUPS {
        var total = vec4<f32>(0.0);
        for (var i = 0u; i < LOAD_STEP; i += 1u) {
            total += slopes[local + i * GROUPS];
        }
        for (var lane = 0u; lane < 4u; lane += 1u) {
            let output = 4u * load_output + lane;
            if output < params.outputs {
                rest[part * params.outputs + output] = total[lane];
            }
        }
    }
}
