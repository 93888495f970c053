//! The evaluation behind `jempp eval`: it measures a trained model, with confidence intervals, and writes the numbers
//! and an HTML report.

mod attack;
mod error;
mod fid;
mod frozen_model;
mod image_quality;
mod job;
pub mod metrics;
mod ood;
#[cfg(feature = "report")]
pub mod page;
mod part;
mod pictures;
mod progress;
mod request;
pub mod results;
mod seen;

pub use attack::cost_of_attacks;
pub(crate) use attack::shown_radius;
pub use error::EvalError;
pub use fid::{FidWeights, ORIGINAL_SHA256};
pub(crate) use image_quality::{OWN_JUDGE, is_same_model};
pub use job::evaluate;
pub use part::{evaluate_part, merge};
pub use pictures::Picture;
use progress::Progress;
pub use request::{EvalFiles, EvalRequest, Part, read_results};
