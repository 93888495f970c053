//! Colours with a meaning, which colour-blind people can distinguish too (Okabe and Ito's palette).

use egui::Color32;

use super::fit::fit;

/// One colour per lane, or per series of a plot. They are visible on a light and on a dark background.
pub(super) const LANES: [Color32; 3] =
    [Color32::from_rgb(0, 134, 200), Color32::from_rgb(213, 94, 0), Color32::from_rgb(0, 158, 115)];

/// Something went wrong, such as a chain that exploded. Also used for banners, with white text.
pub(super) const BROKEN: Color32 = Color32::from_rgb(226, 38, 84);
/// The colour of the text of a warning, which has to be read on the background of a panel.
pub(super) fn warning(ui: &egui::Ui) -> Color32 {
    warning_in(ui.visuals().dark_mode)
}

/// The same in a dark or a light theme.
pub(super) fn warning_in(is_dark: bool) -> Color32 {
    match is_dark {
        true => Color32::from_rgb(255, 120, 145),
        false => Color32::from_rgb(190, 16, 60),
    }
}

/// The drift of a step, down the gradient.
pub(super) const DRIFT: Color32 = Color32::from_rgb(240, 228, 66);
/// The noise of a step.
pub(super) const NOISE: Color32 = Color32::from_rgb(253, 143, 156);
/// The banner that warns of slow computing on the CPU.
pub(super) const SLOW: Color32 = Color32::from_rgb(90, 80, 20);

/// The colours of classes in a scatter plot. None of them is a lane's.
pub(super) const CLASSES: [Color32; 8] = [
    Color32::from_rgb(202, 228, 12),
    Color32::from_rgb(182, 86, 252),
    Color32::from_rgb(91, 240, 221),
    Color32::from_rgb(253, 143, 156),
    Color32::from_rgb(241, 194, 107),
    Color32::from_rgb(165, 187, 249),
    Color32::from_rgb(115, 122, 160),
    Color32::from_rgb(239, 6, 76),
];

/// The ends of the scale for signed values: below 0, and above.
const BELOW: [u8; 3] = [160, 80, 240];
const ABOVE: [u8; 3] = [240, 228, 66];

/// A diverging colour scale for signed values in [-1, 1]: violet below 0, yellow above, dark at 0. Its colours are not
/// those of lanes.
pub(super) fn diverging(value: f32) -> Color32 {
    if !value.is_finite() {
        return BROKEN;
    }
    let strength = value.abs().min(1.0);
    let end = if value < 0.0 { BELOW } else { ABOVE };
    let mix = |to: u8| (24.0 + (f32::from(to) - 24.0) * strength) as u8;
    Color32::from_rgb(mix(end[0]), mix(end[1]), mix(end[2]))
}

/// A scale of energies in [0, 1], from the lowest, which is the most likely and bright, to the highest.
pub(super) fn energy(share: f32) -> Color32 {
    let share = if share.is_finite() { fit(share, 0.0, 1.0) } else { 1.0 };
    Color32::from_rgb(250, 246, 220).lerp_to_gamma(Color32::from_rgb(70, 40, 110), share)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Full colour vision, and protanopia, deuteranopia and tritanopia.
    ///
    /// # Source
    /// Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision Deficiency",
    /// 2009, severity 1.0; the matrices apply to linear RGB.
    const EYES: [[[f32; 3]; 3]; 4] = [
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ],
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ],
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ],
    ];

    fn times(matrix: &[[f32; 3]; 3], v: [f32; 3]) -> [f32; 3] {
        matrix.map(|row| row[0] * v[0] + row[1] * v[1] + row[2] * v[2])
    }

    /// A colour in CIELAB, as these eyes see it.
    fn lab(color: Color32, eyes: &[[f32; 3]; 3]) -> [f32; 3] {
        let linear = [color.r(), color.g(), color.b()].map(|byte| {
            let value = f32::from(byte) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        });
        let seen = times(eyes, linear).map(|value| fit(value, 0.0, 1.0));
        let xyz = times(
            &[
                [0.41246, 0.35758, 0.18044],
                [0.21267, 0.71515, 0.07218],
                [0.01933, 0.11919, 0.95030],
            ],
            seen,
        );
        let white = [0.95047, 1.0, 1.08883];
        let [x, y, z] = std::array::from_fn(|k| {
            let t: f32 = xyz[k] / white[k];
            if t > 216.0 / 24389.0 { t.cbrt() } else { (24389.0 / 27.0 * t + 16.0) / 116.0 }
        });
        [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
    }

    /// The distance of two colours in CIELAB for the eyes that tell them apart least. 2.3 is just visible.
    fn distance(a: Color32, b: Color32) -> f32 {
        let of = |eyes| {
            let (a, b) = (lab(a, eyes), lab(b, eyes));
            (0..3).map(|k| (a[k] - b[k]).powi(2)).sum::<f32>().sqrt()
        };
        EYES.iter().map(of).fold(f32::INFINITY, f32::min)
    }

    #[test]
    fn every_pair_of_meanings_can_be_told_apart_by_all_eyes() {
        let check = |what: &str, colors: &[Color32], least: f32| {
            for (index, &a) in colors.iter().enumerate() {
                for &b in &colors[..index] {
                    let found = distance(a, b);
                    assert!(found >= least, "{what}: {a:?} and {b:?} differ by {found}");
                }
            }
        };
        check("lanes", &LANES[..2], 60.0);
        // The third lane has another line style too.
        check("lanes", &LANES, 12.0);
        check("classes", &CLASSES, 20.0);
        check("a step", &[DRIFT, NOISE, Color32::WHITE], 20.0);
        check("overlay", &[diverging(-1.0), diverging(0.0), diverging(1.0)], 40.0);
        check("energies", &[energy(0.0), energy(0.5), energy(1.0)], 20.0);
        // Nothing else has the colour of a lane.
        let others =
            CLASSES.into_iter().chain([diverging(-1.0), diverging(1.0), BROKEN, DRIFT, NOISE]);
        for other in others {
            for lane in LANES {
                assert!(
                    distance(other, lane) >= 15.0,
                    "{other:?} {lane:?}: {}",
                    distance(other, lane)
                );
            }
        }
    }

    #[test]
    fn an_overlay_is_dark_where_it_is_zero_and_marks_what_is_no_number() {
        assert_eq!(diverging(0.0), Color32::from_gray(24));
        assert_eq!(diverging(f32::NAN), BROKEN);
        assert_eq!(diverging(9.0), diverging(1.0));
    }
}
