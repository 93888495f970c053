//! All chains of a lane as one texture, which is rebuilt only when its contents change.

use std::sync::Arc;

use egui::{Color32, ColorImage, Context, Rect, TextureHandle, pos2};
use half::f16;

use super::{
    fit::fit,
    pixels::{CRISP, color, within_texture},
    state::Overlay,
    theme,
};
use crate::{config::LaneConfig, worker::LaneImages};

/// The maximum number of values used to estimate the scale of an overlay.
const NUM_SAMPLED: usize = 20_000;
/// How far from the box [-1, 1] a chain may go at least, and with noise in the data in units of its standard deviation.
const MARGIN: f64 = 2.0;
const MARGIN_IN_NOISE: f64 = 8.0;

/// A chain of a lane with a value beyond this has left the box [-1, 1] and will not return. Noise of the data leads chains out of it
/// too: its standard deviation s follows from `denoise_step` = s²/T, with the temperature T of the chains.
pub(super) fn far(lane: Option<&LaneConfig>) -> f32 {
    let noise = lane.map_or(0.0, |lane| {
        let sampler = &lane.sampler;
        let temperature = sampler.noise_std.powi(2) / (2.0 * sampler.whole_step_size());
        (sampler.denoise_step * temperature).sqrt()
    });
    // Without steps there is no temperature.
    let noise = if noise.is_finite() { noise } else { 0.0 };
    fit(1.0 + MARGIN.max(MARGIN_IN_NOISE * noise), 0.0, 1e6) as f32
}

/// How the chains of a lane are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Look {
    /// What is drawn over them.
    pub(super) overlay: Overlay,
    /// The step that removes the noise of the data; 0 leaves them as they are.
    pub(super) denoise_step: f32,
    /// The value beyond which a chain has left the box.
    pub(super) far: f32,
}

/// The inputs that a texture was built from. It holds the chains, so that their address cannot be reused.
struct Key {
    x: Arc<[f32]>,
    start: Option<Arc<[f32]>>,
    gradient: *const f16,
    radius: Option<f32>,
    look: Look,
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        let is_same_start = match (&self.start, &other.start) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (a, b) => a.is_none() && b.is_none(),
        };
        is_same_start
            && Arc::ptr_eq(&self.x, &other.x)
            && std::ptr::eq(self.gradient, other.gradient)
            && (self.radius, self.look) == (other.radius, other.look)
    }
}

/// One texture that shows all chains of a lane.
#[derive(Default)]
pub(super) struct Atlas {
    texture: Option<TextureHandle>,
    key: Option<Key>,
    columns: usize,
    rows: usize,
    /// The value that an overlay draws in its strongest colour.
    pub(super) scale: f32,
    /// The number of chains that are finite but far outside the box.
    pub(super) num_far: usize,
}

impl Atlas {
    /// Rebuilds the texture if its inputs have changed.
    ///
    /// # Shapes
    /// Chains (N, C, H, W) with `shape` = (C, H, W); so are their starts.
    pub(super) fn update(
        &mut self,
        ctx: &Context,
        images: &LaneImages,
        start: Option<&LaneImages>,
        shape: [usize; 3],
        look: Look,
    ) {
        let Look { overlay, denoise_step, far } = look;
        let start = start.filter(|start| start.x.len() == images.x.len());
        let key = Key {
            x: images.x.clone(),
            start: start.map(|start| start.x.clone()).filter(|_| overlay == Overlay::Change),
            gradient: images.gradient.as_ptr(),
            radius: images.proximal_radius,
            look,
        };
        if self.texture.is_some() && self.key.as_ref() == Some(&key) {
            return;
        }
        let size: usize = shape.iter().product();
        let count = (images.x.len() / size.max(1)).max(1);
        // As square as possible, because a long strip might exceed the maximum texture size.
        self.columns = (count as f64).sqrt().ceil() as usize;
        self.rows = count.div_ceil(self.columns);
        let is_far = |item: &&[f32]| {
            item.iter().any(|value| value.abs() > far) && item.iter().all(|value| value.is_finite())
        };
        self.num_far = images.x.chunks(size).filter(is_far).count();
        let denoised = match denoise_step {
            0.0 => None,
            step => images.denoised(0..images.x.len(), step),
        };
        let shown = denoised.as_deref().unwrap_or(&images.x);
        let picture = self.paint(images, shown, key.start.as_deref(), shape, overlay);
        let picture = within_texture(ctx, picture);
        match &mut self.texture {
            Some(texture) => texture.set(picture, CRISP),
            None => self.texture = Some(ctx.load_texture("chains", picture, CRISP)),
        }
        self.key = Some(key);
    }

    /// The texture, and the rectangle of a chain in it.
    pub(super) fn cell(&self, chain: usize) -> Option<(egui::TextureId, Rect)> {
        let size = egui::vec2(1.0 / self.columns as f32, 1.0 / self.rows as f32);
        let (row, column) = (chain / self.columns.max(1), chain % self.columns.max(1));
        let min = pos2(column as f32 * size.x, row as f32 * size.y);
        Some((self.texture.as_ref()?.id(), Rect::from_min_size(min, size)))
    }

    fn paint(
        &mut self,
        images: &LaneImages,
        shown: &[f32],
        start: Option<&[f32]>,
        [c, h, w]: [usize; 3],
        overlay: Overlay,
    ) -> ColorImage {
        let (area, size) = (h * w, c * h * w);
        let signed = signed_values(images, start, overlay, c, area);
        self.scale = signed.as_deref().map_or(0.0, percentile_99);
        let strength = 1.0 / self.scale.max(f32::MIN_POSITIVE);
        let mut picture =
            ColorImage::filled([self.columns * w, self.rows * h], Color32::TRANSPARENT);
        for (chain, item) in shown.chunks_exact(size).enumerate() {
            let corner = (chain / self.columns) * h * self.columns * w + (chain % self.columns) * w;
            for y in 0..h {
                let row = &mut picture.pixels[corner + y * self.columns * w..][..w];
                for (x, pixel) in row.iter_mut().enumerate() {
                    let at = y * w + x;
                    *pixel = match (&signed, overlay) {
                        (Some(signed), _) => theme::diverging(signed[chain * area + at] * strength),
                        (None, Overlay::Clamped) => {
                            clamped(images, chain * size + at, c, area).unwrap_or_else(|| {
                                // Dimmed, so that the clamped pixels stand out.
                                color(item, area, at).gamma_multiply(0.35).to_opaque()
                            })
                        }
                        _ => color(item, area, at),
                    };
                }
            }
        }
        picture
    }
}

/// The signed value that an overlay shows at every pixel, (N, H, W): the mean over channels.
fn signed_values(
    images: &LaneImages,
    start: Option<&[f32]>,
    overlay: Overlay,
    c: usize,
    area: usize,
) -> Option<Vec<f32>> {
    let mean = |value: &dyn Fn(usize) -> f32| -> Vec<f32> {
        let items = images.x.len() / (c * area);
        let at = |item: usize, pixel: usize| {
            (0..c).map(|k| value((item * c + k) * area + pixel)).sum::<f32>() / c as f32
        };
        (0..items * area).map(|index| at(index / area, index % area)).collect()
    };
    match (overlay, start) {
        (Overlay::Gradient, _) if images.gradient.len() == images.x.len() => {
            Some(mean(&|index| images.gradient[index].to_f32()))
        }
        (Overlay::Change, Some(start)) => Some(mean(&|index| images.x[index] - start[index])),
        _ => None,
    }
}

/// The colour of a pixel with a clamped gradient component: that of the component that was clamped most.
fn clamped(images: &LaneImages, first: usize, c: usize, area: usize) -> Option<Color32> {
    let radius = images.proximal_radius?;
    let components = (0..c).filter_map(|k| images.gradient.get(first + k * area));
    let largest = components.map(|g| g.to_f32()).max_by(|a, b| a.abs().total_cmp(&b.abs()))?;
    (largest.abs() > radius).then(|| theme::diverging(largest.signum()))
}

/// The 99th percentile of the absolute finite values.
fn percentile_99(values: &[f32]) -> f32 {
    let stride = (values.len() / NUM_SAMPLED).max(1);
    let sizes = values.iter().step_by(stride).map(|value| value.abs());
    let mut sizes: Vec<f32> = sizes.filter(|size| size.is_finite()).collect();
    let Some(last) = sizes.len().checked_sub(1) else { return 0.0 };
    *sizes.select_nth_unstable_by(last * 99 / 100, f32::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SamplerKind;

    #[test]
    fn every_chain_has_its_own_place() {
        let (mut atlas, ctx) = (Atlas::default(), Context::default());
        let x: Vec<f32> = (0..5).flat_map(|chain| [chain as f32 / 2.0 - 1.0; 12]).collect();
        let images = LaneImages {
            x: x.into(),
            gradient: vec![f16::from_f32(2.0); 60],
            proximal_radius: Some(1.0),
        };
        let look = Look { overlay: Overlay::Images, denoise_step: 0.0, far: 3.0 };
        atlas.update(&ctx, &images, None, [3, 2, 2], look);
        let picture = atlas.paint(&images, &images.x, None, [3, 2, 2], Overlay::Images);
        for chain in 0..5 {
            let uv = atlas.cell(chain).map(|cell| cell.1.center()).unwrap_or_default();
            let (column, row) = ((uv.x * 6.0) as usize, (uv.y * 4.0) as usize);
            let gray = (chain as f32 * 63.75).round() as u8;
            assert_eq!(picture.pixels[row * 6 + column], Color32::from_gray(gray));
        }
        // A step of the denoiser, within the box.
        let denoised = images.denoised(12..60, 0.25).unwrap();
        assert_eq!([denoised[0], denoised[12], denoised[36]], [-1.0, -0.5, 0.5]);
        let picture = atlas.paint(&images, &images.x, None, [3, 2, 2], Overlay::Clamped);
        assert_eq!(picture.pixels[0], theme::diverging(1.0));
    }

    #[test]
    fn noise_of_the_data_leads_chains_out_of_the_box_too() {
        let mut lane = LaneConfig::default();
        assert_eq!((far(None), far(Some(&lane))), (3.0, 3.0));
        lane.sampler.kind = SamplerKind::Sgld;
        let mut of = |step_size: f64, noise_std: f64, denoise_step: f64| {
            (lane.sampler.step_size, lane.sampler.noise_std) = (step_size, noise_std);
            lane.sampler.denoise_step = denoise_step;
            far(Some(&lane))
        };
        // Noise of 0.4 at the temperature 0.015, and some that is small.
        assert!((of(1.0, 0.173, 10.7) - 4.2).abs() < 0.01);
        assert_eq!(of(0.2, 0.036, 1.11), 3.0);
        assert_eq!((of(0.0, 0.0, 1.0), of(0.0, 1.0, 1.0)), (3.0, 3.0));
        // What is counted follows from it.
        let images = LaneImages { x: vec![3.5; 4].into(), gradient: vec![], proximal_radius: None };
        let num_far = |far: f32| {
            let mut atlas = Atlas::default();
            let look = Look { overlay: Overlay::Images, denoise_step: 0.0, far };
            atlas.update(&Context::default(), &images, None, [1, 2, 2], look);
            atlas.num_far
        };
        assert_eq!((num_far(3.0), num_far(4.2)), (1, 0));
    }

    #[test]
    fn the_scale_leaves_out_what_is_no_number() {
        let mut values: Vec<f32> = (0..1000).map(|i| i as f32 / 1000.0).collect();
        values.push(f32::NAN);
        assert!((percentile_99(&values) - 0.99).abs() < 0.01);
        assert_eq!(percentile_99(&[f32::NAN]), 0.0);
    }
}
