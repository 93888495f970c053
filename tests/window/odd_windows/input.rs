//! Links, lessons and files of strangers: nothing may crash the window.

use std::sync::Arc;

use jempp::{
    config::{ViewState, default_rule},
    lessons::{Lesson, MAX_STEPS},
    worker::Event,
};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Window, lanes};

/// Values that are not numbers, or too many.
const ODD_VALUES: [&str; 24] = [
    "",
    "nan",
    "NaN",
    "inf",
    "-inf",
    "-1",
    "0",
    "1",
    "1e308",
    "-1e-308",
    "1000000000",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
    "0x10",
    "%ff%fe",
    "%",
    "%00",
    "true",
    "lab",
    "image",
    "1,2,3,,,-4,99999999999",
    "\u{202e}\u{1b}",
    "mala",
];

/// A text with some of its bytes changed, removed or duplicated.
fn mutated(text: &str, rng: &mut ChaCha8Rng) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..rng.random_range(1..6) {
        let at = rng.random_range(0..=bytes.len());
        match rng.random_range(0..4) {
            0 => bytes.insert(at, rng.next_u32() as u8),
            1 if at < bytes.len() => bytes[at] = rng.next_u32() as u8,
            2 if at < bytes.len() => drop(bytes.remove(at)),
            _ => {
                let part = bytes[at..(at + 12).min(bytes.len())].to_vec();
                bytes.splice(at..at, part);
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn no_link_ends_the_window() {
    let mut rng = ChaCha8Rng::seed_from_u64(19);
    let mut rich = lanes(3);
    rich.lanes[1].is_conditional = true;
    rich.lanes[2].split = 4;
    rich.view.classes = vec![1, 2];
    rich.view.seed = 7;
    rich.lab.rules = vec![default_rule(); 2];
    rich.lab.config.painted = vec![1, 2, 3, 4];
    rich.lab.config.seed = 3;
    let keys = [
        "tab",
        "lesson",
        "lesson_step",
        "model",
        "seed",
        "per_class",
        "classes",
        "num_steps",
        "play",
        "max_steps_per_sec",
        "sampler.kind",
        "sampler.step_size",
        "sampler.noise_std",
        "sampler.num_inner_steps",
        "sampler.proximal_radius",
        "lane3.sampler.num_steps",
        "lane2.start",
        "split",
        "lane2.split",
        "norm",
        "is_conditional",
        "lab.view",
        "lab.target",
        "lab.model",
        "lab.width",
        "lab.painted",
        "lab.num_chains",
        "lab.point",
        "lab.seed",
        "lab2.sampler.kind",
        "lab.learn_rate",
        "lab.learn_data",
        "lab2.start",
        "lab.num_steps",
        "lane4.split",
        "lane0.norm",
        "sampler",
        "lab.sampler",
        "",
        ".",
        "lab.",
        "lane2.",
    ];
    let whole = rich.to_query();
    let (mut num_shown, mut num_refused) = (0, 0);
    for nth in 0..6000 {
        let link = match nth % 2 {
            0 => mutated(&whole, &mut rng),
            _ => {
                let pair = |rng: &mut ChaCha8Rng| {
                    let key = keys[rng.random_range(0..keys.len())];
                    format!("{key}={}", ODD_VALUES[rng.random_range(0..ODD_VALUES.len())])
                };
                let pairs = (0..rng.random_range(1..4)).map(|_| pair(&mut rng));
                pairs.collect::<Vec<_>>().join("&")
            }
        };
        let view = match ViewState::from_query(&link) {
            Ok(view) => view,
            Err(error) => {
                num_refused += 1;
                assert!(!error.to_string().contains('\n'), "{link}: {error}");
                continue;
            }
        };
        num_shown += 1;
        view.validate().unwrap();
        let again = ViewState::from_query(&view.to_query()).unwrap();
        assert_eq!(again, view, "{link}");
        // Some of them are drawn too.
        if num_shown % 4 == 0 {
            let mut window = Window::new(view);
            window.pass(2, 2);
        }
    }
    assert!(num_shown > 100 && num_refused > 1000, "{num_shown} shown, {num_refused} refused");
}

#[test]
fn no_lesson_ends_the_window() {
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let mut view = ViewState::default();
    view.view.lesson = 1;
    let mut window = Window::new(view);
    let texts: Vec<String> = (1..=8)
        .map(|number| std::fs::read_to_string(format!("assets/lessons/{number}.md")).unwrap())
        .chain(["> ".repeat(3000), "- ".repeat(3000), "[".repeat(3000), "# \n## \n## \n>".into()])
        .chain([String::new(), "\u{feff}\u{0}## [x](?per_class=nan)".into()])
        .collect();
    for nth in 0..1500 {
        let text = &texts[nth % texts.len()];
        let text = if nth < texts.len() { text.clone() } else { mutated(text, &mut rng) };
        let lesson = Lesson::parse(&text);
        assert!(!lesson.steps.is_empty());
        for link in lesson.steps.iter().filter_map(|step| step.state()) {
            let _ = ViewState::from_query(link);
        }
        if nth < texts.len() || nth % 50 == 0 {
            window.viewer().lesson.open(1, 1 + nth % 99);
            window.say([Event::Lesson { number: 1, text }]);
        }
    }
    window.say([Event::Lesson { number: 1, text: "## a step\n".repeat(5000) }]);
    assert!(window.has(&format!("only the first {MAX_STEPS} are shown")));
    window.at_every_size();
}

/// A file dropped on the window, as on a desktop.
#[derive(Debug)]
struct Dropped(std::path::PathBuf);

impl egui::DroppedFile for Dropped {
    fn path(&self) -> &std::path::Path {
        &self.0
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        std::fs::read(&self.0).map_err(|error| error.to_string())
    }
}

#[cfg(unix)]
#[test]
fn a_picture_without_an_end_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("endless.png");
    std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
    let mut window = Window::new(ViewState::default());
    window.harness.input_mut().dropped_files.push(Arc::new(Dropped(path)));
    for _ in 0..400 {
        window.pass(1, 0);
        if window.has("not a regular file") {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(25));
    }
    panic!("it was never refused");
}
