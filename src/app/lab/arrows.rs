//! Arrows on the plane: the energy gradient on a grid, and the parts of one step of one chain.

use egui::{Align2, Color32, Painter, Pos2, Rect, Stroke, StrokeKind, Vec2, pos2, vec2};

use super::on_screen::{PlaneOnScreen, caption};
use crate::{
    app::{controls::format_number, fit::fit, state::LabRecord, theme},
    config::{LaneConfig, SamplerKind},
    diagnostics::cells::EXTENT,
    worker::lab::LabMove,
};

/// The number of arrows along each side of the plane.
const NUM_ARROWS: usize = 19;
/// The side of the picture of one step, as a fraction of the plane's side, and its maximum in points.
const STEP_SIDE: (f32, f32) = (0.42, 190.0);
/// The gap between that picture and the plane's edges, the height of a caption at the top, and of two at the bottom left.
const CORNER_GAP: f32 = 6.0;
const CAPTION: f32 = 22.0;
const CAPTIONS: f32 = 42.0;
/// The number of places along each side of a corner whose energies are compared.
const NUM_LOOKS: usize = 12;
/// The maximum distance at which anything is drawn, in points.
const FAR: f32 = 2000.0;

/// The gradient, clamped component by component.
fn clamped(gradient: [f32; 2], proximal_radius: Option<f32>) -> [f32; 2] {
    match proximal_radius {
        Some(radius) => {
            gradient.map(|value| if value.is_nan() { value } else { fit(value, -radius, radius) })
        }
        None => gradient,
    }
}

/// The gradient divided by its norm, or 0 where it is 0.
fn normalized(gradient: [f32; 2]) -> [f32; 2] {
    let norm = gradient[0].hypot(gradient[1]);
    gradient.map(|value| if norm == 0.0 { 0.0 } else { value / norm })
}

fn is_normalized(rule: &LaneConfig) -> bool {
    rule.sampler.kind == SamplerKind::NormalizedGradient
}

fn radius_of(rule: &LaneConfig) -> Option<f32> {
    let clamps = matches!(rule.sampler.kind, SamplerKind::ProximalSgld | SamplerKind::Pyld);
    clamps.then_some(rule.sampler.proximal_radius as f32)
}

/// Draws arrows along −α ∂E/∂x, and the part of them that remains after clamping.
pub(super) fn field(
    painter: &Painter,
    place: PlaneOnScreen,
    record: &LabRecord,
    rule: &LaneConfig,
) {
    let Some(energy) = record.energies() else { return };
    let side = energy.len().isqrt();
    if side < 3 {
        return;
    }
    let square = 2.0 * EXTENT / side as f32;
    let at = |row: usize, column: usize| energy[row * side + column];
    let mut arrows = Vec::new();
    for row in 0..NUM_ARROWS {
        for column in 0..NUM_ARROWS {
            let [r, c] =
                [row, column].map(|k| fit((2 * k + 1) * side / (2 * NUM_ARROWS), 1, side - 2));
            let gradient = [
                (at(r, c + 1) - at(r, c - 1)) / (2.0 * square),
                (at(r + 1, c) - at(r - 1, c)) / (2.0 * square),
            ];
            let gradient = if is_normalized(rule) { normalized(gradient) } else { gradient };
            let point = [c, r].map(|k| EXTENT * ((2 * k + 1) as f32 / side as f32 - 1.0));
            if gradient.iter().all(|value| value.is_finite()) {
                arrows.push((point, gradient, clamped(gradient, radius_of(rule))));
            }
        }
    }
    // Longer arrows would cover their neighbours.
    let step = rule.sampler.whole_step_size() as f32;
    let mut lengths: Vec<f32> = arrows.iter().map(|(_, _, g)| step * g[0].hypot(g[1])).collect();
    if lengths.is_empty() {
        return;
    }
    lengths.sort_unstable_by(f32::total_cmp);
    let usual = lengths[lengths.len() / 2].max(1e-9);
    let spacing = 2.0 * EXTENT / NUM_ARROWS as f32;
    let scale = 0.55 * spacing / usual;
    let longest = 0.95 * spacing * place.unit();
    for (point, gradient, kept) in arrows {
        let from = place.to_screen(point);
        let to = |g: [f32; 2]| {
            let moved = vec2(-g[0], g[1]) * step * scale * place.unit();
            from + moved * (longest / moved.length().max(1e-6)).min(1.0)
        };
        if gradient != kept {
            arrow(painter, from, to(gradient), Stroke::new(1.0, Color32::from_white_alpha(110)));
        }
        let color = if gradient == kept { Color32::from_white_alpha(200) } else { theme::DRIFT };
        arrow(painter, from, to(kept), Stroke::new(1.4, color));
    }
    let text = match radius_of(rule) {
        Some(_) => format!("white: −α ∂E/∂x, yellow: clipped; × {}", format_number(scale.into())),
        None if is_normalized(rule) => {
            format!("−α g/‖g‖, g = ∂E/∂x; × {}", format_number(scale.into()))
        }
        None => format!("−α ∂E/∂x × {}; long arrows shortened", format_number(scale.into())),
    };
    caption(painter, place.rect.left_top() + vec2(4.0, 4.0), Align2::LEFT_TOP, &text);
}

fn arrow(painter: &Painter, from: Pos2, to: Pos2, stroke: Stroke) {
    let moved = to - from;
    painter.line_segment([from, to], stroke);
    if moved.length() > 3.0 {
        let back = moved.normalized() * -4.0;
        let across = vec2(-back.y, back.x) * 0.6;
        painter.line_segment([to, to + back + across], stroke);
        painter.line_segment([to, to + back - across], stroke);
    }
}

/// The corner of the plane for a picture with this side: the one that hides the highest energies, so that no valley is
/// under it. Of equal corners, it is the one at the bottom right.
fn free_corner(place: PlaneOnScreen, side: f32, energy_at: impl Fn([f32; 2]) -> f32) -> Rect {
    let room = Rect::from_min_max(
        place.rect.min + vec2(CORNER_GAP, CAPTION),
        place.rect.max - vec2(CORNER_GAP, CORNER_GAP),
    );
    let over_captions = vec2(0.0, CAPTIONS - CORNER_GAP);
    let square = |at: Pos2| Rect::from_min_size(at, Vec2::splat(side));
    let corners = [
        square(room.left_top()),
        square(room.right_top() - vec2(side, 0.0)),
        square(room.left_bottom() - vec2(0.0, side) - over_captions),
        square(room.right_bottom() - vec2(side, side)),
    ];
    let lowest = |corner: &Rect| {
        let at = |nth: usize| nth as f32 / (NUM_LOOKS - 1) as f32;
        let places = (0..NUM_LOOKS * NUM_LOOKS)
            .map(|nth| corner.lerp_inside(vec2(at(nth % NUM_LOOKS), at(nth / NUM_LOOKS))));
        places.map(|place_of| energy_at(place.of_screen(place_of))).fold(f32::INFINITY, f32::min)
    };
    let best = corners.into_iter().max_by(|a, b| lowest(a).total_cmp(&lowest(b)));
    best.unwrap_or(corners[3])
}

/// Draws the last step of one chain, enlarged, in a corner.
pub(super) fn step(painter: &Painter, place: PlaneOnScreen, record: &LabRecord, step: &LabMove) {
    let side = (STEP_SIDE.0 * place.rect.width()).min(STEP_SIDE.1);
    let rect = free_corner(place, side, |at| record.energy_at(at).unwrap_or(f32::INFINITY));
    painter.rect_filled(rect, 4.0, Color32::from_black_alpha(215));
    painter.rect_stroke(
        rect,
        4.0,
        Stroke::new(1.0, Color32::from_white_alpha(80)),
        StrokeKind::Inside,
    );
    let gradient = if step.is_normalized { normalized(step.gradient) } else { step.gradient };
    let kept = clamped(gradient, step.proximal_radius);
    let drift = |g: [f32; 2]| g.map(|value| -step.step_size * value);
    let (pulled, drifted) = (drift(gradient), drift(kept));
    let proposed = [0, 1].map(|axis| drifted[axis] + step.noise[axis]);
    let noise_std = step.noise_std;
    let box_half = step.proximal_radius.map_or(0.0, |radius| radius * step.step_size);
    let moved = [0, 1].map(|axis| step.to[axis] - step.from[axis]);
    // The long arrow of a clamped gradient may end outside.
    let reach = [drifted, proposed, moved]
        .iter()
        .flatten()
        .map(|value| value.abs())
        .chain([box_half, 1.5 * noise_std])
        .filter(|value| value.is_finite())
        .fold(1e-6, f32::max);
    let unit = 0.40 * side / reach;
    let middle = rect.center() + vec2(0.0, 6.0);
    let at = |offset: [f32; 2]| {
        let to = vec2(offset[0], -offset[1]) * unit;
        let finite = to.x.is_finite() && to.y.is_finite();
        let to = if finite { to } else { Vec2::ZERO };
        middle + vec2(fit(to.x, -FAR, FAR), fit(to.y, -FAR, FAR))
    };
    let inner = painter.with_clip_rect(rect.shrink(1.0).intersect(painter.clip_rect()));
    if box_half > 0.0 {
        let square = Rect::from_center_size(middle, Vec2::splat(2.0 * box_half * unit));
        inner.rect_stroke(square, 0.0, Stroke::new(1.0, theme::DRIFT), StrokeKind::Middle);
    }
    if noise_std > 0.0 {
        let ring = Stroke::new(1.0, Color32::from_white_alpha(100));
        inner.circle_stroke(at(drifted), noise_std * unit, ring);
    }
    if pulled != drifted {
        arrow(&inner, middle, at(pulled), Stroke::new(1.0, Color32::from_white_alpha(150)));
    }
    arrow(&inner, middle, at(drifted), Stroke::new(2.0, theme::DRIFT));
    arrow(&inner, at(drifted), at(proposed), Stroke::new(1.6, theme::NOISE));
    inner.circle_filled(middle, 3.0, Color32::WHITE);
    inner.circle_stroke(at(moved), 5.0, Stroke::new(2.0, Color32::WHITE));
    let verdict = match step.accepted {
        Some((true, prob)) => format!("accepted (probability {prob:.2})"),
        Some((false, prob)) => format!("rejected (probability {prob:.2})"),
        None if step.has_inner_steps => "inner steps drawn as one".into(),
        None if (box_half > 0.0 || step.is_normalized)
            && step.to.iter().any(|value| value.abs() >= 1.0) =>
        {
            "kept in the box [−1, 1]".into()
        }
        None => format!("chain {}, its last step", step.chain + 1),
    };
    caption(&inner, rect.left_top() + vec2(5.0, 4.0), Align2::LEFT_TOP, &verdict);
    let mut legend = vec![(theme::DRIFT, "−α ∂E/∂x"), (theme::NOISE, "noise")];
    if box_half > 0.0 {
        legend[0].1 = "clipped, kept in the box";
    } else if step.is_normalized {
        legend[0].1 = "−α g/‖g‖";
    }
    let mut x = rect.left() + 6.0;
    for (color, text) in legend {
        let y = rect.bottom() - 9.0;
        inner.line_segment([pos2(x, y), pos2(x + 10.0, y)], Stroke::new(2.0, color));
        caption(&inner, pos2(x + 14.0, y), Align2::LEFT_CENTER, text);
        x += 24.0 + 5.6 * text.chars().count() as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_of_a_step_hides_no_valley() {
        let place =
            PlaneOnScreen { rect: Rect::from_min_size(pos2(30.0, 50.0), Vec2::splat(400.0)) };
        for (valley, is_free) in
            [([0.8, -0.8], false), ([0.8, 0.8], true), ([-0.8, -0.8], true), ([-0.8, 0.8], true)]
        {
            let energy = |at: [f32; 2]| (at[0] - valley[0]).hypot(at[1] - valley[1]).min(0.4);
            let corner = free_corner(place, 170.0, energy);
            assert!(place.rect.contains_rect(corner));
            assert!(!corner.contains(place.to_screen(valley)), "{valley:?}: {corner:?}");
            let is_at_bottom_right = corner.right_bottom() == place.rect.max - vec2(6.0, 6.0);
            assert_eq!(is_at_bottom_right, is_free, "{valley:?}: {corner:?}");
        }
    }
}
