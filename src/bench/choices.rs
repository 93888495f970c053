//! Which variants of the kernels compute the layers, for a report.

use std::fmt;

use serde::Serialize;

use crate::{
    device::ComputeDevice,
    kernels::tuner::{self, Choice},
};

/// The variants of the kernels that computed the layers on a device.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KernelChoices {
    /// In the order in which they were chosen; none on the CPU back end.
    pub choices: Vec<Choice>,
    /// Whether the device is a software adapter, for which nothing is timed.
    pub is_software_adapter: bool,
}

impl KernelChoices {
    /// The choices that this process has made so far, which computes on `device` alone.
    pub(super) fn so_far(device: &ComputeDevice) -> Self {
        Self { choices: tuner::choices(), is_software_adapter: device.is_software_adapter() }
    }
}

/// A table with the microseconds of every variant that was timed, and its heading; nothing without choices.
impl fmt::Display for KernelChoices {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if self.choices.is_empty() {
            return Ok(());
        }
        let note = match self.is_software_adapter {
            true => "; nothing is timed on a software adapter",
            false => "; microseconds a launch",
        };
        writeln!(f, "\nkernels, by class of layers{note}")?;
        let width = |len: fn(&Choice) -> usize| self.choices.iter().map(len).max().unwrap_or(0);
        let layers = width(|choice| choice.layer.chars().count());
        let variants = width(|choice| choice.variant.len());
        for Choice { layer, variant, reason, micros } in &self.choices {
            write!(f, "  {layer:<layers$}  {variant:<variants$}  {:<8}", reason.name())?;
            for (name, time) in micros {
                write!(f, "  {name} {time:.1}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
