//! What the lab measures of its chains, with numbers made for the test.

use crate::app::Window;
use egui::accesskit::Toggled;
use egui_kittest::kittest::{NodeT, Queryable};
use jempp::{
    config::{LabTarget, ViewState, default_rule},
    worker::{
        Event,
        lab::{LabFrame, LabLaneFrame, LabSurface, LabUpdate},
    },
};

/// The number of squares along a side of the plane.
const SIDE: usize = 36;
/// The number of chains of a rule.
const NUM_CHAINS: usize = 40;

/// Reproducible values in (-1, 1) that look random.
fn noise(nth: usize) -> f32 {
    let bits = (nth as u32).wrapping_mul(0x9e37_79b9);
    let bits = (bits ^ (bits >> 15)).wrapping_mul(0x2c1b_3c6d);
    (bits ^ (bits >> 12)) as f32 / u32::MAX as f32 * 2.0 - 1.0
}

/// A window with the lab open, whose plane has this energy and these classes at each place.
fn lab(
    size: [f32; 2],
    num_rules: usize,
    target: LabTarget,
    at: impl Fn([f32; 2]) -> (f32, u8),
) -> Window {
    let mut view = ViewState::from_query("tab=lab").unwrap();
    view.lab.rules = vec![default_rule(); num_rules];
    view.lab.config.target = target;
    let mut window = Window::open(size, view);
    let place = |nth: usize| (nth as f32 + 0.5) / SIDE as f32 * 3.0 - 1.5;
    let squares = (0..SIDE * SIDE).map(|index| at([place(index % SIDE), place(index / SIDE)]));
    let (energy, classes): (Vec<f32>, Vec<u8>) = squares.unzip();
    let num_classes = 1 + u32::from(*classes.iter().max().unwrap());
    let surface = LabSurface { energy: energy.into(), around: [].into(), classes, num_classes };
    say(&mut window, LabUpdate::Surface(surface));
    say(&mut window, LabUpdate::Started(vec![vec![0; NUM_CHAINS]; num_rules]));
    window
}

fn say(window: &mut Window, update: LabUpdate) {
    window.worker.say(Event::Lab(Box::new(update)));
    window.pass(1, 0);
}

/// Chains at these places, with `num_steps` steps of noise in their traces.
fn lane(x: Vec<f32>, num_steps: usize) -> LabLaneFrame {
    LabLaneFrame {
        x,
        mean_energy: 1.0,
        clamp_rate: 0.0,
        acceptance: None,
        traces: (0..num_steps * 32 * 3).map(noise).collect(),
        tracked: None,
    }
}

fn inside() -> Vec<f32> {
    (0..2 * NUM_CHAINS).map(noise).collect()
}

#[test]
fn r_hat_is_a_tab_of_the_lab_and_is_withheld_once_chains_have_left() {
    for size in [[1280.0, 800.0], [800.0, 600.0], [390.0, 844.0]] {
        let mut window = lab(size, 1, LabTarget::Gaussian, |_| (0.0, 0));
        let frame = |step, x| LabUpdate::Frame(LabFrame { step, lanes: vec![lane(x, 100)] });
        for step in 1..=4 {
            say(&mut window, frame(100 * step, inside()));
        }
        assert!(window.has("R-hat 1.0") && window.has(" · ESS "), "{size:?}");
        for tab in ["Autocorrelation", "R-hat", "Traces", "R-hat"] {
            window.click(tab);
        }
        assert!(!window.has("No R-hat"));
        let mut x = inside();
        (x[0], x[11]) = (9.0, f32::NAN);
        say(&mut window, frame(500, x));
        assert!(window.has("No R-hat: 2 of 40 chains have left the plane."), "{size:?}");
        assert!(!window.has("R-hat 1.0"));
    }
}

#[test]
fn a_point_to_start_from_is_put_down_on_another_page() {
    let mut window = lab([1280.0, 800.0], 1, LabTarget::Gaussian, |_| (0.0, 0));
    let is_armed = |window: &Window| {
        let button = window.harness.get_by_label("Start from a point");
        button.accesskit_node().toggled() == Some(Toggled::True)
    };
    assert!(!is_armed(&window));
    window.click("Start from a point");
    assert!(is_armed(&window));
    window.click("Chains");
    window.click("Lab");
    assert!(!is_armed(&window), "a press in the plane chooses a chain again");
}

/// An energy with a valley at the left, at the right and at the top, which hold 50, 30 and 20 %.
fn three_valleys(at: [f32; 2]) -> (f32, u8) {
    let modes = [([-0.5, -0.3], 0.5f32), ([0.5, -0.3], 0.3), ([0.0, 0.6], 0.2)];
    let far = |mode: &([f32; 2], f32)| (at[0] - mode.0[0]).hypot(at[1] - mode.0[1]) / 0.15;
    let class = (0..3).min_by(|a, b| far(&modes[*a]).total_cmp(&far(&modes[*b]))).unwrap();
    (0.5 * far(&modes[class]).powi(2) - modes[class].1.ln(), class as u8)
}

#[test]
fn each_valley_has_a_bar_with_the_share_that_it_should_have() {
    for size in [[1280.0, 800.0], [800.0, 600.0], [390.0, 844.0]] {
        let mut window = lab(size, 1, LabTarget::Mixture, three_valleys);
        // 16, 14 and 10 of 40 chains.
        let x = (0..NUM_CHAINS).flat_map(|chain| match chain {
            0..16 => [-0.5, -0.3],
            16..30 => [0.5, -0.3],
            _ => [0.0, 0.6],
        });
        let lanes = vec![lane(x.collect(), 10)];
        say(&mut window, LabUpdate::Frame(LabFrame { step: 10, lanes }));
        let told = [("left 40", "50"), ("top 25", "20"), ("right 35", "30")];
        for (share, exact) in told {
            let whole = format!("{share} %, should be {exact}");
            let short = format!("{share} / {exact} %");
            assert!(window.has(&whole) || window.has(&short), "{whole} at {size:?}");
        }
    }
    let mut window = lab([1280.0, 800.0], 1, LabTarget::Gaussian, |_| (0.0, 0));
    say(&mut window, LabUpdate::Frame(LabFrame { step: 1, lanes: vec![lane(inside(), 1)] }));
    assert!(!window.has("should be"), "one valley holds all");
}

#[test]
fn two_lanes_have_the_distance_between_them_as_a_plot() {
    for size in [[1280.0, 800.0], [800.0, 600.0]] {
        let mut window = lab(size, 2, LabTarget::Gaussian, |_| (0.0, 0));
        let moved: Vec<f32> = inside().iter().map(|x| x + 0.3).collect();
        for (step, second) in [(1, inside()), (2, moved)] {
            let lanes = vec![lane(inside(), 1), lane(second, 1)];
            say(&mut window, LabUpdate::Frame(LabFrame { step, lanes }));
        }
        window.click("Distance");
        assert!(window.has("Distance between the lanes: 0.424"), "{size:?}");
        window.click("Energy");
        assert!(window.has("Mean energy"), "{size:?}");
    }
    let one = lab([1280.0, 800.0], 1, LabTarget::Gaussian, |_| (0.0, 0));
    assert!(!one.has("Distance"));
}
