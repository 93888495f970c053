//! The evaluation behind `jempp eval`: it measures a trained model, with confidence intervals, and writes the numbers
//! and an HTML report.

mod attack;
mod error;
mod frozen_model;
mod image_quality;
mod job;
pub mod metrics;
mod ood;
#[cfg(feature = "report")]
pub mod page;
mod pictures;
mod progress;
mod request;
pub mod results;

pub use error::EvalError;
pub use job::evaluate;
pub use pictures::Picture;
use progress::Progress;
pub use request::{EvalFiles, EvalRequest, Part, read_results};
