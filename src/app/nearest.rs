//! The search for the training image nearest to a chain, spread over several frames.

use std::sync::Arc;

use egui::Ui;

use crate::data::Dataset;

/// The number of values compared in one frame, which takes about a millisecond.
const VALUES_PER_FRAME: usize = 500_000;
/// The minimum time between the starts of two searches, in seconds.
const PAUSE_SECS: f64 = 0.5;

/// An image of the training set, with its distance.
#[derive(Clone, Debug)]
pub(super) struct NearestImage {
    /// The image (C, H, W).
    pub(super) image: Vec<f32>,
    /// The class of the image.
    pub(super) label: u32,
    /// The Euclidean distance ‖x - image‖.
    pub(super) distance: f32,
}

/// A search in progress, and the result of the last one.
#[derive(Default)]
pub(super) struct NearestSearch {
    query: Vec<f32>,
    set: Option<Arc<Dataset>>,
    next: usize,
    /// The smallest squared distance so far, and the index of that image.
    best: Option<(f32, usize)>,
    started: f64,
    found: Option<NearestImage>,
}

impl NearestSearch {
    /// The image of `set` nearest to `image`. For some frames, it is still the result for the previous image.
    pub(super) fn search(
        &mut self,
        ui: &Ui,
        image: &[f32],
        set: &Arc<Dataset>,
    ) -> Option<&NearestImage> {
        if set.num_pixels() != image.len() || image.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let is_same_set = self.set.as_ref().is_some_and(|old| Arc::ptr_eq(old, set));
        let now = ui.input(|input| input.time);
        let is_done = self.next >= set.len();
        if !is_same_set || (is_done && self.query != image) {
            if !is_same_set {
                self.found = None;
            }
            if is_same_set && now - self.started < PAUSE_SECS {
                let rest = PAUSE_SECS - (now - self.started);
                ui.request_repaint_after_secs(rest as f32);
                return self.found.as_ref();
            }
            self.query = image.to_vec();
            self.set = Some(set.clone());
            (self.next, self.best, self.started) = (0, None, now);
        }
        self.advance(set);
        if self.next < set.len() {
            ui.request_repaint();
        }
        self.found.as_ref()
    }

    fn advance(&mut self, set: &Dataset) {
        if self.next >= set.len() {
            return;
        }
        let count = (VALUES_PER_FRAME / self.query.len().max(1)).max(1);
        let mut item = Vec::with_capacity(self.query.len());
        for index in self.next..(self.next + count).min(set.len()) {
            item.clear();
            set.extend_with(index, &mut item);
            let pairs = self.query.iter().zip(&item);
            let squared = pairs.map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
            if self.best.is_none_or(|(best, _)| squared < best) {
                self.best = Some((squared, index));
            }
        }
        self.next = (self.next + count).min(set.len());
        if let (true, Some((squared, index))) = (self.next == set.len(), self.best) {
            self.found = Some(NearestImage {
                image: set.gather([index]),
                label: set.labels[index],
                distance: squared.sqrt(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_is_found_over_several_frames() {
        let size = VALUES_PER_FRAME / 4;
        let floats: Vec<f32> = (0..10).flat_map(|item| vec![item as f32 / 10.0; size]).collect();
        let labels = (0..10).collect();
        let set = Dataset::unchecked(floats, labels, [1, 1, size], Vec::new());
        let mut nearest = NearestSearch { query: vec![0.71; size], ..NearestSearch::default() };
        for frame in 0..3 {
            assert!(nearest.found.is_none(), "found after {frame} frames");
            nearest.advance(&set);
        }
        let found = nearest.found.unwrap_or_else(|| unreachable!("the whole set was searched"));
        assert_eq!(found.label, 7);
        assert!((found.distance - 0.01 * (size as f32).sqrt()).abs() < 0.1);
    }
}
