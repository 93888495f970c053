//! Texts that people and strangers write: configurations, assignments, links, lessons, sessions.

use jempp::{
    app::Viewer,
    config::{PRESETS, RunConfig, ViewState},
    lessons::Lesson,
};

use super::viewer;

/// A configuration file.
pub(crate) fn config(bytes: &[u8]) -> bool {
    let Ok(config) = RunConfig::default().with_toml(&String::from_utf8_lossy(bytes)) else {
        return false;
    };
    keeps(&config);
    true
}

/// Lines of `--set` upon a preset, which the first byte names.
pub(crate) fn assignment(bytes: &[u8]) -> bool {
    let Some((&which, lines)) = bytes.split_first() else { return false };
    let mut config = RunConfig::preset(PRESETS[usize::from(which) % PRESETS.len()].name).unwrap();
    let mut is_accepted = false;
    for line in String::from_utf8_lossy(lines).lines() {
        if let Ok(next) = config.with_assignment(line) {
            config = next;
            is_accepted = true;
        }
    }
    keeps(&config);
    is_accepted
}

/// What is accepted is within its ranges and can be written down and read again.
fn keeps(config: &RunConfig) {
    let _ = config.validate();
    for text in [config.to_toml(), config.to_commented_toml()] {
        let again = RunConfig::default().with_toml(&text).expect("what was written can be read");
        assert_eq!(again, *config);
    }
}

/// The query of a link.
pub(crate) fn link(bytes: &[u8]) -> bool {
    match ViewState::from_query(&String::from_utf8_lossy(bytes)) {
        Ok(view) => {
            let again = ViewState::from_query(&view.to_query()).expect("a link leads somewhere");
            assert_eq!(again, view);
            true
        }
        Err(_) => false,
    }
}

/// A lesson, and the states that its links prepare.
pub(crate) fn lesson(bytes: &[u8]) -> bool {
    let lesson = Lesson::parse(&String::from_utf8_lossy(bytes));
    assert!(!lesson.steps.is_empty());
    for state in lesson.steps.iter().filter_map(|step| step.state()) {
        let _ = ViewState::from_query(state);
    }
    lesson.steps.len() > 1
}

/// The window's last session, which is kept as a link, and the chains that it asks for.
pub(crate) fn session(bytes: &[u8]) -> bool {
    let Ok(view) = ViewState::from_query(&String::from_utf8_lossy(bytes)) else { return false };
    drop(Viewer::new(view.clone()));
    let own = (!view.lanes.is_empty()).then_some(view.lanes.as_slice());
    viewer::show("two-moons", own);
    true
}
