//! The kernels of heads.

use jempp_cpu::reference::{self, Head};

use super::{Buffer, Found, Subject, convolutions::add_words, groups, scrambled};

/// The number of images of a head.
const BATCH: usize = 3;

/// A head with its operands.
struct HeadCase {
    head: Head,
    x: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    labels: Vec<u32>,
    is_labelled: bool,
    scale: f32,
}

impl HeadCase {
    /// The sizes that both kernels of a head begin with.
    fn sizes(&self) -> [u32; 5] {
        let Head { positions, channels, classes, average, .. } = self.head;
        [BATCH, positions, channels, classes, average.into()].map(|size| size as u32)
    }

    /// The energies and their gradients by the logits.
    fn twin(&self) -> (Vec<f32>, Vec<f32>) {
        let Self { head, x, weight, bias, labels, scale, .. } = self;
        let labels = self.is_labelled.then_some(&labels[..]);
        reference::head_energy(head, x, weight, bias, labels, *scale)
    }
}

/// Heads with both poolings, with and without labels.
fn head_cases() -> Vec<HeadCase> {
    let sizes: [(usize, usize, usize); 3] = [(1, 1, 1), (6, 5, 10), (49, 130, 3)];
    let kinds = [(true, false), (false, false), (true, true)];
    let mut cases = Vec::new();
    for (positions, channels, classes) in sizes {
        for (average, is_labelled) in kinds {
            let inputs = if average { channels } else { positions * channels };
            cases.push(HeadCase {
                head: Head { positions, channels, classes, average, negative_slope: 0.2 },
                x: scrambled(BATCH * positions * channels, 1),
                weight: scrambled(inputs * classes, 2),
                bias: scrambled(classes, 3),
                labels: (0..BATCH as u32).map(|row| row % classes as u32).collect(),
                is_labelled,
                scale: -1.5,
            });
        }
    }
    cases
}

pub(super) async fn head_energy(subject: &Subject<'_>) -> Found {
    let mut energies = subject.comparison("energies of 9 heads, relative", 1e-4);
    // A logit is a sum of up to 6,370 terms, and an error of it is an error of a probability.
    let mut seeds = subject.comparison("their gradients by the logits", 1e-4);
    let mut signs = subject.comparison("signs of features, words that differ", 0.0);
    for case in head_cases() {
        let words = reference::signs(&case.x);
        let buffers = [
            Buffer::Values(&case.x),
            Buffer::Values(&case.weight),
            Buffer::Values(&case.bias),
            Buffer::Indices(&case.labels),
            Buffer::Output(BATCH),
            Buffer::Output(BATCH * case.head.classes),
            Buffer::Output(words.len()),
        ];
        let [slope, scale] = [case.head.negative_slope, case.scale].map(f32::to_bits);
        let numbers = [case.is_labelled.into(), slope, scale, words.len() as u32];
        let params = [&case.sizes()[..], &numbers].concat();
        let [energy, seed, found] = subject.run(BATCH as u32, &buffers, &params).await?;
        let (twin_energy, twin_seed) = case.twin();
        energies.add_relative(&energy, &twin_energy);
        seeds.add(&seed, &twin_seed);
        add_words(&mut signs, &found, &words);
    }
    Ok(vec![energies, seeds, signs])
}

pub(super) async fn head_input_gradient(subject: &Subject<'_>) -> Found {
    let mut gradients = subject.comparison("input gradients of 9 heads, relative", 1e-5);
    let row_scale = scrambled(BATCH, 4);
    for case in head_cases() {
        let (_, seed) = case.twin();
        let HeadCase { head, x, weight, .. } = &case;
        let signs = reference::signs(x);
        let buffers = [
            Buffer::Values(&seed),
            Buffer::Values(&row_scale),
            Buffer::Values(weight),
            Buffer::Indices(&signs),
            Buffer::Output(x.len()),
        ];
        let params = [&case.sizes()[..], &[head.negative_slope.to_bits()]].concat();
        let [found] = subject.run(groups(x.len()), &buffers, &params).await?;
        let twin = reference::head_input_gradient(head, &seed, &row_scale, weight, x);
        gradients.add_relative(&found, &twin);
    }
    Ok(vec![gradients])
}
