//! Energies over a plane as a picture: colours, lines of equal energy, regions of classes.

use egui::{Color32, ColorImage, Context, TextureHandle, TextureId};

use crate::app::{chart::round_step, fit::fit, pixels::renew, theme};

/// Pixels along a side of the picture, at least.
const PIXELS: usize = 400;
/// Share of energies below which the scale ends: walls far up would leave one colour for all the rest.
const TOP_SHARE: f64 = 0.7;
/// Share of a network's energies below which the scale ends; its walls are less steep.
const NETWORK_TOP_SHARE: f64 = 0.9;
/// Energy above the lowest at which the scale ends at the latest, for formulas, and at the earliest.
const TOP: [f32; 2] = [2.0, 30.0];
/// Lines of equal energy over the scale, about.
const NUM_CONTOURS: f64 = 10.0;

/// How a surface is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct HeatStyle {
    pub contours: bool,
    /// Colour by the most probable class.
    pub decisions: bool,
    /// Whether it is the energy of a network.
    pub is_network: bool,
}

/// A surface as a texture, made anew only when something changed.
#[derive(Default)]
pub(super) struct HeatMap {
    texture: Option<TextureHandle>,
    drawn: Option<(u64, HeatStyle)>,
    /// Lowest energy, highest of the scale, and what lies between two lines.
    pub scale: [f32; 3],
}

impl HeatMap {
    /// The texture of energies (side, side), rows from below; `number` tells surfaces apart.
    pub(super) fn texture(
        &mut self,
        ctx: &Context,
        number: u64,
        energy: &[f32],
        classes: &[u8],
        style: HeatStyle,
    ) -> TextureId {
        if let (Some(texture), Some(drawn)) = (&self.texture, self.drawn)
            && drawn == (number, style)
        {
            return texture.id();
        }
        self.drawn = Some((number, style));
        self.scale = scale_of(energy, style.is_network);
        let image = draw(energy, classes, self.scale, style);
        renew(&mut self.texture, ctx, "energy", image)
    }
}

/// The colour of a share of the scale, 0 the lowest energy: valleys are bright, but not so bright that white
/// chains would drown in them.
fn color(share: f32) -> Color32 {
    let colorous::Color { r, g, b } =
        colorous::VIRIDIS.eval_continuous(f64::from(0.6 * (1.0 - fit(share, 0.0, 1.0))));
    Color32::from_rgb(r, g, b)
}

fn scale_of(energy: &[f32], is_network: bool) -> [f32; 3] {
    let mut values: Vec<f32> = energy.iter().copied().filter(|e| e.is_finite()).collect();
    if values.is_empty() {
        return [0.0, 1.0, 0.1];
    }
    values.sort_unstable_by(f32::total_cmp);
    let low = values[0];
    let (share, most) =
        if is_network { (NETWORK_TOP_SHARE, f32::MAX) } else { (TOP_SHARE, TOP[1]) };
    let high = values[((values.len() - 1) as f64 * share) as usize];
    let span = fit(high - low, TOP[0], most);
    [low, low + span, round_step(f64::from(span) / NUM_CONTOURS) as f32]
}

fn draw(
    energy: &[f32],
    classes: &[u8],
    [low, high, apart]: [f32; 3],
    style: HeatStyle,
) -> ColorImage {
    let side = energy.len().isqrt();
    if side == 0 {
        return ColorImage::filled([1, 1], Color32::TRANSPARENT);
    }
    let scale = PIXELS.div_ceil(side);
    let size = scale * side;
    let colors: Vec<Color32> = (0..256).map(|index| color(index as f32 / 255.0)).collect();
    let at = |row: usize, column: usize| energy[row.min(side - 1) * side + column.min(side - 1)];
    let mut values = Vec::with_capacity(size * size);
    for y in 0..size {
        // From the top of the picture down, between the centres of squares.
        let from_below = ((size - 1 - y) as f32 + 0.5) / scale as f32 - 0.5;
        let row = from_below.max(0.0) as usize;
        let up = fit(from_below - row as f32, 0.0, 1.0);
        for x in 0..size {
            let across = (x as f32 + 0.5) / scale as f32 - 0.5;
            let column = across.max(0.0) as usize;
            let right = fit(across - column as f32, 0.0, 1.0);
            let lower = at(row, column) * (1.0 - right) + at(row, column + 1) * right;
            let upper = at(row + 1, column) * (1.0 - right) + at(row + 1, column + 1) * right;
            values.push(lower * (1.0 - up) + upper * up);
        }
    }
    let pixels = (0..size * size).map(|index| {
        let (x, y) = (index % size, index / size);
        let value = values[index];
        let share = (value - low) / (high - low);
        let mut color = match style.decisions {
            true => {
                let square = (size - 1 - y) / scale * side + x / scale;
                let class = classes.get(square).copied().unwrap_or(0) as usize;
                let class_color = theme::CLASSES[class % theme::CLASSES.len()];
                let paler = 1.0 - 0.75 * fit(share, 0.0, 1.0);
                Color32::BLACK.lerp_to_gamma(class_color, 0.2 + 0.5 * paler)
            }
            false => colors[(fit(share, 0.0, 1.0) * 255.0) as usize],
        };
        if style.contours && value < high {
            let right = values[y * size + (x + 1).min(size - 1)];
            let below = values[(y + 1).min(size - 1) * size + x];
            let level = ((value - low) / apart).floor();
            let crosses = |other: f32| ((other - low) / apart).floor() != level;
            if crosses(right) || crosses(below) {
                color = color.lerp_to_gamma(Color32::WHITE, 0.28);
            }
        }
        color
    });
    ColorImage::new([size, size], pixels.collect())
}
