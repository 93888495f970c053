//! The colours of figures, and the dashes and dot shapes that distinguish curves without colour.
//!
//! Figures are drawn for light paper. All colours come from a fixed palette, so that rules of the style sheet can
//! replace each one on a dark screen.

use std::fmt::Write;

use plotters::style::RGBColor;

/// A colour by its purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ink {
    /// Text, such as labels of axes and ticks.
    Text,
    /// Axes and reference lines.
    Axis,
    /// Grid lines at the ticks.
    Grid,
    /// The inside of hollow dots.
    Paper,
    /// Data that is the same for all models.
    Data,
    /// The model with this index.
    Model(usize),
}

/// The colours of models, each with its variant for dark screens. Colour-blind people can distinguish them (Okabe &
/// Ito), and they are dark enough for print.
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
    pub(crate) fn color(self) -> RGBColor {
        let ((r, g, b), _) = self.both();
        RGBColor(r, g, b)
    }

    /// The colour as an SVG attribute, spelled as plotters does.
    pub(crate) fn hex(self) -> String {
        let ((r, g, b), _) = self.both();
        format!("#{r:02X}{g:02X}{b:02X}")
    }
}

/// CSS rules that replace the paper colours on dark screens.
pub(crate) fn dark_rules() -> String {
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

/// The dash pattern of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dash {
    /// No line is drawn.
    Nothing,
    /// A solid line.
    Solid,
    /// A dashed line: lengths of stroke and gap.
    Broken(i32, i32),
}

/// The shape of a dot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// No dots are drawn.
    Nothing,
    /// A filled circle.
    Disc,
    /// A hollow circle.
    Ring,
    /// A filled square.
    Square,
    /// A filled triangle.
    Triangle,
    /// A filled diamond.
    Diamond,
}

/// The style of a curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// The colour of the line and the dots.
    pub(crate) ink: Ink,
    /// The dash pattern of the line.
    pub(crate) dash: Dash,
    /// The shape of the dots.
    pub(crate) shape: Shape,
}

/// Dash patterns and dot shapes that differ in print.
const DASHES: [(Dash, Shape); 4] = [
    (Dash::Solid, Shape::Disc),
    (Dash::Broken(9, 4), Shape::Square),
    (Dash::Broken(2, 4), Shape::Triangle),
    (Dash::Broken(14, 4), Shape::Diamond),
];

impl Look {
    /// The style of the model with this index.
    pub(crate) fn of_model(index: usize) -> Self {
        let (dash, shape) = DASHES[index % DASHES.len()];
        Self { ink: Ink::Model(index), dash, shape }
    }
}
