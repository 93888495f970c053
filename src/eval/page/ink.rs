//! The colours of figures and how lines and dots are told apart without them.
//!
//! Figures are drawn for light paper. Every colour is a known one, so that a rule of the style sheet can put another
//! in its place on a dark screen.

use std::fmt::Write;

use plotters::style::RGBColor;

/// What a colour is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    /// Labels.
    Text,
    /// Axes, and lines to compare with.
    Axis,
    /// Lines at ticks.
    Grid,
    /// The inside of hollow dots.
    Paper,
    /// What is the same for all models.
    Data,
    /// The model of that index.
    Model(usize),
}

/// Colours of models, told apart by the colour-blind (Okabe & Ito) and dark enough for print; each with the one for
/// dark screens.
const MODELS: [((u8, u8, u8), &str); 4] = [
    ((0x00, 0x72, 0xB2), "#5EB7EE"),
    ((0xC8, 0x50, 0x00), "#F08A45"),
    ((0x00, 0x85, 0x62), "#43C99E"),
    ((0x9A, 0x4C, 0x86), "#DD9BC9"),
];

impl Ink {
    fn both(self) -> ((u8, u8, u8), &'static str) {
        match self {
            Self::Text => ((0x33, 0x38, 0x3D), "#C9CED4"),
            Self::Axis => ((0x7A, 0x80, 0x87), "#8D949C"),
            Self::Grid => ((0xE2, 0xE5, 0xE8), "#33393F"),
            Self::Paper => ((0xFE, 0xFE, 0xFE), "#1C2024"),
            Self::Data => ((0x8A, 0x90, 0x96), "#A7AEB6"),
            Self::Model(index) => MODELS[index % MODELS.len()],
        }
    }

    /// The colour on paper.
    pub(super) fn color(self) -> RGBColor {
        let ((r, g, b), _) = self.both();
        RGBColor(r, g, b)
    }

    /// The same as an attribute, spelled as plotters does.
    pub(super) fn hex(self) -> String {
        let ((r, g, b), _) = self.both();
        format!("#{r:02X}{g:02X}{b:02X}")
    }
}

/// The rules that put the colours for dark screens in the place of those on paper.
pub(super) fn dark_rules() -> String {
    let models = (0..MODELS.len()).map(Ink::Model);
    let inks = [Ink::Text, Ink::Axis, Ink::Grid, Ink::Paper, Ink::Data].into_iter().chain(models);
    let mut rules = String::from("@media screen and (prefers-color-scheme: dark) {\n");
    for ink in inks {
        let (light, (_, dark)) = (ink.hex(), ink.both());
        // Writing to a string cannot fail.
        let _ = writeln!(rules, "[fill=\"{light}\"] {{ fill: {dark}; }}");
        let _ = writeln!(rules, "[stroke=\"{light}\"] {{ stroke: {dark}; }}");
    }
    rules + "}\n"
}

/// How a line is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dash {
    /// There is no line.
    Nothing,
    /// Not at all.
    Solid,
    /// Strokes and gaps of these lengths.
    Broken(i32, i32),
}

/// The shape of a dot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// There are no dots.
    Nothing,
    /// A full circle.
    Disc,
    /// A hollow circle.
    Ring,
    /// A full square.
    Square,
    /// A full triangle.
    Triangle,
    /// A full square on its corner.
    Diamond,
}

/// How a curve looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// Its colour.
    pub(super) ink: Ink,
    /// Its line.
    pub(super) dash: Dash,
    /// Its dots.
    pub(super) shape: Shape,
}

/// Looks that differ in print.
const DASHES: [(Dash, Shape); 4] = [
    (Dash::Solid, Shape::Disc),
    (Dash::Broken(9, 4), Shape::Square),
    (Dash::Broken(2, 4), Shape::Triangle),
    (Dash::Broken(14, 4), Shape::Diamond),
];

impl Look {
    /// Of the model of that index.
    pub(super) fn of_model(index: usize) -> Self {
        let (dash, shape) = DASHES[index % DASHES.len()];
        Self { ink: Ink::Model(index), dash, shape }
    }
}
