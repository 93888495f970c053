//! The tools for the pointer in the plane.

use crate::{
    app::state::Lab,
    config::{LabTarget, MAX_DABS, ViewStart},
};

/// The minimum distance between two dabs of paint, in units of x.
const DAB_SPACING: f32 = 0.05;

/// The effect of a press in the plane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tool {
    /// Select a chain.
    #[default]
    Choose,
    /// Let all chains start from the pressed point.
    Drop,
    /// Add to the painted density.
    Paint,
}

/// An action of the pointer in the plane.
pub(super) enum PointerAction {
    /// A chain was selected, or none.
    Choose(Option<usize>),
    /// A point was pressed, or the pointer was dragged over it.
    Press([f32; 2]),
}

impl Tool {
    /// Applies the action of the pointer to the lab.
    pub(super) fn apply(self, touch: PointerAction, lab: &mut Lab) {
        let settings = &mut lab.settings;
        match (touch, self) {
            (PointerAction::Choose(chain), _) => lab.track(chain),
            (PointerAction::Press(point), Self::Drop) => {
                settings.config.point = hundredths(point).to_vec();
                for rule in &mut settings.rules {
                    rule.start = ViewStart::Image;
                }
            }
            (PointerAction::Press(point), Self::Paint) => {
                let config = &mut settings.config;
                config.target = LabTarget::Painted;
                let is_far = config.dabs().last().is_none_or(|last| {
                    (last[0] - point[0]).hypot(last[1] - point[1]) >= DAB_SPACING
                });
                let is_inside = point.iter().all(|value| value.abs() <= 1.2);
                if is_far && is_inside && config.dabs().count() < MAX_DABS {
                    config.painted.extend(hundredths(point));
                }
            }
            (PointerAction::Press(_), Self::Choose) => {}
        }
    }
}

fn hundredths(point: [f32; 2]) -> [i32; 2] {
    point.map(|value| (100.0 * value).round() as i32)
}
