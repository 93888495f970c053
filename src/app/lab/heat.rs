//! The energy over a plane as a picture: a colour map with contour lines, or the regions of classes.

use egui::{Color32, ColorImage, Context, TextureHandle, TextureId};

use crate::app::{chart::round_step, fit::fit, pixels::renew, theme};

/// The minimum number of pixels along a side of the picture.
const PIXELS: usize = 400;
/// The quantile of the energies at which the colour scale ends. With steep walls in the scale, all the rest
/// would have one colour.
const TOP_SHARE: f64 = 0.7;
/// The same quantile for the energy of a network, which has less steep walls.
const NETWORK_TOP_SHARE: f64 = 0.9;
/// The minimum range of the colour scale, and the maximum for formulas, in units of energy.
const TOP: [f32; 2] = [2.0, 30.0];
/// The approximate number of contour lines over the colour scale.
const NUM_CONTOURS: f64 = 10.0;

/// How a surface is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct HeatStyle {
    pub contours: bool,
    /// Whether to colour by the most probable class.
    pub decisions: bool,
    /// Whether the energy is that of a network.
    pub is_network: bool,
}

/// A surface as a texture, rebuilt only when something changes.
#[derive(Default)]
pub(super) struct HeatMap {
    texture: Option<TextureHandle>,
    drawn: Option<(u64, HeatStyle)>,
    /// The lowest energy, the highest energy of the scale, and the distance between two contour lines.
    pub scale: [f32; 3],
}

impl HeatMap {
    /// The texture of energies (side, side), with the bottom row first. A different `number` means another surface.
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

/// The colour at a fraction of the scale, where 0 is the lowest energy. Valleys are bright, but dark enough for
/// white chains to be visible on them.
pub(super) fn color(share: f32) -> Color32 {
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
        // The height above the centre of the lowest squares. The rows of the picture start at the top.
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
