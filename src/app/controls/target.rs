//! The target of a rule's chains, a model or an energy of the lab, and its effect on the controls.

use crate::{
    config::{Field, LaneConfig, Norm, SamplerConfig, ViewStart, default_rule},
    worker::ModelInfo,
};

/// The target that the chains of a rule sample from.
pub(crate) enum RuleTarget<'a> {
    /// The open model, and whether there is an image to start from.
    Model(&'a ModelInfo, bool),
    /// An energy of the lab: whether there is a replay buffer, and how many pieces its network has.
    Lab { has_buffer: bool, num_pieces: usize },
}

impl RuleTarget<'_> {
    /// The description of a number of the rule. Points in the plane take smaller steps than images.
    pub(crate) fn field(&self, name: &str) -> Field {
        let field = *SamplerConfig::field(name);
        let slider = match (self, name) {
            (Self::Model(..), _) => field.slider,
            (_, "step_size" | "inner_step_size") => Some((1e-5, 0.1)),
            (_, "noise_std") => Some((0.0, 0.5)),
            (_, "proximal_radius") => Some((0.1, 300.0)),
            _ => field.slider,
        };
        Field { slider, ..field }
    }

    /// The text `of_images` for a model, or `of_plane` for the lab.
    pub(super) fn says<'t>(&self, of_images: &'t str, of_plane: &'t str) -> &'t str {
        match self {
            Self::Model(..) => of_images,
            Self::Lab { .. } => of_plane,
        }
    }

    /// The default rule for this target.
    pub(super) fn default_rule(&self) -> LaneConfig {
        match self {
            Self::Model(model, _) => model.lane(),
            Self::Lab { .. } => default_rule(),
        }
    }

    pub(super) fn start_name(&self) -> fn(ViewStart) -> &'static str {
        match self {
            Self::Model(..) => start_name,
            Self::Lab { .. } => |start| match start {
                ViewStart::Data => "Exact draws, or data",
                ViewStart::Image => "A point",
                start => start_name(start),
            },
        }
    }

    /// Why chains cannot start in this way, if they cannot.
    pub(super) fn why_not(&self, start: ViewStart) -> Option<&'static str> {
        match (self, start) {
            (Self::Model(model, _), ViewStart::Buffer) if !model.has_buffer => Some(
                "This file holds only a model. Checkpoints of a run also hold a replay buffer.",
            ),
            (Self::Model(_, false), ViewStart::Image) => {
                Some("Draw an image in the panel on the right, or drop a picture on the window.")
            }
            (Self::Lab { has_buffer: false, .. }, ViewStart::Buffer) => {
                Some("Only a network that is learning has a replay buffer.")
            }
            _ => None,
        }
    }

    /// The largest step size that MALA begins with.
    pub(super) fn max_mala_step(&self) -> f64 {
        match self {
            Self::Model(model, _) if !model.is_planar() => 1e-4,
            _ => f64::INFINITY,
        }
    }

    pub(super) fn num_pieces(&self) -> usize {
        match self {
            Self::Model(model, _) => model.num_pieces,
            Self::Lab { num_pieces, .. } => *num_pieces,
        }
    }

    pub(super) fn norm(&self) -> Norm {
        match self {
            Self::Model(model, _) => model.norm,
            Self::Lab { .. } => Norm::None,
        }
    }
}

fn start_name(start: ViewStart) -> &'static str {
    match start {
        ViewStart::ClassCenters => "Class centres",
        ViewStart::Uniform => "Uniform noise",
        ViewStart::Data => "Test images",
        ViewStart::Buffer => "Replay buffer",
        ViewStart::Image => "My image",
    }
}
