//! The presentation mode, and how lanes are named so that everyone can read it.

use crate::{app::Window, scripted::Scripted};
use egui::{Color32, Key, Shape, epaint::TextShape};
use jempp::{
    app::{App, Tab},
    config::{ViewStart, ViewState},
};

fn zoom(window: &Window) -> f32 {
    window.harness.ctx.zoom_factor()
}

#[test]
fn a_window_that_was_closed_in_a_presentation_has_its_own_zoom_again() {
    let mut window = Window::open([1600.0, 900.0], ViewState::default());
    window.harness.key_press(Key::P);
    window.pass(4, 0);
    assert!((zoom(&window) - 1.5).abs() < 1e-3);
    // The next window has egui's memory of this one.
    let (worker, link) = Scripted::new();
    window.worker = worker;
    *window.harness.state_mut() = App::new(link, ViewState::default());
    window.pass(4, 0);
    assert!((zoom(&window) - 1.0).abs() < 1e-3, "{}", zoom(&window));
    assert!(window.has("? Help"));
    // A zoom that a person chose stays.
    window.harness.ctx.set_zoom_factor(1.25);
    window.pass(4, 0);
    let (worker, link) = Scripted::new();
    window.worker = worker;
    *window.harness.state_mut() = App::new(link, ViewState::default());
    window.pass(4, 0);
    assert!((zoom(&window) - 1.25).abs() < 1e-3, "{}", zoom(&window));
}

#[test]
fn a_presentation_has_no_panels_in_any_tab() {
    let (wide, small) = ([1600.0, 900.0], [390.0, 844.0]);
    for (tab, size, of_panel) in [
        (Tab::Lab, wide, "Slice of the image model"),
        (Tab::Train, wide, "Draw your own data"),
        (Tab::Train, small, "Draw your own data"),
        (Tab::Chains, small, "Controls"),
    ] {
        let what = format!("{tab:?} at {size:?}");
        let mut window = Window::open(size, ViewState::default());
        window.harness.state_mut().viewer_mut().session.tab = tab;
        window.pass(2, 0);
        assert!(window.has(of_panel), "{what}");
        window.harness.key_press(Key::P);
        window.pass(4, 0);
        assert!(!window.has(of_panel), "{what}");
        match size == small {
            // A phone has no keys.
            true => window.click("End presentation"),
            false => window.harness.key_press(Key::Escape),
        }
        window.pass(4, 0);
        assert!(window.has(of_panel) && (zoom(&window) - 1.0).abs() < 1e-3, "{what}");
    }
}

#[test]
fn a_tablet_ends_a_presentation_with_a_button() {
    for tab in [Tab::Chains, Tab::Plots, Tab::Train, Tab::Lab] {
        let mut window = Window::open([1600.0, 900.0], ViewState::default());
        window.harness.state_mut().viewer_mut().session.tab = tab;
        window.pass(2, 0);
        assert!(!window.has("End presentation"));
        window.harness.key_press(Key::P);
        window.pass(4, 0);
        assert!(!window.has("? Help"), "{tab:?}");
        window.click("End presentation");
        window.pass(4, 0);
        assert!(window.has("? Help") && (zoom(&window) - 1.0).abs() < 1e-3, "{tab:?}");
    }
}

/// The colours of the drawn texts that begin with these words.
fn colors(shape: &Shape, words: &str, found: &mut Vec<Color32>) {
    match shape {
        Shape::Vec(shapes) => shapes.iter().for_each(|shape| colors(shape, words, found)),
        Shape::Text(TextShape { galley, fallback_color, override_text_color, .. })
            if galley.text().starts_with(words) =>
        {
            let own = galley.job.sections.first().map(|section| section.format.color);
            let own = own.filter(|color| *color != Color32::PLACEHOLDER);
            found.push(override_text_color.or(own).unwrap_or(*fallback_color));
        }
        _ => {}
    }
}

/// The relative luminance of a colour (WCAG 2).
fn luminance(color: Color32) -> f32 {
    let linear = |channel: u8| {
        let share = f32::from(channel) / 255.0;
        if share <= 0.04045 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * linear(color.r()) + 0.7152 * linear(color.g()) + 0.0722 * linear(color.b())
}

#[test]
fn the_names_of_lanes_can_be_read() {
    for theme in [egui::Theme::Dark, egui::Theme::Light] {
        let mut window = Window::new();
        window.harness.ctx.set_theme(theme);
        let mut lanes = vec![window.viewer().run.lanes[0].clone(); 3];
        (lanes[1].start, lanes[2].start) = (ViewStart::Uniform, ViewStart::Data);
        window.harness.state_mut().viewer_mut().run.compare("", lanes, 20);
        window.pass(3, 1);
        let ground = luminance(window.harness.ctx.style_of(theme).visuals.panel_fill);
        for name in ["1: PYLD", "2: PYLD", "3: PYLD"] {
            let mut found = Vec::new();
            for clipped in &window.harness.output().shapes {
                colors(&clipped.shape, name, &mut found);
            }
            assert!(!found.is_empty(), "{name} is drawn");
            for color in found {
                let text = luminance(color);
                let contrast = (text.max(ground) + 0.05) / (text.min(ground) + 0.05);
                assert!(contrast >= 4.5, "{name} in {theme:?}: {color:?}, {contrast}");
            }
        }
    }
}
