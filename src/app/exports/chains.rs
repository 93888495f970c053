//! Exports of the chains: an animation of their images, a table of their numbers.

use std::{fmt::Write, sync::Arc};

use image::{GenericImage, RgbImage};

use super::FRAME_MILLIS;
use crate::app::state::RunState;
use crate::{picture, worker::LaneNumbers};

const MAX_FRAMES: usize = 60;
const LANE_GAP: u32 = 12;
const TRACE_COLUMNS: &str = "step,lane,chain,class,energy,gradient_norm,clamp_rate,saturation,distance,\
                             acceptance_probability,predicted_class,predicted_probability,seconds,\
                             num_gradients\n";

/// The images of all lanes at one step.
struct Frame {
    lanes: Vec<Arc<[f32]>>,
}

/// The recorded images of a run, or, for a table, its numbers.
pub(in crate::app) struct ChainsJob {
    is_table: bool,
    labels: Vec<u32>,
    shape: [usize; 3],
    columns: usize,
    frames: Vec<Frame>,
    numbers: Vec<(u64, Arc<Vec<LaneNumbers>>)>,
}

impl ChainsJob {
    /// Collects the data of an export from the current run, or `None` if there is no data yet.
    pub(super) fn new(is_table: bool, run: &RunState) -> Option<Self> {
        let (record, model) = (run.record.as_ref()?, run.model.as_ref()?);
        let frame = |images: &[crate::worker::LaneImages]| Frame {
            lanes: images.iter().map(|lane| lane.x.clone()).collect(),
        };
        let entries = record.images.entries();
        let count = if is_table { 0 } else { entries.len().min(MAX_FRAMES) };
        let last = entries.len().saturating_sub(1);
        let index = |nth: usize| nth * last / count.saturating_sub(1).max(1);
        let frames = (0..count).map(|nth| frame(&entries[index(nth)].1)).collect();
        let numbers = if is_table { record.numbers.entries().to_vec() } else { Vec::new() };
        let labels = record.request.labels.clone();
        let first = labels.first()?;
        let columns = labels.iter().take_while(|label| *label == first).count();
        Some(Self { is_table, labels, shape: model.shape, columns, frames, numbers })
    }

    /// Encodes the content of the file.
    ///
    /// # Errors
    /// Returns a message for the user if encoding fails.
    pub(super) fn bytes(self) -> Result<Vec<u8>, String> {
        if self.is_table {
            return Ok(self.table().into_bytes());
        }
        let pictures = self.frames.iter().map(|frame| self.picture(frame)).collect();
        let encoded = picture::gif_of(pictures, FRAME_MILLIS);
        encoded.map_err(|error| format!("cannot encode the picture: {error}"))
    }

    /// Draws the lanes side by side.
    fn picture(&self, frame: &Frame) -> RgbImage {
        let draw = |x: &Arc<[f32]>| picture::draw(x, &self.labels, self.shape, self.columns);
        let lanes: Vec<RgbImage> = frame.lanes.iter().map(draw).collect();
        let width = lanes.iter().map(|lane| lane.width() + LANE_GAP).sum::<u32>() - LANE_GAP;
        let height = lanes.iter().map(RgbImage::height).max().unwrap_or(1);
        let mut all = RgbImage::from_pixel(width, height, picture::BACKGROUND);
        let mut left = 0;
        for lane in &lanes {
            // This fits, because the picture has the total size of its parts.
            let _ = all.copy_from(lane, left, 0);
            left += lane.width() + LANE_GAP;
        }
        all
    }

    fn table(&self) -> String {
        let mut text = String::from(TRACE_COLUMNS);
        for (step, lanes) in &self.numbers {
            for (lane, numbers) in lanes.iter().enumerate() {
                for (chain, class) in self.labels.iter().enumerate() {
                    let acceptance = numbers.acceptance.get(chain).map(f32::to_string);
                    let (predicted, probability) = match numbers.prediction(chain) {
                        Some((class, p)) => (class.to_string(), p.to_string()),
                        None => Default::default(),
                    };
                    // Writing to a string cannot fail.
                    let _ = writeln!(
                        text,
                        "{step},{lane},{chain},{class},{},{},{},{},{},{},{predicted},{probability},{},{}",
                        numbers.energy[chain],
                        numbers.gradient_norm[chain],
                        numbers.clamp_rate[chain],
                        numbers.saturation[chain],
                        numbers.distance[chain],
                        acceptance.unwrap_or_default(),
                        numbers.seconds,
                        numbers.num_gradients,
                    );
                }
            }
        }
        text
    }
}
