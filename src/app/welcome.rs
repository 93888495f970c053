//! The card at the first start: what an energy, a chain and a start are, and three ways to go on.

use egui::{Align2, Button, Context, RichText, Ui, Vec2, Window, vec2};

use super::{fit::fit, state::RunState};

/// The largest width of the card, in points.
const WIDTH: f32 = 440.0;

/// Below this height of the window, the buttons stand above the text.
const LOW: f32 = 420.0;

/// What the card says: the term and its explanation.
const SENTENCES: [(&str, &str); 3] = [
    (
        "An energy",
        "is a number that the model gives to every image: the lower it is, the more likely the model finds \
         the image.",
    ),
    (
        "A chain",
        "is an image that changes step by step: it walks towards lower energy, and most samplers add some \
         noise.",
    ),
    (
        "A start",
        "is where a chain begins: here, a random image around the average of its row's class.",
    ),
];

/// A way to go on from the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FirstStep {
    /// Let the chains run.
    Play,
    /// Open the first lesson.
    Lesson,
    /// Draw data and train a model on it.
    Draw,
}

/// The card, which is shown at the first start only.
#[derive(Default)]
pub(super) struct Welcome {
    pub(super) is_open: bool,
    /// Whether the chains rested while the card was shown.
    has_rested: bool,
}

impl Welcome {
    /// Draws the card, if it is open. Returns what a person chose.
    pub(super) fn ui(&mut self, ctx: &Context, run: &RunState) -> Option<FirstStep> {
        if !self.is_open {
            return None;
        }
        self.has_rested |= run.record.is_some() && !run.is_playing();
        if self.has_rested && run.is_playing() {
            // A person has found the button or the key.
            self.is_open = false;
            return None;
        }
        let mut chosen = None;
        let screen = ctx.content_rect().size();
        let mut is_open = true;
        // In a low window, the sentences scroll, and the buttons must be seen without scrolling.
        let is_low = screen.y < LOW;
        Window::new("Welcome")
            .open(&mut is_open)
            .collapsible(false)
            .resizable(false)
            .default_width(fit(screen.x - 40.0, 0.0, WIDTH))
            .max_height((screen.y - 80.0).max(60.0))
            .vscroll(is_low)
            .anchor(Align2::CENTER_CENTER, Vec2::ZERO)
            .show(ctx, |ui| {
                if is_low {
                    chosen = buttons(ui);
                }
                for (term, text) in SENTENCES {
                    ui.horizontal_wrapped(|ui| {
                        ui.spacing_mut().item_spacing.x = 4.0;
                        ui.label(RichText::new(term).strong().size(14.0));
                        ui.label(RichText::new(text).size(14.0));
                    });
                    ui.add_space(4.0);
                }
                if !is_low {
                    ui.add_space(4.0);
                    chosen = buttons(ui);
                    ui.weak("More words: ? Help");
                }
            });
        self.is_open = is_open && chosen.is_none();
        chosen
    }
}

/// Draws the three ways. Returns the one that was clicked.
fn buttons(ui: &mut Ui) -> Option<FirstStep> {
    let steps = [
        (FirstStep::Play, "Play", "Let the chains run (space)."),
        (
            FirstStep::Lesson,
            "Lesson 1, five minutes",
            "Read, try, and answer. There are eight lessons.",
        ),
        (
            FirstStep::Draw,
            "Draw your own",
            "Draw a few pictures, and a model learns them in a minute.",
        ),
    ];
    let mut chosen = None;
    ui.horizontal_wrapped(|ui| {
        for (step, name, hover) in steps {
            let button = Button::new(RichText::new(name).strong()).min_size(vec2(72.0, 30.0));
            let button = match step {
                FirstStep::Play => button.fill(ui.visuals().selection.bg_fill),
                _ => button,
            };
            if ui.add(button).on_hover_text(hover).clicked() {
                chosen = Some(step);
            }
        }
    });
    chosen
}
