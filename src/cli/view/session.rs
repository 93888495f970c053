//! The last session of the window: where it is stored, and what happens to a session that cannot be used.
//!
//! The session is stored as a link, so that it is read and checked like one. A mark file exists from the start of a
//! window until its first frames are drawn. If a start finds the mark of an earlier start, that one crashed, perhaps
//! because of the session: the session is set aside, and the window starts with its defaults.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
};

use eframe::Storage;

use crate::{
    config::ViewState,
    say::{self, complain},
};

/// The name of the storage file that eframe writes.
const FILE: &str = "app.ron";
/// The name of the mark file.
const MARK: &str = "starting";
/// The name for a session that cannot be used.
const ASIDE: &str = "set-aside";
/// The key of the link in the storage file, and two keys of eframe itself.
const KEY: &str = "view";
const OTHER_KEYS: [&str; 2] = ["egui", "window"];
/// The key of the drawings of the training tab.
const DRAWINGS: &str = "drawings";
/// The key of what the window remembers beside the view.
const MEMORY: &str = "memory";
/// The size limit of a session file, in bytes.
const MAX_BYTES: u64 = 16 << 20;
/// The largest number of characters of a reason in a message.
const MAX_REASON: usize = 200;

/// The last session, from the start of a window until its first frames are drawn.
#[derive(Default)]
pub(super) struct LastSession {
    folder: PathBuf,
    /// The mark file, kept open and locked while it exists.
    mark: Option<File>,
    warning: Option<String>,
}

impl LastSession {
    /// Creates the mark file. Sets the session aside if the previous start with it crashed, or if the file is not a
    /// session.
    pub(super) fn begin(folder: Option<PathBuf>) -> Self {
        let mut session = Self { folder: folder.unwrap_or_default(), ..Self::default() };
        let Ok(kept) = fs::metadata(session.file()) else {
            // There is no session, so it cannot be the cause of a crash.
            let _ = fs::remove_file(session.mark_path());
            return session;
        };
        if !kept.is_file() || kept.len() > MAX_BYTES {
            session.set_aside("is not a file that the window wrote");
        }
        let was_marked = session.mark_path().exists();
        let mark =
            OpenOptions::new().create(true).truncate(false).write(true).open(session.mark_path());
        // Without the mark file, nothing is known about the previous start. A folder that cannot be written has no
        // session.
        let Ok(mark) = mark else { return session };
        match mark.try_lock() {
            // Another window is starting now, and the mark belongs to it.
            Err(TryLockError::WouldBlock) => return session,
            // Some file systems have no locks.
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        if was_marked {
            session.set_aside("ended before its window was drawn");
        }
        session.mark = Some(mark);
        session
    }

    /// The view of the last session, if it can be restored.
    pub(super) fn restore(&mut self, storage: Option<&dyn Storage>) -> Option<ViewState> {
        if self.warning.is_some() || self.folder.as_os_str().is_empty() {
            return None;
        }
        let storage = storage?;
        let Some(link) = storage.get_string(KEY) else {
            let is_read = OTHER_KEYS.iter().any(|key| storage.get_string(key).is_some());
            if self.file().exists() && !is_read {
                self.set_aside("cannot be read");
            }
            return None;
        };
        match ViewState::from_query(&link) {
            Ok(view) => Some(view),
            Err(error) => {
                let reason = say::shortened(&error.to_string(), MAX_REASON);
                self.set_aside(&format!("cannot be shown ({reason})"));
                None
            }
        }
    }

    /// Gives the drawings of the last session to `take`, if there are any. Sets the session aside if they are refused.
    pub(super) fn restore_drawings(
        &mut self,
        storage: Option<&dyn Storage>,
        take: impl FnOnce(&str) -> Result<(), String>,
    ) {
        if self.warning.is_some() || self.folder.as_os_str().is_empty() {
            return;
        }
        let text = storage.and_then(|storage| storage.get_string(DRAWINGS));
        if let Some(Err(error)) = text.map(|text| take(&text)) {
            let reason = say::shortened(&error, MAX_REASON);
            self.set_aside(&format!("has drawings that cannot be shown ({reason})"));
        }
    }

    /// What the window of the last session remembered beside its view.
    pub(super) fn memory(&self, storage: Option<&dyn Storage>) -> Option<String> {
        if self.warning.is_some() || self.folder.as_os_str().is_empty() {
            return None;
        }
        storage?.get_string(MEMORY)
    }

    /// The warning to show, if the session was set aside.
    pub(super) fn warning(&self) -> Option<String> {
        self.warning.clone()
    }

    /// Removes the mark, because the window was drawn or closed normally.
    pub(super) fn end(self) {
        if self.mark.is_some() {
            // If the mark cannot be removed, the next start sets the session aside.
            let _ = fs::remove_file(self.mark_path());
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    fn mark_path(&self) -> PathBuf {
        self.folder.join(MARK)
    }

    /// Renames the session file, so that the window starts with its defaults, and keeps a warning.
    fn set_aside(&mut self, why: &str) {
        let aside = free_path(&self.folder);
        let what = match fs::rename(self.file(), &aside) {
            Ok(()) => format!("it was set aside as {}", aside.display()),
            Err(error) => format!("it could not be set aside: {error}"),
        };
        let warning = format!("The last session {why}; {what}.");
        complain!("{warning}");
        self.warning = Some(warning);
    }
}

/// Stores the view, the drawings of the training tab and what else the window remembers for the next start.
pub(super) fn keep(
    storage: &mut dyn Storage,
    view: &ViewState,
    drawings: Option<String>,
    memory: String,
) {
    storage.set_string(KEY, view.to_query());
    storage.set_string(MEMORY, memory);
    match drawings {
        Some(text) => storage.set_string(DRAWINGS, text),
        None => storage.remove_string(DRAWINGS),
    }
}

/// A path for the session that no other file has.
fn free_path(folder: &Path) -> PathBuf {
    let numbered = (2..).map(|number| folder.join(format!("{ASIDE}-{number}.ron")));
    let mut names = std::iter::once(folder.join(format!("{ASIDE}.ron"))).chain(numbered);
    names.find(|path| !path.exists()).unwrap_or_else(|| folder.join(ASIDE))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[derive(Default)]
    struct Memory(HashMap<String, String>);

    impl Storage for Memory {
        fn get_string(&self, key: &str) -> Option<String> {
            self.0.get(key).cloned()
        }

        fn set_string(&mut self, key: &str, value: String) {
            self.0.insert(key.into(), value);
        }

        fn remove_string(&mut self, key: &str) {
            self.0.remove(key);
        }

        fn flush(&mut self) {}
    }

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn put(folder: &Path, text: &[u8]) {
        crate::files::write_atomically(&folder.join(FILE), text).unwrap();
    }

    fn begin(folder: &Path) -> LastSession {
        LastSession::begin(Some(folder.to_path_buf()))
    }

    #[test]
    fn a_start_that_did_not_get_far_sets_its_session_aside() {
        let folder = folder();
        put(folder.path(), b"{}");
        // The process ends here without removing the mark.
        drop(begin(folder.path()));
        let session = begin(folder.path());
        let warning = session.warning().unwrap();
        assert!(warning.contains("ended before its window was drawn"), "{warning}");
        assert!(warning.contains("set-aside.ron"), "{warning}");
        assert!(!folder.path().join(FILE).exists() && folder.path().join("set-aside.ron").exists());
        session.end();
        assert!(!folder.path().join(MARK).exists());
        // Another bad session does not replace the first one.
        put(folder.path(), b"{}");
        drop(begin(folder.path()));
        assert!(begin(folder.path()).warning().unwrap().contains("set-aside-2.ron"));
    }

    #[test]
    fn a_start_that_went_well_keeps_its_session() {
        let folder = folder();
        assert_eq!(begin(folder.path()).warning(), None, "there is none yet");
        put(folder.path(), b"{}");
        for _ in 0..2 {
            let session = begin(folder.path());
            assert_eq!(session.warning(), None);
            session.end();
        }
        // While one window starts, another one does not set its session aside.
        let first = begin(folder.path());
        assert_eq!(begin(folder.path()).warning(), None);
        first.end();
        assert_eq!(begin(folder.path()).warning(), None);
    }

    #[test]
    fn a_session_that_cannot_be_shown_is_set_aside() {
        let folder = folder();
        let mut memory = Memory::default();
        put(folder.path(), b"{}");
        let view = ViewState::from_query("model=mnist&per_class=3").unwrap();
        keep(&mut memory, &view, None, "{}".into());
        let restored = |memory: &Memory| {
            let mut session = begin(folder.path());
            let view = session.restore(Some(memory));
            let warning = session.warning();
            session.end();
            (view, warning)
        };
        assert_eq!(restored(&memory), (Some(view), None));
        for link in ["per_class=1000000000", "sampler.step_size=nan", "(view:(per_class:3))"] {
            put(folder.path(), b"{}");
            memory.set_string(KEY, link.into());
            let (view, warning) = restored(&memory);
            assert_eq!(view, None);
            assert!(warning.unwrap().starts_with("The last session cannot be shown ("));
        }
        put(folder.path(), b"{}");
        keep(&mut memory, &ViewState::default(), Some("{\"classes\":[]}".into()), "{}".into());
        let mut session = begin(folder.path());
        let mut taken = None;
        session.restore_drawings(Some(&memory), |text| {
            taken = Some(text.to_string());
            Ok(())
        });
        assert_eq!((taken.as_deref(), session.warning()), (Some("{\"classes\":[]}"), None));
        session.restore_drawings(Some(&memory), |_| Err("no drawings".into()));
        let warning = session.warning().unwrap();
        assert!(warning.contains("has drawings that cannot be shown (no drawings)"), "{warning}");
        session.end();
        put(folder.path(), b"{ half of");
        let (_, warning) = restored(&Memory::default());
        assert!(warning.unwrap().starts_with("The last session cannot be read; it was set aside"));
        fs::create_dir(folder.path().join(FILE)).unwrap();
        assert!(
            restored(&Memory::default()).1.unwrap().contains("not a file that the window wrote")
        );
    }
}
