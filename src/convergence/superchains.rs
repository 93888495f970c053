//! Superchains: the groups of chains with a common start that nested R̂ compares.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{config::StartKind, starts::SampleStart};

/// The chains that form a superchain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Superchains {
    /// This number of chains with the same start, as in the paper.
    OfStart(usize),
    /// The chains of a class, whose starts differ.
    OfClass,
    /// Each chain alone: starts from uniform noise have nothing in common.
    Single,
    /// All chains together: they start from the same picture.
    All,
}

impl Superchains {
    pub(super) fn new(start: &SampleStart, chains_per_start: usize) -> Self {
        match start {
            SampleStart::File(_) | SampleStart::Image(_) => Self::All,
            _ if chains_per_start > 1 => Self::OfStart(chains_per_start),
            SampleStart::Fresh(StartKind::Uniform) | SampleStart::Images(_) => Self::Single,
            SampleStart::Fresh(StartKind::ClassCenters)
            | SampleStart::Data
            | SampleStart::Buffer => Self::OfClass,
        }
    }

    /// The superchain of each chain; `labels` holds the classes of the chains.
    pub(super) fn ids(self, labels: &[u32]) -> Vec<usize> {
        let id = |(chain, &label): (usize, &u32)| match self {
            Self::OfStart(size) => chain / size,
            Self::OfClass => label as usize,
            Self::Single => chain,
            Self::All => 0,
        };
        labels.iter().enumerate().map(id).collect()
    }
}

impl fmt::Display for Superchains {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::OfStart(size) => write!(out, "the {size} chains of a start"),
            Self::OfClass => write!(out, "the chains of a class"),
            Self::Single => write!(out, "every chain by itself"),
            Self::All => write!(out, "all chains, which leave one picture"),
        }
    }
}
