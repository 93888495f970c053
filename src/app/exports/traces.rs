//! Tables of the chains' numbers.

use std::{fmt::Write, sync::Arc};

use crate::{
    app::state::{Lab, RunState},
    worker::LaneNumbers,
};

const COLUMNS: &str = "step,lane,chain,class,energy,gradient_norm,clamp_rate,saturation,distance,\
                       acceptance_probability,predicted_class,predicted_probability,seconds,num_gradients\n";

/// The recorded numbers of a run.
pub(in crate::app) struct TracesJob {
    caption: String,
    labels: Vec<u32>,
    numbers: Vec<(u64, Arc<Vec<LaneNumbers>>)>,
}

impl TracesJob {
    /// Collects the numbers of the current run, or `None` if there are none yet.
    pub(super) fn new(run: &RunState, caption: &[String]) -> Option<Self> {
        let record = run.record.as_ref()?;
        let (labels, numbers) = (record.request.labels.clone(), record.numbers.entries().to_vec());
        let caption = comment(caption);
        (!numbers.is_empty()).then_some(Self { caption, labels, numbers })
    }

    /// The table, below its caption.
    pub(super) fn text(&self) -> String {
        let mut text = self.caption.clone() + COLUMNS;
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

/// The traces of the lab's chains as a table below its caption, or `None` if there are none yet.
pub(super) fn of_lab(lab: &Lab, caption: &[String]) -> Option<String> {
    let mut text = comment(caption) + "step,lane,chain,x0,x1,energy\n";
    let head = text.len();
    for (lane, record) in lab.record.lanes.iter().enumerate() {
        for (chain, trace) in record.traces.iter().enumerate() {
            for (step, [x0, x1, energy]) in (record.first_traced..).zip(trace) {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "{step},{lane},{chain},{x0},{x1},{energy}");
            }
        }
    }
    (text.len() > head).then_some(text)
}

/// Lines that programs skip as a comment.
fn comment(caption: &[String]) -> String {
    caption.iter().map(|line| format!("# {}\n", line.replace(['\n', '\r'], " "))).collect()
}
