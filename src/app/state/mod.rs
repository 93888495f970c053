//! The state of the window, in five parts: the open model's chains, the lab, training, the open lesson, and the
//! session. A panel gets the parts that it shows or changes. This module draws nothing.

mod lab;
mod lesson;
mod requests;
mod run;
mod session;
mod training;

pub(in crate::app) use self::{
    lab::{Agreement, Curve, LaneRecord, MAX_LAG, shares},
    requests::Requests,
    run::IDENTICAL,
    session::{Export, ExportKind, PictureOptions, TRAINING_AFTER_FAILURE},
    training::{
        Chosen, Dropped, Phase, TrainingRecord, duration_text, extend, smooth, usual_range,
    },
};
pub(super) use self::{
    lab::{Lab, LabRecord},
    lesson::OpenLesson,
    run::{Classified, RunState},
    session::Session,
    training::{Drawings, OwnData, Training},
};
pub use self::{
    run::{Overlay, Selection},
    training::LastRun,
};
