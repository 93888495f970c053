//! Chains as points in the plane: which of many are drawn, how large they are, and what their colours mean.

use egui::{
    Color32, FontId, Mesh, Rect, Role, Sense, Stroke, StrokeKind, Ui, Vec2, WidgetInfo, pos2, vec2,
};

use super::{fit::fit, pixels::SMALL};
use crate::counts::grouped;

/// Of more chains than this, an evenly spaced sample is drawn.
const NUM_DRAWN: usize = 1500;
/// The largest and the smallest radius of a chain, with few chains and with many, in screen points.
const RADII: [f32; 2] = [5.0, 3.0];
/// The size of the colour bar, and the gap between it and its text.
const BAR: Vec2 = vec2(84.0, 9.0);
const GAP: f32 = 4.0;
/// What the colour bar says.
const LIKELY: &str = "low energy = likely";

/// The chains that are drawn: all of a few, or a sample of many at equal distances. The chain `always` is among them.
pub(super) fn drawn(num_chains: usize, always: Option<usize>) -> impl Iterator<Item = usize> {
    let count = num_chains.min(NUM_DRAWN);
    // It takes the place of the chain of the sample that is nearest before it.
    let always = always.filter(|chain| *chain < num_chains);
    let always = always.map(|chain| (((chain + 1) * count - 1) / num_chains, chain));
    (0..count).map(move |nth| match always {
        Some((place, chain)) if place == nth => chain,
        _ => nth * num_chains / count,
    })
}

/// What is drawn of the chains, in words, as in `1,500 of 10,000 chains drawn, evenly chosen`; `None` if it is all of them.
pub(super) fn sample_text(num_chains: usize) -> Option<String> {
    let (count, all) = (grouped(NUM_DRAWN), grouped(num_chains));
    (num_chains > NUM_DRAWN).then(|| format!("{count} of {all} chains drawn, evenly chosen"))
}

/// The radius of a chain and the opacity of its filling: smaller and fainter among many.
pub(super) fn look(num_chains: usize) -> (f32, f32) {
    let crowd = fit(num_chains as f32 / NUM_DRAWN as f32, 0.0, 1.0).sqrt();
    (RADII[0] + (RADII[1] - RADII[0]) * crowd, 0.9 - 0.35 * crowd)
}

/// Draws a scale of energies from low to high, and which of them are likely. `color` gives the colour at a fraction of the
/// scale.
pub(super) fn colour_bar(ui: &mut Ui, color: impl Fn(f32) -> Color32, hover: &str) {
    let text_color = ui.visuals().text_color();
    let font = FontId::proportional(SMALL);
    let text = ui.painter().layout_no_wrap(LIKELY.to_string(), font, text_color);
    let size = vec2(BAR.x + GAP + text.size().x, text.size().y.max(BAR.y + 2.0));
    let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, LIKELY));
    let bar = Rect::from_center_size(rect.with_max_x(rect.left() + BAR.x).center(), BAR);
    let mut mesh = Mesh::default();
    for (nth, share) in [0.0, 0.25, 0.5, 0.75, 1.0].into_iter().enumerate() {
        let x = bar.left() + share * bar.width();
        mesh.colored_vertex(pos2(x, bar.top()), color(share));
        mesh.colored_vertex(pos2(x, bar.bottom()), color(share));
        if let Some(first) = (2 * nth as u32).checked_sub(2) {
            mesh.add_triangle(first, first + 1, first + 2);
            mesh.add_triangle(first + 1, first + 2, first + 3);
        }
    }
    ui.painter().add(mesh);
    let rim = Stroke::new(1.0, ui.visuals().weak_text_color());
    ui.painter().rect_stroke(bar, 0.0, rim, StrokeKind::Outside);
    let at = pos2(bar.right() + GAP, rect.center().y - 0.5 * text.size().y);
    ui.painter().galley(at, text, text_color);
    response.on_hover_text(hover);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_can_be_read_at_any_count() {
        for count in [1usize, 100, 1500, 1501, 10_000, 1_000_000] {
            let chains: Vec<usize> = drawn(count, None).collect();
            assert_eq!(chains.len(), count.min(NUM_DRAWN));
            let apart: Vec<usize> = chains.windows(2).map(|pair| pair[1] - pair[0]).collect();
            let even = count / chains.len()..=count.div_ceil(chains.len());
            assert!(apart.iter().all(|apart| even.contains(apart)), "{count}");
            let (radius, opacity) = look(count);
            assert!(radius >= 3.0 && (0.3..1.0).contains(&opacity), "{count}: {radius} {opacity}");
        }
        assert_eq!(drawn(0, Some(0)).count(), 0);
        assert_eq!(sample_text(1500), None);
        let said = sample_text(10_000).unwrap();
        assert_eq!(said, "1,500 of 10,000 chains drawn, evenly chosen");
    }

    #[test]
    fn a_chosen_chain_is_always_drawn() {
        for count in [1usize, 7, 1500, 1501, 4000, 10_000] {
            for chain in [0, 1, 3, count / 3, count / 2 + 1, count - 1] {
                let chains: Vec<usize> = drawn(count, Some(chain)).collect();
                let is_drawn = chain >= count || chains.contains(&chain);
                assert!(is_drawn, "{chain} of {count}");
                assert!(chains.is_sorted() && chains.len() == count.min(NUM_DRAWN));
                assert!(chains.windows(2).all(|pair| pair[0] < pair[1]), "no chain twice");
            }
        }
    }
}
