//! The trails of the chains, as a picture that fades.

use egui::{Color32, ColorImage, Context, TextureHandle, TextureId};

use crate::{app::pixels::renew, diagnostics::cells::EXTENT};

/// The number of pixels along a side.
const SIZE: usize = 384;
/// The factor by which the trails fade at every update.
const FADE: f32 = 0.93;
/// The strength that one move adds, for up to this many chains. With more, each adds less, so that all trails together do not
/// cover the plane.
const MARK: f32 = 0.8;
const FULL: f32 = 100.0;
/// Longer moves are jumps to a new start, and are not drawn.
const MAX_PIXELS: f32 = 0.5 * SIZE as f32;

/// The trails of all chains of a rule.
#[derive(Default)]
pub(super) struct Trails {
    /// The strength of each pixel.
    values: Vec<f32>,
    last: Vec<f32>,
    at: (u64, u64),
    texture: Option<TextureHandle>,
}

impl Trails {
    /// Draws the moves since the last call, and fades the older ones. `at` is the number of the start and the
    /// step since then.
    pub(super) fn update(&mut self, ctx: &Context, at: (u64, u64), x: &[f32]) -> TextureId {
        let is_new = at.0 != self.at.0 || self.values.is_empty();
        let has_moved = is_new || at != self.at;
        if is_new {
            self.values = vec![0.0; SIZE * SIZE];
        } else if has_moved {
            for value in &mut self.values {
                *value *= FADE;
            }
            let mark = MARK / (x.len() as f32 / 2.0 / FULL).max(1.0);
            for (from, to) in self.last.chunks_exact(2).zip(x.chunks_exact(2)) {
                line(&mut self.values, place([from[0], from[1]]), place([to[0], to[1]]), mark);
            }
        }
        self.at = at;
        if has_moved {
            self.last = x.to_vec();
        }
        if let (Some(texture), false) = (&self.texture, has_moved) {
            return texture.id();
        }
        let pixels = self
            .values
            .iter()
            .map(|value| Color32::from_white_alpha((value.min(1.0) * 170.0) as u8));
        let image = ColorImage::new([SIZE, SIZE], pixels.collect());
        renew(&mut self.texture, ctx, "trails", image)
    }
}

/// The pixel position of a point in the plane.
fn place([x, y]: [f32; 2]) -> [f32; 2] {
    let along = |value: f32| (value / EXTENT + 1.0) * 0.5 * SIZE as f32;
    [along(x), SIZE as f32 - along(y)]
}

fn line(values: &mut [f32], from: [f32; 2], to: [f32; 2], mark: f32) {
    let moved = [to[0] - from[0], to[1] - from[1]];
    let length = moved[0].abs().max(moved[1].abs());
    if length.is_nan() || length >= MAX_PIXELS {
        return;
    }
    let count = length.ceil().max(1.0);
    for index in 1..=count as usize {
        let share = index as f32 / count;
        let at = [from[0] + share * moved[0], from[1] + share * moved[1]];
        if at.iter().all(|value| (0.0..SIZE as f32).contains(value)) {
            let pixel = &mut values[at[1] as usize * SIZE + at[0] as usize];
            *pixel = (*pixel + mark).min(1.5);
        }
    }
}
