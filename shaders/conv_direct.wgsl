// The same as conv_product, without workgroup memory: for adapters that are programs on a CPU.
//
// An invocation sums ROWS neighbouring positions x COLUMNS groups of 4 outputs in registers. It reads pixels and weights
// where they are.
// Source: arXiv:1410.0759, section 3.2 (implicit matrix product).
// Twin: reference::conv_forward, reference::conv_input_gradient
//
// The host writes ROWS and COLUMNS in front.

@compute @workgroup_size(WORKGROUP_SIZE)
fn conv_direct(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) num_groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let channels = source_channels();
    let input_groups = (channels + 3u) / 4u;
    let output_groups = (result_channels() + 3u) / 4u;
    let size = source_size();
    let num_blocks = num_blocks();

    let workgroup = flat_workgroup(group, num_groups);
    keep_signs(workgroup, num_groups, local, WORKGROUP_SIZE);
    let invocation = workgroup * WORKGROUP_SIZE + local;
    let invocations_across = (output_groups + COLUMNS - 1u) / COLUMNS;
    let row_tile = invocation / invocations_across;
    let first_block = row_tile * ROWS;
    let first_group = invocation % invocations_across * COLUMNS;
    if first_block >= num_blocks {
        return;
    }

    // The pixel of each block and its address. Where there is no block, it is outside of the source.
    var place: array<vec3<u32>, ROWS>;
    var pixel: array<vec2<u32>, ROWS>;
    var pixel_at: array<u32, ROWS>;
    for (var m = 0u; m < ROWS; m += 1u) {
        place[m] = block_place(first_block + m);
        pixel[m] = select(vec2<u32>(OUTSIDE), block_pixel(place[m]), first_block + m < num_blocks);
        pixel_at[m] = ((place[m].x * size.x + pixel[m].x) * size.y + pixel[m].y) * pixel_len();
    }

    for (var spot_index = 0u; spot_index < block_size() * block_size(); spot_index += 1u) {
        let spot = vec2<u32>(spot_index / block_size(), spot_index % block_size());
        var sum: array<array<vec4<f32>, COLUMNS>, ROWS>;
        for (var n = 0u; n < COLUMNS; n += 1u) {
            let bias = start(min(first_group + n, output_groups - 1u));
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
                let shift_at = (shift.x * size.y + shift.y) * pixel_len();
                var is_inside: array<bool, ROWS>;
                var at: array<u32, ROWS>;
                for (var m = 0u; m < ROWS; m += 1u) {
                    is_inside[m] = all(pixel[m] + shift < size);
                    at[m] = select(0u, pixel_at[m] + shift_at, is_inside[m]);
                }
                for (var input_group = 0u; input_group < input_groups; input_group += 1u) {
                    let map = source_map(input_group);
                    var across: array<mat4x4<f32>, COLUMNS>;
                    for (var k = 0u; k < SOURCE_GROUP; k += 1u) {
                        // Past the last input, the last row is multiplied by 0.
                        let row = tap + min(4u * input_group + k, channels - 1u) * row_len();
                        for (var n = 0u; n < COLUMNS; n += 1u) {
                            across[n][k] = read_matrix(row, min(first_group + n, output_groups - 1u));
                        }
                    }
                    for (var m = 0u; m < ROWS; m += 1u) {
                        // Outside, the first pixel is read but not used, not even times 0, because it may be NaN.
                        let read = load_source(map, at[m], input_group);
                        let value = select(vec4<f32>(0.0), read, is_inside[m]);
                        for (var n = 0u; n < COLUMNS; n += 1u) {
                            sum[m][n] = add_products(sum[m][n], value, across[n]);
                        }
                    }
                }
            }
        }
        let part = row_tile * block_size() * block_size() + spot_index;
        for (var n = 0u; n < COLUMNS; n += 1u) {
            let output_group = first_group + n;
            if output_group < output_groups {
                var tally: Tally;
                for (var m = 0u; m < ROWS; m += 1u) {
                    if first_block + m < num_blocks {
                        write_result(place[m], spot, output_group, sum[m][n], &tally);
                    }
                }
                write_part(part, output_group, tally);
            }
        }
    }
}
