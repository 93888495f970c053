//! Files of `torch.save`, edited where they describe their tensors.

use std::sync::OnceLock;

use jempp::{
    device,
    interop::{self, ImportRequest},
};

use super::{choices::Choices, with_folder};
use crate::files::torch_file as old;

/// How much of a file holds the pickle, and how much its list of entries at the end.
const HEAD: usize = 12 << 10;
const TAIL: usize = 4 << 10;

/// A PyTorch checkpoint with up to eight edits, imported.
pub(crate) fn pytorch(bytes: &[u8]) -> bool {
    let mut choices = Choices::new(bytes);
    let bases = bases();
    let mut file = bases[choices.below(bases.len())].clone();
    for _ in 0..choices.pick(&[1, 1, 1, 2, 4, 8]) {
        let len = file.len();
        let (begin, span) = match choices.below(8) {
            0 => (0, len),
            1 | 2 => (len.saturating_sub(TAIL), TAIL),
            _ => (0, HEAD),
        };
        choices.edit(&mut file, begin, span);
    }
    with_folder(|folder| {
        let path = folder.join("mutated.pt");
        std::fs::write(&path, &file).unwrap();
        let request = ImportRequest::default();
        interop::import(&path, &request, &device::cpu()).is_ok()
    })
}

/// Files of today's PyTorch with and without batch norm, and one in the form of old.
fn bases() -> &'static [Vec<u8>] {
    static BASES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    BASES.get_or_init(|| {
        let plain = include_bytes!("../../../pytorch/golden/none.pt");
        let batch_norm = include_bytes!("../../../pytorch/golden/batch.pt");
        vec![plain.to_vec(), batch_norm.to_vec(), old::checkpoint(&tensors())]
    })
}

/// Every tensor of the smallest network without norm.
fn tensors() -> Vec<old::Tensor> {
    let mut tensors = vec![("f.conv1".to_string(), vec![16, 3, 3, 3])];
    for (stage, inputs, outputs) in [(1, 16, 16), (2, 16, 32), (3, 32, 64)] {
        let block = format!("f.layer{stage}.0");
        tensors.push((format!("{block}.conv1"), vec![outputs, inputs, 3, 3]));
        tensors.push((format!("{block}.conv2"), vec![outputs, outputs, 3, 3]));
        if stage > 1 {
            tensors.push((format!("{block}.shortcut.0"), vec![outputs, inputs, 1, 1]));
        }
    }
    tensors.push(("class_output".into(), vec![3, 64]));
    let parts = tensors.into_iter().flat_map(|(name, shape)| {
        let weight = old::Tensor::zeros(&format!("{name}.weight"), &shape);
        [weight, old::Tensor::zeros(&format!("{name}.bias"), &shape[..1])]
    });
    parts.collect()
}
