// The same as conv_direct, with a name for each sum: for compilers that leave loops as they are, such as SwiftShader's.
//
// An invocation sums FLAT_ROWS neighbouring positions x COLUMNS groups of 4 outputs.
// Source: arXiv:1410.0759, section 3.2 (implicit matrix product).
// Twin: reference::conv_forward, reference::conv_input_gradient
//
// The host writes COLUMNS in front: 1 or 2.

const FLAT_ROWS = 8u;

// Four neighbouring blocks.
struct Four {
    image: vec4<u32>,
    row: vec4<u32>,
    column: vec4<u32>,
    is_block: vec4<bool>,
}

fn four_blocks(first: u32) -> Four {
    let block = vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u);
    let grid = block_grid();
    return Four(block / (grid.x * grid.y), block / grid.y % grid.x, block % grid.y, block < vec4<u32>(num_blocks()));
}

// Where the pixels of four blocks, shifted by `shift`, begin in the source, and whether they are inside.
struct Pixels {
    at: vec4<u32>,
    is_inside: vec4<bool>,
}

fn pixels(blocks: Four, shift: vec2<u32>) -> Pixels {
    let size = source_size();
    let stride = select(params.stride, 1u, IS_GRADIENT);
    let row = blocks.row * stride + shift.x;
    let column = blocks.column * stride + shift.y;
    let is_inside = blocks.is_block & (row < vec4<u32>(size.x)) & (column < vec4<u32>(size.y));
    let at = ((blocks.image * size.x + row) * size.y + column) * pixel_len();
    return Pixels(select(vec4<u32>(0u), at, is_inside), is_inside);
}

// Outside, the first pixel is read but not used, not even times 0, because it may be NaN.
fn read_pixel(map: SourceMap, at: u32, is_inside: bool, group: u32) -> vec4<f32> {
    return select(vec4<f32>(0.0), load_source(map, at, group), is_inside);
}

fn read_pixels(map: SourceMap, from_: Pixels, group: u32) -> mat4x4<f32> {
    return mat4x4<f32>(
        read_pixel(map, from_.at.x, from_.is_inside.x, group),
        read_pixel(map, from_.at.y, from_.is_inside.y, group),
        read_pixel(map, from_.at.z, from_.is_inside.z, group),
        read_pixel(map, from_.at.w, from_.is_inside.w, group),
    );
}

// Four rows of the matrix. Past the last input, the last row, which is multiplied by 0.
fn read_rows(tap: u32, input_group: u32, group: u32) -> mat4x4<f32> {
    let last = source_channels() - 1u;
    let row = vec4<u32>(4u * input_group) + vec4<u32>(0u, 1u, 2u, 3u);
    let at = vec4<u32>(tap) + min(row, vec4<u32>(last)) * row_len();
    return mat4x4<f32>(
        read_matrix(at.x, group),
        read_matrix(at.y, group),
        read_matrix(at.z, group),
        read_matrix(at.w, group),
    );
}

fn plus(sum: mat4x4<f32>, value: mat4x4<f32>, rows: mat4x4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(
        add_products(sum[0], value[0], rows),
        add_products(sum[1], value[1], rows),
        add_products(sum[2], value[2], rows),
        add_products(sum[3], value[3], rows),
    );
}

fn write_four(blocks: Four, spot: vec2<u32>, group: u32, sum: mat4x4<f32>, tally: ptr<function, Tally>) {
    if blocks.is_block.x {
        write_result(vec3<u32>(blocks.image.x, blocks.row.x, blocks.column.x), spot, group, sum[0], tally);
    }
    if blocks.is_block.y {
        write_result(vec3<u32>(blocks.image.y, blocks.row.y, blocks.column.y), spot, group, sum[1], tally);
    }
    if blocks.is_block.z {
        write_result(vec3<u32>(blocks.image.z, blocks.row.z, blocks.column.z), spot, group, sum[2], tally);
    }
    if blocks.is_block.w {
        write_result(vec3<u32>(blocks.image.w, blocks.row.w, blocks.column.w), spot, group, sum[3], tally);
    }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn conv_flat(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) num_groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let channels = source_channels();
    let input_groups = (channels + 3u) / 4u;
    let output_groups = (result_channels() + 3u) / 4u;

    let workgroup = flat_workgroup(group, num_groups);
    keep_signs(workgroup, num_groups, local, WORKGROUP_SIZE);
    let invocation = workgroup * WORKGROUP_SIZE + local;
    let invocations_across = (output_groups + COLUMNS - 1u) / COLUMNS;
    let row_tile = invocation / invocations_across;
    let first_block = row_tile * FLAT_ROWS;
    let group_0 = invocation % invocations_across * COLUMNS;
    let group_1 = min(group_0 + 1u, output_groups - 1u);
    if first_block >= num_blocks() {
        return;
    }
    let low = four_blocks(first_block);
    let high = four_blocks(first_block + 4u);
    for (var spot_index = 0u; spot_index < block_size() * block_size(); spot_index += 1u) {
        let spot = vec2<u32>(spot_index / block_size(), spot_index % block_size());
        let bias_0 = start(group_0);
        var sum_00 = mat4x4<f32>(bias_0, bias_0, bias_0, bias_0);
        var sum_10 = sum_00;
        let bias_1 = start(group_1);
        var sum_01 = mat4x4<f32>(bias_1, bias_1, bias_1, bias_1);
        var sum_11 = sum_01;
        let first = first_tap(spot);
        let begin = first_pixel(spot);
        for (var r = first.x; r < params.kernel; r += block_size()) {
            for (var s = first.y; s < params.kernel; s += block_size()) {
                let shift = begin + (vec2<u32>(r, s) - first) / block_size();
                let tap = (r * params.kernel + s) * channels * row_len();
                let from_0 = pixels(low, shift);
                let from_1 = pixels(high, shift);
                for (var input_group = 0u; input_group < input_groups; input_group += 1u) {
                    let map = source_map(input_group);
                    let value_0 = read_pixels(map, from_0, input_group);
                    let value_1 = read_pixels(map, from_1, input_group);
                    let rows_0 = read_rows(tap, input_group, group_0);
                    sum_00 = plus(sum_00, value_0, rows_0);
                    sum_10 = plus(sum_10, value_1, rows_0);
                    if COLUMNS > 1u {
                        let rows_1 = read_rows(tap, input_group, group_1);
                        sum_01 = plus(sum_01, value_0, rows_1);
                        sum_11 = plus(sum_11, value_1, rows_1);
                    }
                }
            }
        }
        let part = row_tile * block_size() * block_size() + spot_index;
        var tally_0: Tally;
        write_four(low, spot, group_0, sum_00, &tally_0);
        write_four(high, spot, group_0, sum_10, &tally_0);
        write_part(part, group_0, tally_0);
        if COLUMNS > 1u && group_0 + 1u < output_groups {
            var tally_1: Tally;
            write_four(low, spot, group_1, sum_01, &tally_1);
            write_four(high, spot, group_1, sum_11, &tally_1);
            write_part(part, group_1, tally_1);
        }
    }
}
