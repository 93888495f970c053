//! Tables in text files: fields separated by commas, semicolons or tabs, with or without quotes.

use super::Reason;

/// Limit on the fields of a line.
const MAX_FIELDS: usize = 1000;

/// A table: its lines, each with its number in the file, counted from 1.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) lines: Vec<(usize, Vec<String>)>,
    pub(super) separator: char,
}

/// Reads a table. Empty lines are left out.
///
/// # Errors
/// The text is not UTF-8 or has no separator, or a quote is not closed.
pub(super) fn parse(bytes: &[u8]) -> Result<Table, Reason> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| "it is neither a picture, an array nor a table in UTF-8".to_string())?;
    let text = text.trim_start_matches('\u{feff}');
    if text.contains('\0') {
        return Err("it is neither a picture, an array nor a table".into());
    }
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let separator = separator_of(first)
        .ok_or("its first line has a single column; it should hold x,y,label")?;
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let fields = fields(line, separator).ok_or_else(|| {
            format!("line {}: a quote is not closed, or a text follows it", index + 1)
        })?;
        lines.push((index + 1, fields));
    }
    Ok(Table { lines, separator })
}

/// The separator that makes three columns of a line, or else two. Commas come last, for they may be decimal points.
fn separator_of(line: &str) -> Option<char> {
    let mut is_quoted = false;
    let plain: Vec<char> = line
        .chars()
        .filter(|&c| {
            is_quoted ^= c == '"';
            !is_quoted
        })
        .collect();
    let num_of = |separator| plain.iter().filter(|&&c| c == separator).count();
    let separators = || ['\t', ';', ','].into_iter();
    separators()
        .find(|&separator| num_of(separator) >= 2)
        .or_else(|| separators().find(|&separator| num_of(separator) == 1))
}

/// The fields of a line; `None` if its quotes do not fit.
fn fields(line: &str, separator: char) -> Option<Vec<String>> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let start = rest.trim_start_matches(' ');
        let (field, after) = match start.strip_prefix('"') {
            Some(quoted) => {
                let (field, after) = unquoted(quoted)?;
                (field, after.trim_start_matches(' '))
            }
            None => {
                let end = rest.find(separator).unwrap_or(rest.len());
                (rest[..end].trim().to_string(), &rest[end..])
            }
        };
        fields.push(field);
        if after.is_empty() || fields.len() == MAX_FIELDS {
            return Some(fields);
        }
        rest = after.strip_prefix(separator)?;
    }
}

/// A text up to its closing quote, and what follows. Two quotes stand for one.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('"')?;
        field += before;
        match after.strip_prefix('"') {
            Some(after) => {
                field.push('"');
                rest = after;
            }
            None => return Some((field, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::any, test_runner::TestRunner};

    use super::*;

    fn rows(text: &str) -> Vec<Vec<String>> {
        parse(text.as_bytes()).unwrap().lines.into_iter().map(|(_, fields)| fields).collect()
    }

    #[test]
    fn quotes_and_separators_are_known() {
        assert_eq!(rows("1,2,a\n"), [["1", "2", "a"]]);
        assert_eq!(
            rows("\u{feff}1; 2 ;\"a;\"\"b\"\"\"\r\n\r\n3;4;c"),
            [["1", "2", "a;\"b\""], ["3", "4", "c"]]
        );
        assert_eq!(rows("1,5;2;a"), [["1,5", "2", "a"]]);
        assert_eq!(rows("1,2,a;b"), [["1", "2", "a;b"]]);
        assert_eq!(rows("x\ty\tl\n1\t2\t"), [["x", "y", "l"], ["1", "2", ""]]);
        assert!(parse(b"1,2,\"a").is_err());
        assert!(parse(b"1,2\n\"a\"b,2").unwrap_err().contains("line 2"));
        assert!(parse(b"word").unwrap_err().contains("x,y,label"));
        assert!(parse(b"\xff\xfe1,2").is_err());
    }

    #[test]
    fn what_is_quoted_comes_back() {
        let result = TestRunner::deterministic().run(&"[^\r\n\0]*", |field| {
            let line = format!("1,\"{}\",2", field.replace('"', "\"\""));
            assert_eq!(rows(&line)[0][1], field);
            Ok(())
        });
        result.unwrap();
    }

    #[test]
    fn any_text_is_refused_or_read() {
        let result = TestRunner::deterministic().run(&any::<Vec<u8>>(), |text| {
            let _ = parse(&text);
            Ok(())
        });
        result.unwrap();
    }
}
