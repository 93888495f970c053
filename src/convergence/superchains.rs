//! Which chains began alike: the groups of nested R̂.

use std::fmt;

use crate::{config::StartKind, starts::SampleStart};

/// What a superchain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Superchains {
    /// So many chains each, which leave one point: those of the paper.
    OfStart(usize),
    /// The chains of a class, which leave different points of it.
    OfClass,
    /// Every chain: uniform noise knows no class, so no two starts have anything in common.
    Single,
    /// All chains together: they leave one picture.
    All,
}

impl Superchains {
    pub(super) fn new(start: &SampleStart, chains_per_start: usize) -> Self {
        match start {
            SampleStart::File(_) | SampleStart::Image(_) => Self::All,
            _ if chains_per_start > 1 => Self::OfStart(chains_per_start),
            SampleStart::Fresh(StartKind::Uniform) => Self::Single,
            SampleStart::Fresh(StartKind::ClassCenters)
            | SampleStart::Data
            | SampleStart::Buffer => Self::OfClass,
        }
    }

    /// The superchain of each chain; `labels` holds their classes.
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
