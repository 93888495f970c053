//! The window: chains one can watch, steer and compare. No tensor is known here.
//!
//! From below: leaves (`fit`, `theme`, `words`, `size_class`, `pixels`, `chart`, `record`, …), then `state`, what the
//! window knows, then the panels, each of which is given the parts of the state that it may touch, then `viewer`, the
//! whole state, and on top the three layouts and `window`, whose [`App`] joins them to a worker.

mod atlas;
mod banners;
mod brush;
mod canvas;
mod chains_panel;
mod chart;
mod compact;
mod compare;
mod controls;
mod disk;
mod embed;
mod exports;
mod files;
mod fit;
#[cfg(any(test, target_arch = "wasm32"))]
mod fonts;
mod grid;
mod help;
mod inpaint;
mod keys;
mod lab;
mod lessons;
mod magnifier;
mod menu;
mod nearest;
mod panels;
mod pixels;
mod plots;
mod record;
mod scatter;
mod selected;
mod size_class;
mod state;
mod status;
mod theme;
mod training;
mod transport;
mod viewer;
mod wide;
mod window;
mod words;

pub use crate::config::Tab;
#[cfg(target_arch = "wasm32")]
pub use fonts::small as small_fonts;
pub use record::{IMAGE_BYTES, NUMBER_BYTES, Record, Thinned};
pub use state::{Overlay, Selection};
pub use viewer::Viewer;
pub use window::{App, Link, SIZE};
