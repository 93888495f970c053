// How the gradient of the weights reads where no batch norm stands around the convolution: LeakyReLU is in front.
//
//   source -> act(source)
//
// Source: arXiv:1410.0759, section 3.2 (implicit matrix product).
// Twin: reference::conv_weight_gradient

@group(0) @binding(4) var<uniform> params: Params;

// Batch norm would need numbers of each channel to read. Here there are none of them.
alias SourceMap = u32;
alias MatrixMap = u32;

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
