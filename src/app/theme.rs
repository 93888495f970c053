//! Colours with a meaning, which colour-blind people can distinguish too (Okabe and Ito's palette).

use egui::Color32;

/// One colour per lane, or per series of a plot. They are visible on a light and on a dark background.
pub(super) const LANES: [Color32; 3] =
    [Color32::from_rgb(0, 134, 200), Color32::from_rgb(213, 94, 0), Color32::from_rgb(0, 158, 115)];

/// The model predicts the class of the row.
pub(super) const AGREES: Color32 = Color32::from_rgb(0, 134, 200);
/// The model predicts another class.
pub(super) const DIFFERS: Color32 = Color32::from_rgb(230, 159, 0);
/// Something went wrong, such as a chain that exploded. Also used for banners.
pub(super) const BROKEN: Color32 = Color32::from_rgb(213, 94, 0);
/// The banner that warns of slow computing on the CPU.
pub(super) const SLOW: Color32 = Color32::from_rgb(90, 80, 20);

/// The colours of classes in a scatter plot.
pub(super) const CLASSES: [Color32; 8] = [
    Color32::from_rgb(230, 159, 0),
    Color32::from_rgb(86, 180, 233),
    Color32::from_rgb(0, 158, 115),
    Color32::from_rgb(240, 228, 66),
    Color32::from_rgb(0, 114, 178),
    Color32::from_rgb(213, 94, 0),
    Color32::from_rgb(204, 121, 167),
    Color32::from_rgb(150, 150, 150),
];

/// A diverging colour scale for signed values in [-1, 1]: blue below 0, orange above, grey at 0.
pub(super) fn diverging(value: f32) -> Color32 {
    if !value.is_finite() {
        return BROKEN;
    }
    let strength = value.abs().min(1.0);
    let end = if value < 0.0 { [0, 114, 255] } else { [255, 140, 0] };
    let mix = |to: u8| (24.0 + (f32::from(to) - 24.0) * strength) as u8;
    Color32::from_rgb(mix(end[0]), mix(end[1]), mix(end[2]))
}
