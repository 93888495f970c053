//! The real window with the real worker on a virtual display: the test presses keys and takes screenshots.
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use image::RgbImage;

/// A process that is killed at the end of the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An X server, with functions to control it.
struct Display {
    name: String,
    _server: Running,
}

impl Display {
    /// `None`, with a message, if the programs are missing. With `REQUIRE_DISPLAY=1`, this is a failure.
    fn open() -> Option<Self> {
        for (program, argument) in
            [("Xvfb", "-help"), ("xdotool", "--version"), ("import", "-version")]
        {
            let ran = Command::new(program).arg(argument).output();
            if let Err(error) = ran {
                assert!(std::env::var("REQUIRE_DISPLAY").is_err(), "{program}: {error}");
                eprintln!("SKIPPED: {program} is not installed");
                return None;
            }
        }
        // By default, the server resets when its last client leaves, and drops clients that connect meanwhile.
        let mut server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-noreset", "-screen", "0", "1280x800x24"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut number = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut number).unwrap();
        Some(Self { name: format!(":{}", number.trim()), _server: Running(server) })
    }

    fn run(&self, program: &str, arguments: &[&str]) -> String {
        let output =
            Command::new(program).args(arguments).env("DISPLAY", &self.name).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_string()
    }

    fn picture(&self, path: &Path) -> RgbImage {
        self.run("import", &["-window", "root", path.to_str().unwrap()]);
        image::open(path).unwrap().to_rgb8()
    }
}

/// Repeats the question until there is an answer.
fn wait<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(90) {
        if let Some(answer) = ask() {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    panic!("{what}: not within 90 s");
}

/// The pixels in the middle, where the chains are.
fn middle(picture: &RgbImage) -> Vec<u8> {
    let view = image::imageops::crop_imm(picture, 420, 150, 500, 350).to_image();
    view.pixels().map(|pixel| pixel.0[1]).collect()
}

/// Starts the program with these arguments. Its home directory is `folder`, and its output goes to the file
/// `said` there.
fn start(display: &Display, folder: &Path, arguments: &[&str]) -> Running {
    let program = Command::new(env!("CARGO_BIN_EXE_jempp"))
        .args(arguments)
        .env("DISPLAY", &display.name)
        .env("HOME", folder)
        .env("XDG_RUNTIME_DIR", folder)
        .env_remove("WAYLAND_DISPLAY")
        .env_remove("XDG_DATA_HOME")
        .stderr(std::fs::File::create(folder.join("said")).unwrap())
        .spawn();
    Running(program.unwrap())
}

/// Waits until the window can receive keys. A window exists, and can be found, before it is on the screen.
/// Until then the server refuses to give it the keyboard focus, and the space bar would have no effect.
fn wait_for_window(display: &Display, program: &mut Running, folder: &Path) {
    wait("the window, with the keys", || {
        if let Some(status) = program.0.try_wait().unwrap() {
            let said = std::fs::read_to_string(folder.join("said")).unwrap();
            panic!("the program has ended, {status}: {said}");
        }
        let window = display.run("xdotool", &["search", "--onlyvisible", "--name", "^jempp$"]);
        display.run("xdotool", &["windowfocus", &window]);
        let is_focused = display.run("xdotool", &["getwindowfocus"]) == window;
        (is_focused && !window.is_empty()).then_some(())
    });
}

#[cfg(unix)]
#[test]
fn a_signal_closes_the_window_in_order_and_a_bad_session_is_set_aside() {
    let Some(display) = Display::open() else { return };
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join(".local/share/jempp");
    std::fs::create_dir_all(&kept).unwrap();
    std::fs::write(kept.join("app.ron"), r#"{"view":"per_class=1000000000"}"#).unwrap();
    let mut program = start(&display, folder.path(), &["view", "--device", "cpu"]);
    wait_for_window(&display, &mut program, folder.path());
    let mark = kept.join("starting");
    wait("enough frames", || (!mark.exists()).then_some(()));
    let pid = program.0.id().to_string();
    display.run("kill", &["-TERM", &pid]);
    let status = wait("the end", || program.0.try_wait().unwrap());
    assert_eq!(status.code(), Some(143));
    let said = std::fs::read_to_string(folder.path().join("said")).unwrap();
    assert!(said.contains("The last session cannot be shown (`per_class` = 1000000000"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    let aside = std::fs::read_to_string(kept.join("set-aside.ron")).unwrap();
    assert!(aside.contains("per_class=1000000000"), "{aside}");
    assert!(kept.join("app.ron").exists(), "what was shown last is kept");
}

#[cfg(unix)]
#[test]
fn a_session_that_ends_the_start_is_set_aside_at_the_next_one() {
    let Some(display) = Display::open() else { return };
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join(".local/share/jempp");
    std::fs::create_dir_all(&kept).unwrap();
    // With a zoom of 0, egui never finishes a frame.
    let session = r#"{"view":"per_class=3","egui":"(options:(zoom_factor:0.0))"}"#;
    std::fs::write(kept.join("app.ron"), session).unwrap();
    let arguments = ["view", "--device", "cpu"];
    let mark = kept.join("starting");
    let mut program = start(&display, folder.path(), &arguments);
    wait("the mark of the start", || mark.exists().then_some(()));
    std::thread::sleep(Duration::from_secs(3));
    // A person would lose patience here.
    program.0.kill().unwrap();
    program.0.wait().unwrap();
    assert!(mark.exists(), "the start did not succeed");
    let mut program = start(&display, folder.path(), &arguments);
    wait_for_window(&display, &mut program, folder.path());
    wait("enough frames", || (!mark.exists()).then_some(()));
    let said = std::fs::read_to_string(folder.path().join("said")).unwrap();
    assert!(said.contains("The last session ended before its window was drawn"), "{said}");
    let aside = std::fs::read_to_string(kept.join("set-aside.ron")).unwrap();
    assert_eq!(aside, session);
}

#[test]
fn chains_run_in_the_real_window() {
    let Some(display) = Display::open() else { return };
    let folder = tempfile::tempdir().unwrap();
    let save_to = folder.path().to_str().unwrap();
    let arguments = ["view", "?num_steps=40", "--device", "cpu", "--save-to", save_to];
    let mut program = start(&display, folder.path(), &arguments);
    wait_for_window(&display, &mut program, folder.path());
    let before = wait("the chains at their starts", || {
        let picture = display.picture(&folder.path().join("before.png"));
        let bytes = middle(&picture);
        let bright = bytes.iter().filter(|&&byte| byte > 120).count();
        (bright > bytes.len() / 50).then_some(picture)
    });
    display.run("xdotool", &["key", "space"]);
    std::thread::sleep(Duration::from_secs(2));
    wait("another picture", || {
        let after = middle(&display.picture(&folder.path().join("after.png")));
        let changed =
            after.iter().zip(middle(&before)).filter(|(a, b)| a.abs_diff(*b) > 20).count();
        (changed > after.len() / 50).then_some(())
    });
    // The run ends at step 40, and the table contains its record.
    let energies = wait("40 steps in the table", || {
        display.run("xdotool", &["key", "ctrl+e"]);
        std::thread::sleep(Duration::from_secs(1));
        let tables = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let newest = tables
            .filter(|path| path.extension().is_some_and(|ending| ending == "csv"))
            .max_by_key(|path| std::fs::metadata(path).unwrap().modified().unwrap())?;
        let table = std::fs::read_to_string(newest).unwrap();
        let mean = |step: &str| {
            let rows = table.lines().filter(|line| line.starts_with(step));
            let energies: Vec<f64> =
                rows.map(|line| line.split(',').nth(4).unwrap().parse().unwrap()).collect();
            (!energies.is_empty()).then(|| energies.iter().sum::<f64>() / energies.len() as f64)
        };
        Some((mean("0,")?, mean("40,")?))
    });
    assert!(energies.1 < energies.0 - 1.0, "energies must fall: {energies:?}");
    assert!(program.0.try_wait().unwrap().is_none(), "the window is still open");
}

#[test]
fn without_a_display_the_window_says_what_it_needs() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_jempp"))
        .arg("view")
        .env("HOME", folder.path())
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .env_remove("WAYLAND_SOCKET")
        .output()
        .unwrap();
    if cfg!(target_os = "linux") {
        assert!(!output.status.success());
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains("no window could be opened"), "{error}");
        assert!(!error.contains("panicked"), "{error}");
    }
}
