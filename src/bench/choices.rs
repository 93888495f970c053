//! Which variants of the kernels compute the layers, for a report.

use std::{collections::BTreeMap, fmt};

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

/// A table of the choices that were timed, with the microseconds of every variant; then the guesses, counted by variant.
/// Nothing without choices.
impl fmt::Display for KernelChoices {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if self.choices.is_empty() {
            return Ok(());
        }
        let (guessed, timed): (Vec<_>, Vec<_>) =
            self.choices.iter().partition(|choice| choice.micros.is_empty());
        writeln!(f)?;
        if !timed.is_empty() {
            writeln!(f, "kernels, by class of layers; microseconds a launch")?;
        }
        let width = |len: fn(&&Choice) -> usize| timed.iter().map(len).max().unwrap_or(0);
        let layers = width(|choice| choice.layer.chars().count());
        let variants = width(|choice| choice.variant.len());
        for Choice { layer, variant, reason, micros } in &timed {
            write!(f, "  {layer:<layers$}  {variant:<variants$}  {:<8}", reason.name())?;
            for (name, time) in micros {
                write!(f, "  {name} {time:.1}")?;
            }
            writeln!(f)?;
        }
        if !guessed.is_empty() {
            let mut counts = BTreeMap::new();
            guessed.iter().for_each(|choice| *counts.entry(choice.variant).or_insert(0) += 1);
            let counts: Vec<String> =
                counts.into_iter().map(|(variant, count)| format!("{variant} {count}")).collect();
            let why = if self.is_software_adapter { ", as for every software adapter" } else { "" };
            writeln!(f, "kernels guessed{why}, with classes of layers: {}", counts.join(", "))?;
        }
        Ok(())
    }
}
