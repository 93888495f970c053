//! Detection of the network architecture from a state dict.

use super::{
    InteropError,
    file::{PytorchFile, wrong_shape},
};
use crate::config::Norm;

/// The architecture of a WideResNet, detected from its tensors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Found {
    /// The depth, 6n + 4.
    pub(super) depth: usize,
    /// The width factor: channels of the first stage divided by 16.
    pub(super) width: usize,
    /// The norm: none or batch norm.
    pub(super) norm: Norm,
    /// The number of classes, which is the number of rows of `class_output`.
    pub(super) num_classes: usize,
    /// The number of channels of an input image.
    pub(super) channels: usize,
}

impl Found {
    /// Detects the network of a file from names and shapes alone.
    ///
    /// Checks the shapes of the largest tensors before a network is built, so that a file cannot request a network
    /// larger than itself.
    ///
    /// # Errors
    /// A tensor is missing or has a shape that no such network has, or the norm is not supported.
    pub(super) fn of(file: &PytorchFile) -> Result<Self, InteropError> {
        let norm = norm(file)?;
        let wrong = |name: &str, expected: &[usize], found: &[usize]| {
            Err(InteropError::from(wrong_shape(name, expected, found)))
        };
        let name = "f.conv1.weight";
        let channels = match *file.shape(name)? {
            [16, channels, 3, 3] if channels > 0 => channels,
            ref found => return wrong(name, &[16, 3, 3, 3], found),
        };
        let name = "f.layer1.0.conv1.weight";
        let width = match *file.shape(name)? {
            [outputs, 16, 3, 3] if outputs > 0 && outputs.is_multiple_of(16) => outputs / 16,
            ref found => return wrong(name, &[160, 16, 3, 3], found),
        };
        let has_block = |index: &usize| file.has(&format!("f.layer1.{index}.conv1.weight"));
        let num_blocks = (0..).take_while(has_block).count();
        for stage in 1..=3 {
            let channels = (8 << stage) * width;
            let expected = [channels, channels, 3, 3];
            for block in 0..num_blocks {
                let name = format!("f.layer{stage}.{block}.conv2.weight");
                let found = file.shape(&name)?;
                if *found != expected {
                    return wrong(&name, &expected, found);
                }
            }
        }
        let name = "class_output.weight";
        let num_classes = match *file.shape(name)? {
            [num_classes, inputs] if num_classes > 0 && inputs == 64 * width => num_classes,
            ref found => return wrong(name, &[10, 64 * width], found),
        };
        Ok(Self { depth: 6 * num_blocks + 4, width, norm, num_classes, channels })
    }

    /// The architecture as in `model.arch`.
    pub(super) fn arch(&self) -> String {
        format!("wrn-{}-{}", self.depth, self.width)
    }
}

/// Detects the norm of JEMPP's networks from the tensors of their modules.
fn norm(file: &PytorchFile) -> Result<Norm, InteropError> {
    let has = |leaf: &str| file.names().any(|name| name.contains(".bn") && name.ends_with(leaf));
    if has(".running_mean") || has(".running_var") {
        Ok(Norm::Batch)
    } else if has(".loc") || has(".scale") {
        Err(InteropError::Norm("activation norm (JEMPP's `act`)"))
    } else if has(".weight") || has(".bias") {
        Err(InteropError::Norm("instance or layer norm (weights without running statistics)"))
    } else {
        Ok(Norm::None)
    }
}
