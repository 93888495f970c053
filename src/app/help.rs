//! The help overlay, which lists the keys and explains the terms.

/// The state of the help overlay.
#[derive(Default)]
pub(super) struct Help {
    /// Whether the overlay is shown.
    pub is_open: bool,
    /// Whether a person asked for the presentation mode.
    pub(super) wants_presentation: bool,
}

/// Below this width in points, there is no space for the list of keys.
const NARROW: f32 = 400.0;

const KEYS: &[(&str, &str)] = &[
    ("space", "play or pause"),
    ("← →", "one step back or on"),
    ("R", "restart: the same starts, the same noise"),
    ("N", "restart with a new seed"),
    ("0 – 9", "show only that row (0: the tenth), or the digit of that name; again: all rows"),
    ("A", "show all rows"),
    ("Ctrl Z", "bring back the run before the last restart, seed or model"),
    ("Ctrl O", "open a checkpoint or a picture"),
    ("Ctrl S / G / E", "save the picture, the animation, the traces"),
    ("P", "presentation: larger text, no panels, a ring around the pointer; again or Esc: back"),
    ("?", "this help"),
];

const WORDS: &[(&str, &str)] = &[
    (
        "energy",
        "What the classifier says of an image as a whole: energy(x) = -log Σ exp(logits). Low energy means \
         probable: p(x) is exp(-energy) over a constant.",
    ),
    (
        "chain",
        "An image that moves: every step goes a little down the energy and adds a little noise. Each cell of \
         the grid is one chain, each row the class it started from. A tick marks a chain in which the model sees \
         that class.",
    ),
    (
        "proximal step",
        "The gradient is clamped to ±r and the pixels are kept in [-1, 1]. It is what keeps JEM++ stable.",
    ),
    (
        "PYLD-M-N",
        "M full gradients, each used for N steps through the first layer only. The full gradients are what \
         costs time.",
    ),
    (
        "class centres",
        "A Gaussian per class, estimated from the training images, from which chains start: close to where \
         they are going.",
    ),
];

impl Help {
    /// Draws the help window, if it is open.
    pub(super) fn ui(&mut self, ctx: &egui::Context) {
        let width = (ctx.content_rect().width() - 60.0).min(560.0);
        let height = ctx.content_rect().height() - 100.0;
        let mut is_closed = false;
        egui::Window::new("Help")
            .open(&mut self.is_open)
            .collapsible(false)
            .resizable(false)
            .default_width(width)
            .max_height(height)
            .vscroll(true)
            .anchor(egui::Align2::CENTER_CENTER, egui::Vec2::ZERO)
            .show(ctx, |ui| {
                // Rows as high as text, not as high as buttons.
                ui.spacing_mut().interact_size.y = 20.0;
                ui.label(
                    "A classifier is also a generative model. Press Play and see its chains leave their class \
                     centres and become images. Then raise the step size of SGLD until it breaks, and see why \
                     the proximal step does not.",
                );
                ui.add_space(6.0);
                if ui.button("Presentation mode (P)").clicked() {
                    self.wants_presentation = true;
                    is_closed = true;
                }
                ui.add_space(6.0);
                // A phone has no keyboard.
                if width > NARROW {
                    ui.heading("Keys");
                    egui::Grid::new("keys").num_columns(2).striped(true).show(ui, |ui| {
                        for (key, what) in KEYS {
                            ui.monospace(*key);
                            ui.label(*what);
                            ui.end_row();
                        }
                    });
                    ui.add_space(6.0);
                }
                ui.heading("Words");
                for (word, meaning) in WORDS {
                    ui.horizontal_wrapped(|ui| {
                        ui.strong(format!("{word}:"));
                        ui.label(*meaning);
                    });
                }
                ui.add_space(6.0);
                ui.horizontal_wrapped(|ui| {
                    ui.label("From");
                    ui.hyperlink_to("JEM (arXiv:1912.03263)", "https://arxiv.org/abs/1912.03263");
                    ui.label("and");
                    ui.hyperlink_to("JEM++ (arXiv:2109.09032)", "https://arxiv.org/abs/2109.09032");
                });
            });
        self.is_open &= !is_closed;
    }
}
