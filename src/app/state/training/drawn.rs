//! The drawings of a person's own data set: what is drawn, what can be undone, and how a model is trained on it. This
//! module draws nothing.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use web_time::Instant;

use crate::{
    app::{
        fit::fit,
        state::{Requests, TrainingRecord},
    },
    config::RunConfig,
    data::{
        OwnFile,
        drawn::{
            DrawnClass, DrawnSet, GOOD_DRAWINGS, MAX_CLASSES, MAX_DRAWINGS, MAX_POINTS, SEED, SIDE,
            Strokes, class_name,
        },
    },
    worker::Command,
};

/// The names of the classes at first: shapes that a finger draws in a second.
const FIRST_CLASSES: [&str; 3] = ["circle", "cross", "zigzag"];
/// The preset for a run on drawings.
const PRESET: &str = "drawings";
/// The largest number of changes that can be undone.
const MAX_UNDO: usize = 200;
/// Points of a stroke closer than this to the last one are left out, as a fraction of the canvas.
const MIN_DISTANCE: f32 = 0.01;
/// How long the pictures may take in one frame.
const FRAME_TIME: Duration = Duration::from_millis(8);

/// What an undo restores.
#[derive(Clone, Debug, PartialEq)]
struct Sketch {
    set: DrawnSet,
    /// The strokes on the canvas, which belong to no class yet.
    canvas: Strokes,
    /// The index of the class that is drawn.
    class: usize,
}

/// Pictures that are being made for a run.
struct Making {
    files: Vec<OwnFile>,
    rest: Box<dyn ExactSizeIterator<Item = OwnFile>>,
    out: PathBuf,
}

/// The drawings of a person's own data set.
pub struct Drawings {
    now: Sketch,
    earlier: VecDeque<Sketch>,
    /// Whether a stroke is being drawn.
    is_drawing: bool,
    making: Option<Making>,
    /// The folder of the last run on drawings.
    folder: Option<PathBuf>,
    num_runs: usize,
    requests: Requests,
}

impl std::fmt::Debug for Drawings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Drawings").field("now", &self.now).finish_non_exhaustive()
    }
}

impl Drawings {
    /// Three empty classes.
    pub(in crate::app) fn new(requests: Requests) -> Self {
        let class = |name: &str| DrawnClass { name: name.into(), drawings: Vec::new() };
        let set = DrawnSet { classes: FIRST_CLASSES.map(class).into() };
        Self {
            now: Sketch { set, canvas: Vec::new(), class: 0 },
            earlier: VecDeque::new(),
            is_drawing: false,
            making: None,
            folder: None,
            num_runs: 0,
            requests,
        }
    }

    /// The classes with their drawings.
    pub fn classes(&self) -> &[DrawnClass] {
        &self.now.set.classes
    }

    /// The number of drawings of all classes together.
    pub fn num_drawings(&self) -> usize {
        self.now.set.num_drawings()
    }

    /// The data set of all drawings.
    pub(in crate::app) fn set(&self) -> &DrawnSet {
        &self.now.set
    }

    /// The strokes on the canvas, which belong to no class yet.
    pub(in crate::app) fn canvas(&self) -> &Strokes {
        &self.now.canvas
    }

    /// The index of the class that is drawn.
    pub(in crate::app) fn class(&self) -> usize {
        self.now.class
    }

    /// Whether a stroke is being drawn at this moment.
    pub(in crate::app) fn is_drawing(&self) -> bool {
        self.is_drawing
    }

    /// Whether there is a change to undo.
    pub(in crate::app) fn can_undo(&self) -> bool {
        !self.earlier.is_empty()
    }

    /// Undoes the last change.
    pub(in crate::app) fn undo(&mut self) {
        if let Some(earlier) = self.earlier.pop_back() {
            self.now = earlier;
        }
        self.is_drawing = false;
    }

    /// Changes the sketch, so that the change can be undone.
    fn change(&mut self, change: impl FnOnce(&mut Sketch)) {
        let before = self.now.clone();
        change(&mut self.now);
        self.now.class = self.now.class.min(self.now.set.classes.len().saturating_sub(1));
        if self.now != before {
            self.earlier.push_back(before);
        }
        if self.earlier.len() > MAX_UNDO {
            self.earlier.pop_front();
        }
    }

    /// Begins a stroke at a point of the canvas.
    pub(in crate::app) fn begin_stroke(&mut self, at: [f32; 2]) {
        if self.is_drawing {
            return;
        }
        let Some(class) = self.classes().get(self.now.class) else { return };
        if class.drawings.len() < MAX_DRAWINGS && num_points(&self.now.canvas) < MAX_POINTS {
            self.change(|sketch| sketch.canvas.push(vec![on_canvas(at)]));
            self.is_drawing = true;
        }
    }

    /// Draws the stroke on to a point of the canvas.
    pub(in crate::app) fn draw_to(&mut self, at: [f32; 2]) {
        if self.is_drawing {
            extend(&mut self.now.canvas, on_canvas(at));
        }
    }

    /// Ends the stroke.
    pub(in crate::app) fn end_stroke(&mut self) {
        self.is_drawing = false;
    }

    /// Puts the drawing on the canvas into its class, and clears the canvas. After [`GOOD_DRAWINGS`] drawings, the next
    /// class that has fewer is drawn.
    pub(in crate::app) fn next(&mut self) {
        self.is_drawing = false;
        if self.now.canvas.is_empty() {
            return;
        }
        self.change(|Sketch { set, canvas, class }| {
            let drawing = Arc::new(std::mem::take(canvas));
            if let Some(of_class) = set.classes.get_mut(*class) {
                of_class.drawings.push(drawing);
                if of_class.drawings.len() == GOOD_DRAWINGS {
                    let count = set.classes.len();
                    let mut others = (1..count).map(|step| (*class + step) % count);
                    let has_room = |&at: &usize| set.classes[at].drawings.len() < GOOD_DRAWINGS;
                    *class = others.find(has_room).unwrap_or(*class);
                }
            }
        });
    }

    /// Clears the canvas.
    pub(in crate::app) fn clear(&mut self) {
        self.is_drawing = false;
        self.change(|sketch| sketch.canvas.clear());
    }

    /// Chooses the class that is drawn. What is on the canvas joins the class that was drawn before.
    pub(in crate::app) fn choose_class(&mut self, class: usize) {
        if class != self.now.class {
            self.next();
            self.now.class = class.min(self.classes().len().saturating_sub(1));
        }
    }

    /// Renames a class.
    ///
    /// # Errors
    /// The name is empty or taken, in words for the user.
    pub(in crate::app) fn rename(&mut self, class: usize, name: &str) -> Result<(), String> {
        let name = class_name(name);
        if name.is_empty() {
            return Err("A class needs a name.".into());
        }
        let mut others = self.classes().iter().enumerate().filter(|(index, _)| *index != class);
        if others.any(|(_, other)| other.name == name) {
            return Err(format!("There is already a class {name}."));
        }
        self.change(|sketch| sketch.set.classes[class].name = name);
        Ok(())
    }

    /// Adds a class and chooses it.
    pub(in crate::app) fn add_class(&mut self) {
        let is_taken = |name: &String| self.classes().iter().any(|class| class.name == *name);
        let mut names = (self.classes().len() + 1..).map(|number| format!("class {number}"));
        let name = names.find(|name| !is_taken(name)).unwrap_or_default();
        if self.classes().len() < MAX_CLASSES {
            self.next();
            self.change(|sketch| {
                sketch.class = sketch.set.classes.len();
                sketch.set.classes.push(DrawnClass { name, drawings: Vec::new() });
            });
        }
    }

    /// Removes a class with its drawings. One class always stays.
    pub(in crate::app) fn remove_class(&mut self, class: usize) {
        if self.classes().len() > 1 {
            self.change(|sketch| {
                sketch.set.classes.remove(class);
                if sketch.class > class {
                    sketch.class -= 1;
                }
            });
        }
    }

    /// Removes a drawing.
    pub(in crate::app) fn remove_drawing(&mut self, class: usize, drawing: usize) {
        self.change(|sketch| {
            sketch.set.classes[class].drawings.remove(drawing);
        });
    }

    /// Replaces all classes by examples.
    pub(in crate::app) fn take_examples(&mut self) {
        self.take(DrawnSet::examples(SEED));
    }

    /// Replaces all classes by those of a file or of the last session.
    pub(in crate::app) fn take(&mut self, set: DrawnSet) {
        self.is_drawing = false;
        self.change(|sketch| *sketch = Sketch { set, canvas: Vec::new(), class: 0 });
    }

    /// The drawings as text for the next session; `None` if nothing is drawn.
    pub fn to_text(&self) -> Option<String> {
        (self.num_drawings() > 0).then(|| self.set().to_json())
    }

    /// Restores the drawings of the last session.
    ///
    /// # Errors
    /// The text is not of [`Drawings::to_text`].
    pub fn restore(&mut self, text: &str) -> Result<(), String> {
        self.now.set = DrawnSet::from_json(text).map_err(|error| error.to_string())?;
        Ok(())
    }

    /// Begins to make the pictures for a run in the folder `out`. The run starts when they are made.
    pub(in crate::app) fn train(&mut self, out: PathBuf) {
        self.next();
        if self.making.is_none() && self.set().problem().is_none() {
            let rest = Box::new(self.set().files(SEED));
            self.folder = Some(out.clone());
            self.making = Some(Making { files: Vec::with_capacity(rest.len()), rest, out });
        }
    }

    /// The share of the pictures for a run that is made; `None` if none are being made.
    pub(in crate::app) fn share_made(&self) -> Option<f32> {
        let making = self.making.as_ref()?;
        let (made, rest) = (making.files.len() as f32, making.rest.len() as f32);
        Some(made / (made + rest).max(1.0))
    }

    /// Makes some of the pictures for a run. When all are made, asks the worker for the run, and returns true.
    pub(in crate::app) fn go_on(&mut self) -> bool {
        let Some(making) = &mut self.making else { return false };
        let begin = Instant::now();
        for file in making.rest.by_ref() {
            making.files.push(file);
            if begin.elapsed() >= FRAME_TIME {
                return false;
            }
        }
        let Some(Making { files, out, .. }) = self.making.take() else { return false };
        self.num_runs += 1;
        // A run that goes on later still finds its own list.
        let name = match self.num_runs {
            1 => "drawings".to_string(),
            count => format!("drawings ({count})"),
        };
        let mut config = RunConfig::preset(PRESET).unwrap_or_default();
        config.seed = SEED;
        config.data.dir.clone_from(&name);
        self.requests.send(Command::GiveData { name, files });
        self.requests.send(Command::Train { config: Box::new(config), out });
        true
    }

    /// Whether the run that the window follows is one on these drawings.
    pub(in crate::app) fn is_run(&self, record: &TrainingRecord) -> bool {
        record.has_begun() && self.folder.as_deref() == Some(Path::new(&record.folder))
    }

    /// Whether a model of this shape can classify a drawing.
    pub(in crate::app) fn fits(shape: [usize; 3]) -> bool {
        shape == [1, SIDE, SIDE]
    }
}

/// A point within the canvas, rounded, so that its text is short.
fn on_canvas(at: [f32; 2]) -> [f32; 2] {
    at.map(|value| (1000.0 * fit(value, 0.0, 1.0)).round() / 1000.0)
}

fn num_points(strokes: &Strokes) -> usize {
    strokes.iter().map(Vec::len).sum()
}

/// Draws the last stroke on to a point. If there are too many points, every second point of the longest stroke goes.
pub(in crate::app) fn extend(strokes: &mut Strokes, to: [f32; 2]) {
    let Some(stroke) = strokes.last_mut() else { return };
    let is_far = |from: &[f32; 2]| (to[0] - from[0]).hypot(to[1] - from[1]) >= MIN_DISTANCE;
    if stroke.last().is_none_or(is_far) {
        stroke.push(to);
    }
    if num_points(strokes) > MAX_POINTS
        && let Some(longest) = strokes.iter_mut().max_by_key(|stroke| stroke.len())
    {
        let mut is_kept = std::iter::repeat([true, false]).flatten();
        longest.retain(|_| is_kept.next().unwrap_or(true));
    }
}
