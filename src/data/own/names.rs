//! The names of files in a list that somebody else wrote, and which of them are left out.

use crate::counts::counted;

/// Limit on the depth of folders in folders.
pub(super) const MAX_DEPTH: usize = 8;
/// The names that systems give to files of their own, in lower case.
const SYSTEM_FILES: [&str; 4] = ["thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx"];

/// Whether a file or folder of this name is hidden, or one that a system keeps for itself.
pub(super) fn is_hidden(own_name: &str) -> bool {
    own_name.starts_with('.') || SYSTEM_FILES.contains(&own_name.to_lowercase().as_str())
}

/// Decides about the names of files in a list that somebody else wrote, and counts what it leaves out.
#[derive(Default)]
pub(super) struct Names {
    num_hidden: usize,
    num_leading_out: usize,
    num_deep: usize,
}

impl Names {
    /// The name with `/` between its parts and without empty ones; `None` for a file that is left out.
    pub(super) fn accept(&mut self, name: &str) -> Option<String> {
        let name = name.replace('\\', "/");
        let is_rooted = name.starts_with('/') || name.as_bytes().get(1) == Some(&b':');
        let parts: Vec<&str> =
            name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        if is_rooted || parts.contains(&"..") || name.contains('\0') || parts.is_empty() {
            self.num_leading_out += 1;
            return None;
        }
        if parts.iter().any(|part| is_hidden(part)) {
            self.num_hidden += 1;
            return None;
        }
        if parts.len() > MAX_DEPTH + 1 {
            self.num_deep += 1;
            return None;
        }
        Some(parts.join("/"))
    }

    /// What was left out, in words.
    pub(super) fn skipped(&self) -> Vec<String> {
        let all = [
            (self.num_hidden, counted(self.num_hidden, "hidden file", "hidden files")),
            (
                self.num_leading_out,
                counted(
                    self.num_leading_out,
                    "file whose name leads out of the archive",
                    "files whose names lead out of the archive",
                ),
            ),
            (
                self.num_deep,
                format!(
                    "{} more than {MAX_DEPTH} folders deep",
                    counted(self.num_deep, "file", "files")
                ),
            ),
        ];
        all.into_iter().filter(|(count, _)| *count > 0).map(|(_, what)| what).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_nowhere_but_into_the_list() {
        let mut names = Names::default();
        assert_eq!(names.accept("a/b.png").as_deref(), Some("a/b.png"));
        assert_eq!(names.accept("./a\\b..png").as_deref(), Some("a/b..png"));
        for name in
            ["../a.png", "a/../../b.png", "/etc/a.png", "C:\\a.png", "\\\\host\\a.png", "", "a\0/b"]
        {
            assert_eq!(names.accept(name), None, "{name}");
        }
        assert_eq!(names.accept("__MACOSX/a/._b.png"), None);
        assert_eq!(names.accept("1/2/3/4/5/6/7/8/9/a.png"), None);
        assert_eq!(names.skipped().len(), 3);
        assert_eq!(names.skipped()[1], "7 files whose names lead out of the archive");
    }
}
