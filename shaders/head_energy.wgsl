// Logits of the last features, reduced to one value per row, and the gradient of that value with respect to the logits.
//
//   logits[n] = bias + pool(LeakyReLU(x[n])) weight
//   value[n]  = scale * log_sum_exp(logits[n])   or   scale * logits[n, labels[n]]
//   seed[n]   = scale * softmax(logits[n])       or   scale * one_hot(labels[n])
//
// One workgroup per row; pool is the mean over positions, or the identity. Four classes are summed at a time. A logit that
// is NaN makes value and seed of its row NaN, without labels. If the signs of x are wanted for the gradient, they are packed
// as in conv_plain.
// Source: arXiv:1912.03263, section 3.
// Twin: reference::head_energy, reference::signs

struct Params {
    batch: u32,
    positions: u32,
    channels: u32,
    classes: u32,
    average: u32,
    labelled: u32,
    negative_slope: f32,
    scale: f32,
    num_words: u32, // of signs, or 0
}

@group(0) @binding(0) var<storage, read_write> x: array<f32>;      // (N, P, C)
@group(0) @binding(1) var<storage, read_write> weight: array<f32>; // (C or P * C, classes)
@group(0) @binding(2) var<storage, read_write> bias: array<f32>;   // (classes)
@group(0) @binding(3) var<storage, read_write> labels: array<u32>; // (N), or a stand-in
@group(0) @binding(4) var<storage, read_write> value: array<f32>;  // (N)
@group(0) @binding(5) var<storage, read_write> seed: array<f32>;   // (N, classes)
@group(0) @binding(6) var<storage, read_write> signs: array<u32>;  // of x, or a placeholder
@group(0) @binding(7) var<uniform> params: Params;

var<workgroup> partial: array<vec4<f32>, 256>;

@compute @workgroup_size(256)
fn head_energy(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) num_groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = flat_workgroup(group, num_groups);
    let is_row = row < params.batch;
    let image_len = select(0u, params.positions * params.channels, is_row);
    let len = params.batch * params.positions * params.channels;
    let num_words = (params.num_words + params.batch - 1u) / params.batch;
    let end = min((row + 1u) * num_words, params.num_words);
    for (var word = row * num_words + local; word < end; word += WORKGROUP_SIZE) {
        var bits = 0u;
        for (var bit = 0u; bit < 32u; bit += 1u) {
            let at = 32u * word + bit;
            bits |= select(0u, 1u << bit, at < len && x[min(at, len - 1u)] > 0.0);
        }
        signs[word] = bits;
    }
    let seeds = row * params.classes;
    let share = select(1.0, 1.0 / f32(params.positions), params.average == 1u);
    for (var class_0 = 0u; class_0 < params.classes; class_0 += 4u) {
        let classes = min(vec4<u32>(class_0) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(params.classes - 1u));
        var sum = vec4<f32>(0.0);
        for (var element = local; element < image_len; element += WORKGROUP_SIZE) {
            let raw = x[row * params.positions * params.channels + element];
            let feature = select(params.negative_slope * raw, raw, raw > 0.0);
            let input = select(element, element % params.channels, params.average == 1u);
            let at = vec4<u32>(input * params.classes) + classes;
            sum += feature * vec4<f32>(weight[at.x], weight[at.y], weight[at.z], weight[at.w]);
        }
        partial[local] = share * sum;
        workgroupBarrier();
        for (var stride = WORKGROUP_SIZE / 2u; stride > 0u; stride /= 2u) {
            if local < stride {
                partial[local] += partial[local + stride];
            }
            workgroupBarrier();
        }
        // Only the first invocation writes and later reads the logits of the row.
        if local == 0u && is_row {
            for (var lane = 0u; lane < min(4u, params.classes - class_0); lane += 1u) {
                seed[seeds + class_0 + lane] = bias[class_0 + lane] + partial[0][lane];
            }
        }
        workgroupBarrier();
    }
    if local != 0u || !is_row {
        return;
    }
    if params.labelled == 1u {
        let label = labels[row];
        value[row] = params.scale * seed[seeds + label];
        for (var class_ = 0u; class_ < params.classes; class_ += 1u) {
            seed[seeds + class_] = select(0.0, params.scale, class_ == label);
        }
        return;
    }
    // Where a logit is NaN, `largest` may be that NaN or another logit. Both make the sum NaN.
    var largest = seed[seeds];
    for (var class_ = 1u; class_ < params.classes; class_ += 1u) {
        largest = max(largest, seed[seeds + class_]);
    }
    var total = 0.0;
    for (var class_ = 0u; class_ < params.classes; class_ += 1u) {
        total += exp_number(seed[seeds + class_] - largest);
    }
    value[row] = params.scale * (log_number(total) + largest);
    for (var class_ = 0u; class_ < params.classes; class_ += 1u) {
        seed[seeds + class_] = params.scale * exp_number(seed[seeds + class_] - largest) / total;
    }
}
