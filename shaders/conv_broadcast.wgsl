// The same as conv_product, without workgroup memory: the invocations of a subgroup exchange pixels. For Intel's GPUs.
//
// An invocation reads only every 8th of ROWS neighbouring positions, and the subgroup hands the values around. It sums
// all ROWS positions for its own group of 4 outputs, in registers. A workgroup is 16 invocations with the same
// positions, so it may be one subgroup or two. A subgroup must have 8 invocations or more.
// Source: arXiv:1410.0759, section 3.2 (implicit matrix product).
// Twin: reference::conv_forward, reference::conv_input_gradient
//
// The host writes ROWS in front, a multiple of 8, and for a browser `enable subgroups;`.

const INVOCATIONS = 16u;
const LANES = 8u;
const PIXELS = ROWS / LANES;
const_assert PIXELS * LANES == ROWS;

@compute @workgroup_size(INVOCATIONS)
fn conv_broadcast(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) num_groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let channels = source_channels();
    let input_groups = (channels + 3u) / 4u;
    let output_groups = (result_channels() + 3u) / 4u;
    let size = source_size();
    let num_blocks = num_blocks();

    let tile = flat_workgroup(group, num_groups);
    let tiles_across = (output_groups + INVOCATIONS - 1u) / INVOCATIONS;
    let first_block = tile / tiles_across * ROWS;
    let output_group = tile % tiles_across * INVOCATIONS + local;
    let read_group = min(output_group, output_groups - 1u);

    keep_signs(tile, num_groups, local, INVOCATIONS);

    var place: array<vec3<u32>, PIXELS>;
    for (var i = 0u; i < PIXELS; i += 1u) {
        place[i] = block_place(first_block + lane % LANES + i * LANES);
    }

    for (var spot_index = 0u; spot_index < block_size() * block_size(); spot_index += 1u) {
        let spot = vec2<u32>(spot_index / block_size(), spot_index % block_size());
        var sum: array<vec4<f32>, ROWS>;
        let bias = start(read_group);
        for (var m = 0u; m < ROWS; m += 1u) {
            sum[m] = bias;
        }
        let first = first_tap(spot);
        let begin = first_pixel(spot);
        for (var r = first.x; r < params.kernel; r += block_size()) {
            for (var s = first.y; s < params.kernel; s += block_size()) {
                let shift = begin + (vec2<u32>(r, s) - first) / block_size();
                let tap = (r * params.kernel + s) * channels * row_len();
                var is_inside: array<bool, PIXELS>;
                var pixel_at: array<u32, PIXELS>;
                for (var i = 0u; i < PIXELS; i += 1u) {
                    let pixel = block_pixel(place[i]) + shift;
                    is_inside[i] = all(pixel < size) && place[i].x < params.batch;
                    let at = ((place[i].x * size.x + pixel.x) * size.y + pixel.y) * pixel_len();
                    pixel_at[i] = select(0u, at, is_inside[i]);
                }
                for (var input_group = 0u; input_group < input_groups; input_group += 1u) {
                    // Outside, the first value is read but not used, not even times 0, because it may be NaN.
                    let map = source_map(input_group);
                    var value: array<vec4<f32>, PIXELS>;
                    for (var i = 0u; i < PIXELS; i += 1u) {
                        let read = load_source(map, pixel_at[i], input_group);
                        value[i] = select(vec4<f32>(0.0), read, is_inside[i]);
                    }
                    // Past the last input, the last row is multiplied by 0.
                    var rows: mat4x4<f32>;
                    for (var k = 0u; k < SOURCE_GROUP; k += 1u) {
                        rows[k] = read_matrix(tap + min(4u * input_group + k, channels - 1u) * row_len(), read_group);
                    }
                    // The lane of a broadcast must be a constant.
                    for (var i = 0u; i < PIXELS; i += 1u) {
                        sum[8u * i] = add_products(sum[8u * i], subgroupBroadcast(value[i], 0u), rows);
                        sum[8u * i + 1u] = add_products(sum[8u * i + 1u], subgroupBroadcast(value[i], 1u), rows);
                        sum[8u * i + 2u] = add_products(sum[8u * i + 2u], subgroupBroadcast(value[i], 2u), rows);
                        sum[8u * i + 3u] = add_products(sum[8u * i + 3u], subgroupBroadcast(value[i], 3u), rows);
                        sum[8u * i + 4u] = add_products(sum[8u * i + 4u], subgroupBroadcast(value[i], 4u), rows);
                        sum[8u * i + 5u] = add_products(sum[8u * i + 5u], subgroupBroadcast(value[i], 5u), rows);
                        sum[8u * i + 6u] = add_products(sum[8u * i + 6u], subgroupBroadcast(value[i], 6u), rows);
                        sum[8u * i + 7u] = add_products(sum[8u * i + 7u], subgroupBroadcast(value[i], 7u), rows);
                    }
                }
            }
        }
        if output_group < output_groups {
            var tally: Tally;
            for (var m = 0u; m < ROWS; m += 1u) {
                let block = first_block + m;
                if block < num_blocks {
                    write_result(block_place(block), spot, output_group, sum[m], &tally);
                }
            }
            write_part(tile / tiles_across * block_size() * block_size() + spot_index, output_group, tally);
        }
    }
}
