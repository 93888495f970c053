//! The few forms of YAML that a front matter needs. Texts are written as JSON writes them, which every reader of YAML takes
//! literally: no colon, quote or `no` in a name can change its meaning.

use std::fmt;

/// A value of YAML.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Yaml {
    Text(String),
    Number(f64),
    List(Vec<Yaml>),
    Map(Vec<(&'static str, Yaml)>),
}

impl Yaml {
    pub(super) fn text(text: impl AsRef<str>) -> Self {
        Self::Text(text.as_ref().to_string())
    }

    /// The lines of a list or of a map, without indentation at the outermost level.
    fn lines(&self) -> Vec<String> {
        let indented = |lines: Vec<String>| lines.into_iter().map(|line| format!("  {line}"));
        match self {
            Self::List(items) => {
                let item = |item: &Self| match item {
                    Self::Text(_) | Self::Number(_) => vec![format!("- {}", Scalar(item))],
                    inner => {
                        // The first line of the inner lines stands behind the dash.
                        let mut lines: Vec<String> = indented(inner.lines()).collect();
                        if let Some(first) = lines.first_mut() {
                            first.replace_range(..1, "-");
                        }
                        lines
                    }
                };
                items.iter().flat_map(item).collect()
            }
            Self::Map(entries) => {
                let entry = |(key, value): &(&str, Self)| match value {
                    Self::Text(_) | Self::Number(_) => vec![format!("{key}: {}", Scalar(value))],
                    Self::List(items) if items.is_empty() => vec![format!("{key}: []")],
                    inner => {
                        std::iter::once(format!("{key}:")).chain(indented(inner.lines())).collect()
                    }
                };
                entries.iter().flat_map(entry).collect()
            }
            scalar => vec![Scalar(scalar).to_string()],
        }
    }
}

impl fmt::Display for Yaml {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.lines().iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// A text or a number on one line.
struct Scalar<'a>(&'a Yaml);

impl fmt::Display for Scalar<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.0 {
            Yaml::Text(text) if is_plain(text) => f.write_str(text),
            Yaml::Text(text) => write!(f, "{}", serde_json::Value::from(text.as_str())),
            // As in results.json.
            Yaml::Number(number) => write!(f, "{}", serde_json::Value::from(*number)),
            Yaml::List(_) | Yaml::Map(_) => Ok(()),
        }
    }
}

/// Whether every reader takes a text without quotes as this text.
fn is_plain(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "-_/+.".contains(c);
    let reserved = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(is_word)
        && !reserved.contains(&text.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_keep_their_meaning() {
        for (text, written) in [
            ("image-classification", "image-classification"),
            ("no", "\"no\""),
            ("0x1F", "\"0x1F\""),
            ("L∞: 8/255", "\"L∞: 8/255\""),
            ("a \"b\"\n- c", "\"a \\\"b\\\"\\n- c\""),
            ("", "\"\""),
        ] {
            assert_eq!(Scalar(&Yaml::text(text)).to_string(), written);
        }
    }

    #[test]
    fn lists_and_maps_are_indented() {
        let inner = Yaml::Map(vec![("value", Yaml::Number(0.9111)), ("tags", Yaml::List(vec![]))]);
        let whole =
            Yaml::Map(vec![("name", Yaml::text("m")), ("results", Yaml::List(vec![inner]))]);
        let expected = "name: m\nresults:\n  -\n    value: 0.9111\n    tags: []\n";
        assert_eq!(whole.to_string(), expected);
    }
}
