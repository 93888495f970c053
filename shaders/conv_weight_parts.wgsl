// The gradient of a convolution with respect to its weights and its bias, in parts.
//
//   weight_gradient[r, s, c, o] = sum over n, i, j of act(x[n, i stride + r - k/2, j stride + s - k/2, c])
//       * gradient[n, i, j, o]
//   bias_gradient[o] = sum over n, i, j of gradient[n, i, j, o]
//
// with zeros around x. It is a matrix product that sums over positions. There are too few weights to employ all
// invocations, so the positions are divided into parts, which conv_weight_sum adds up. A workgroup sums a tile of
// TILE_INPUTS x TILE_OUTPUTS weights: 4 neighbouring inputs of one tap are a group, and 4 neighbouring outputs. It
// brings TILE_POSITIONS positions at a time into workgroup memory. An invocation sums ROWS groups of inputs x COLUMNS
// groups of outputs in registers.
//
// The zeros meet the gradient at the border. If it is NaN there, so are all taps, and not only those that read inside.
// Source: arXiv:1410.0759, section 3.2 (implicit matrix product).
// Twin: reference::conv_weight_gradient, reference::conv_bias_gradient
//
// The host writes TILE_INPUTS, TILE_OUTPUTS, TILE_POSITIONS, ROWS and COLUMNS in front.

const INPUT_GROUPS = TILE_INPUTS / 4u;
const OUTPUT_GROUPS = TILE_OUTPUTS / 4u;
const ROW_STEP = INPUT_GROUPS / ROWS;
const COLUMN_STEP = OUTPUT_GROUPS / COLUMNS;
const INVOCATIONS = ROW_STEP * COLUMN_STEP;
// An invocation brings one group of every PIXEL_STEP-th pixel, and one of every SLOPE_STEP-th position of the gradient.
const PIXEL_LOADS = TILE_POSITIONS * INPUT_GROUPS / INVOCATIONS;
const PIXEL_STEP = INVOCATIONS / INPUT_GROUPS;
const SLOPE_LOADS = TILE_POSITIONS * OUTPUT_GROUPS / INVOCATIONS;
const SLOPE_STEP = INVOCATIONS / OUTPUT_GROUPS;
const_assert PIXEL_LOADS * PIXEL_STEP == TILE_POSITIONS;
const_assert SLOPE_LOADS * SLOPE_STEP == TILE_POSITIONS;

var<workgroup> pixels: array<vec4<f32>, TILE_POSITIONS * INPUT_GROUPS>;  // (position, input group)
var<workgroup> slopes: array<vec4<f32>, TILE_POSITIONS * OUTPUT_GROUPS>; // (position, output group)

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
    let tiles_across = (output_groups + OUTPUT_GROUPS - 1u) / OUTPUT_GROUPS;
    let tiles_down = (input_groups + INPUT_GROUPS - 1u) / INPUT_GROUPS;
    let first_output = tile % tiles_across * OUTPUT_GROUPS;
    let first_input = tile / tiles_across % tiles_down * INPUT_GROUPS;
    let part = tile / (tiles_across * tiles_down);
    let num_steps = (num_positions + params.num_parts * TILE_POSITIONS - 1u) / (params.num_parts * TILE_POSITIONS);
    let first_position = part * num_steps * TILE_POSITIONS;

    // What this invocation brings into workgroup memory: one group of inputs of a tap, and one group of outputs.
    let load_input = first_input + local % INPUT_GROUPS;
    let input_group = load_input % inputs_per_tap;
    let tap = load_input / inputs_per_tap;
    let shift = vec2<i32>(vec2<u32>(tap / params.kernel, tap % params.kernel)) - i32(params.kernel / 2u);
    let load_output = min(first_output + local % OUTPUT_GROUPS, output_groups - 1u);

    // From one tile of positions to the next, a pixel moves by `step`: image, row and column. Past the end of a row, it
    // jumps to the next row, and past the end of an image, to the next image. Its address moves likewise, because
    // divisions and products in the loop are slow.
    let stride = i32(params.stride);
    let extent = vec2<i32>(grid) * stride;
    let lengths = vec3<i32>(vec3<u32>(size.x * size.y, size.y, 1u) * pixel_len());
    let step = vec3<i32>(block_place(TILE_POSITIONS)) * vec3<i32>(1, stride, stride);
    let row_jump = vec3<i32>(0, stride, -extent.y);
    let image_jump = vec3<i32>(1, -extent.x, 0);
    let step_length = dot(step, lengths);
    let row_jump_length = dot(row_jump, lengths);
    let image_jump_length = dot(image_jump, lengths);

    // For each pixel of this invocation: row and column, address, and from which position on there is none.
    var pixel: array<vec2<i32>, PIXEL_LOADS>;
    var pixel_at: array<i32, PIXEL_LOADS>;
    var pixel_end: array<u32, PIXEL_LOADS>;
    for (var i = 0u; i < PIXEL_LOADS; i += 1u) {
        let offset = local / INPUT_GROUPS + i * PIXEL_STEP;
        let place = vec3<i32>(block_place(first_position + offset));
        pixel[i] = place.yz * stride + shift;
        pixel_at[i] = dot(vec3<i32>(place.x, pixel[i]), lengths);
        pixel_end[i] = select(0u, num_positions - min(offset, num_positions), load_input < input_groups);
    }
    var slope_at: array<u32, SLOPE_LOADS>;
    var slope_end: array<u32, SLOPE_LOADS>;
    for (var i = 0u; i < SLOPE_LOADS; i += 1u) {
        let offset = local / OUTPUT_GROUPS + i * SLOPE_STEP;
        slope_at[i] = (first_position + offset) * row_len();
        slope_end[i] = num_positions - min(offset, num_positions);
    }

    let row = local / COLUMN_STEP;
    let column = local % COLUMN_STEP;
    var sum: array<array<mat4x4<f32>, COLUMNS>, ROWS>;
    var bias_sum = vec4<f32>(0.0);
    var position = first_position;
    for (var tile_step = 0u; tile_step < num_steps; tile_step += 1u) {
        // In the loop, because the sums need the registers.
        let pixel_map = source_map(input_group);
        // Outside, the first value is read but not used, not even times 0, because it may be NaN.
        var value: array<vec4<f32>, PIXEL_LOADS>;
        for (var i = 0u; i < PIXEL_LOADS; i += 1u) {
            let is_inside = all(vec2<u32>(pixel[i]) < size) && position < pixel_end[i];
            let read = load_source(pixel_map, select(0u, u32(pixel_at[i]), is_inside), input_group);
            value[i] = select(vec4<f32>(0.0), read, is_inside);

            pixel[i] += step.yz;
            pixel_at[i] += step_length;
            let ends_row = pixel[i].y >= extent.y + shift.y;
            pixel[i] += select(vec2<i32>(0), row_jump.yz, ends_row);
            pixel_at[i] += select(0, row_jump_length, ends_row);
            let ends_image = pixel[i].x >= extent.x + shift.x;
            pixel[i] += select(vec2<i32>(0), image_jump.yz, ends_image);
            pixel_at[i] += select(0, image_jump_length, ends_image);
        }
        let slope_map = matrix_map(load_output);
        var slope: array<vec4<f32>, SLOPE_LOADS>;
        for (var i = 0u; i < SLOPE_LOADS; i += 1u) {
            let is_inside = position < slope_end[i];
            let read = load_matrix(slope_map, select(0u, slope_at[i], is_inside), load_output);
            slope[i] = select(vec4<f32>(0.0), read, is_inside);
            slope_at[i] += TILE_POSITIONS * row_len();
            bias_sum += slope[i];
        }
        workgroupBarrier();
        for (var i = 0u; i < PIXEL_LOADS; i += 1u) {
            pixels[local + i * INVOCATIONS] = value[i];
        }
        for (var i = 0u; i < SLOPE_LOADS; i += 1u) {
            slopes[local + i * INVOCATIONS] = slope[i];
        }
        workgroupBarrier();
        // An array over k, because Mesa then unrolls the loop over k whatever its length.
        var across: array<array<vec4<f32>, COLUMNS>, TILE_POSITIONS>;
        for (var k = 0u; k < TILE_POSITIONS; k += 1u) {
            for (var n = 0u; n < COLUMNS; n += 1u) {
                across[k][n] = slopes[k * OUTPUT_GROUPS + n * COLUMN_STEP + column];
            }
            for (var m = 0u; m < ROWS; m += 1u) {
                let down = pixels[k * INPUT_GROUPS + m * ROW_STEP + row];
                for (var n = 0u; n < COLUMNS; n += 1u) {
                    sum[m][n] = add_outer(sum[m][n], down, across[k][n]);
                }
            }
        }
        position += TILE_POSITIONS;
    }

    let is_part = part < params.num_parts;
    for (var m = 0u; m < ROWS; m += 1u) {
        let to_input = first_input + m * ROW_STEP + row;
        let to_tap = part * params.kernel * params.kernel + to_input / inputs_per_tap;
        for (var n = 0u; n < COLUMNS; n += 1u) {
            let to_output = first_output + n * COLUMN_STEP + column;
            let is_weight = is_part && to_input < input_groups && to_output < output_groups;
            for (var lane = 0u; lane < SOURCE_GROUP; lane += 1u) {
                let input = 4u * (to_input % inputs_per_tap) + lane;
                if is_weight && input < params.inputs {
                    let to = (to_tap * params.inputs + input) * params.outputs + 4u * to_output;
                    write_group(to, to_output, sum[m][n][lane]);
                }
            }
        }
    }
    // The first row of tiles also sums the gradient of the bias.
    workgroupBarrier();
    slopes[local] = bias_sum;
    workgroupBarrier();
    if is_part && first_input == 0u && local < OUTPUT_GROUPS {
        var total = vec4<f32>(0.0);
        for (var i = 0u; i < SLOPE_STEP; i += 1u) {
            total += slopes[local + i * OUTPUT_GROUPS];
        }
        for (var lane = 0u; lane < RESULT_GROUP; lane += 1u) {
            let output = 4u * load_output + lane;
            if output < params.outputs {
                rest[part * params.outputs + output] = total[lane];
            }
        }
    }
}
