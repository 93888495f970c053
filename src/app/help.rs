//! The help overlay, which explains the terms and lists the keys.

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
    ("left / right", "one step back or forward"),
    ("R", "restart: the same starts, the same noise"),
    ("N", "restart with a new seed"),
    (
        "0 – 9",
        "show only that row (0: the tenth), or the class that the digit names; again: all rows",
    ),
    ("A", "show all rows"),
    ("Ctrl Z", "bring back the run before the last restart, seed, model or Continue from here"),
    ("Ctrl O", "open a checkpoint or a picture"),
    ("Ctrl S / G / E", "save the picture, the animation, the traces"),
    ("P", "presentation: larger text, no panels, a ring around the pointer; P or Esc ends it"),
    ("?", "this help"),
];

const WORDS: &[(&str, &str)] = &[
    (
        "energy",
        "One number for a whole image: energy(x) = -log Σ exp(logits). Low energy means likely: p(x) is \
         exp(-energy(x)) divided by a constant.",
    ),
    (
        "chain",
        "An image that changes: step by step it walks towards lower energy, with some noise if its sampler adds it. \
         Each cell of the grid is one chain; each row is the class it started from. A tick marks a chain in \
         which the model sees that class.",
    ),
    (
        "gradient",
        "The direction in which the energy of an image rises fastest, a number for each pixel. A chain steps against it.",
    ),
    (
        "SGLD",
        "Stochastic gradient Langevin dynamics: a step of size α against the gradient, and random noise of size σ.",
    ),
    (
        "descent or sampling",
        "Without noise a chain slides into the nearest valley and stays: descent finds likely images. Sampling visits \
         images as often as they are likely, and needs enough noise.",
    ),
    (
        "temperature, β",
        "How strong the noise is beside the gradient: temperature = σ²/2α, and β is 1 divided by it. At temperature 1 the \
         chains sample p(x); colder chains crowd into the valleys.",
    ),
    (
        "R-hat, ESS",
        "R-hat compares chains with each other: above 1.01 they still disagree. It cannot see what no chain has found. Near 1 \
         it does not show that the distribution is right: too large a step gives the wrong one, and all chains agree \
         about it. The effective sample size (ESS) is the number of independent samples that the chains are worth.",
    ),
    (
        "proximal step",
        "The gradient is clipped to ±r, and the pixels stay in [-1, 1]. This keeps JEM++ stable.",
    ),
    (
        "PYLD-M-N",
        "JEM++'s sampler: M full gradients, each used for N steps through the first layer only. The full gradients take most of \
         the time.",
    ),
    (
        "class centres",
        "One Gaussian per class, estimated from the training images. Chains that start there begin near the \
         data.",
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
                    "A classifier is also a generative model. Press Play and watch its chains turn from class \
                     centres into images. Then raise the step size of SGLD until it breaks, and see why the \
                     proximal step does not.",
                );
                ui.add_space(6.0);
                if ui.button("Presentation mode (P)").clicked() {
                    self.wants_presentation = true;
                    is_closed = true;
                }
                ui.add_space(6.0);
                ui.heading("Words");
                for (word, meaning) in WORDS {
                    ui.horizontal_wrapped(|ui| {
                        ui.strong(format!("{word}:"));
                        ui.label(*meaning);
                    });
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
