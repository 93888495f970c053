//! Points in the plane with labels, from a table `x,y,label`, scaled to the box [-1, 1]².

use super::{
    MAX_ITEMS, Reason,
    items::{Gathered, Items, classes_of, some_of},
    table,
};
use crate::counts::counted;
use crate::{config::DataConfig, data::Values};

/// Limit on the bytes of a table.
pub(super) const MAX_BYTES: u64 = 64 << 20;
/// The share of the box that the points leave free on each side, so that none lies at its border.
const MARGIN: f64 = 0.1;
/// The largest coordinate, up or down; data.frame takes twice as much.
const MAX_COORDINATE: f64 = 1e15;
/// The names of a column with labels, in lower case.
const LABELS: [&str; 4] = ["label", "class", "target", "y"];

/// Reads points from the bytes of a table.
///
/// # Errors
/// The table is damaged, or a line has no two numbers and a label.
pub(super) fn read(bytes: &[u8], config: &DataConfig) -> Result<Gathered, Reason> {
    let table = table::parse(bytes)?;
    let Some((_, first)) = table.lines.first() else { return Err("it is empty".into()) };
    let Columns { has_header, places, choice } = Columns::of(first, table.separator)?;
    let lines = &table.lines[usize::from(has_header)..];
    if lines.len() > MAX_ITEMS {
        return Err(format!("it holds {} points; at most {MAX_ITEMS} are read", lines.len()));
    }
    if lines.is_empty() {
        return Err("it holds no points, only a line with the names of its columns".into());
    }
    let (mut points, mut labels) = (Vec::with_capacity(2 * lines.len()), Vec::new());
    // What is chosen where a number holds a comma.
    let mut comma = None;
    for (number, fields) in lines {
        if fields.iter().skip(first.len()).any(|field| !field.is_empty()) {
            return Err(format!(
                "line {number} has {}, the first line has {}{}",
                columns(fields.len()),
                first.len(),
                hint(table.separator)
            ));
        }
        let field = |column: usize| match fields.get(column) {
            Some(field) => Ok(field.as_str()),
            None => Err(format!(
                "line {number} has {}, and x, y and label are needed",
                columns(fields.len())
            )),
        };
        for (column, name) in places.iter().zip(["x", "y"]) {
            let text = field(*column)?;
            let value = coordinate(text, table.separator).ok_or_else(|| match text {
                "" => format!("line {number}: {name} is empty; every point needs a number there"),
                _ => format!(
                    "line {number}: `{}` is not a number from -1e15 to 1e15",
                    text.chars().take(40).collect::<String>()
                ),
            })?;
            if comma.is_none() && text.contains(',') {
                comma = Some(format!("commas are decimal points: `{text}` is read as {value}"));
            }
            points.push(value);
        }
        let label = field(places[2])?;
        if label.is_empty() {
            return Err(format!("line {number}: the label is empty; every point needs one"));
        }
        labels.push(label);
    }
    let classes = classes_of(&labels)?;
    let parts = [Some((points, classes.of_labels)), None, None];
    let mut gathered = gather(parts, classes.names, config)?;
    if has_header && first.len() > 3 {
        let others = (0..first.len()).filter(|column| !places.contains(column));
        let others: Vec<String> = others.map(|column| first[column].clone()).collect();
        gathered.skipped.push(format!("other columns ({})", some_of(&others)));
    }
    gathered.choices.insert(0, choice);
    gathered.choices.extend([comma, classes.choice].into_iter().flatten());
    Ok(gathered)
}

/// A number of columns in words.
fn columns(count: usize) -> String {
    counted(count, "column", "columns")
}

/// What to do if the columns are too many because commas are decimal points too.
fn hint(separator: char) -> &'static str {
    match separator {
        ',' => "; if its commas are decimal points, put semicolons or tabs between the columns",
        _ => "",
    }
}

/// What to do if the columns are so many that they may be the pixels of images.
fn hint_of_pixels(num_columns: usize) -> Option<&'static str> {
    /// The largest number of columns that are not taken for pixels.
    const MOST: usize = 16;
    (num_columns > MOST)
        .then_some("; images are not read from tables: save them as pictures or as arrays of numpy")
}

/// What the columns of a table are.
struct Columns {
    /// Whether the first line names them.
    has_header: bool,
    /// The columns of x, y and label.
    places: [usize; 3],
    /// How they were told, in words.
    choice: String,
}

impl Columns {
    /// The columns of a table with this first line: it names them, or is a point if one of its coordinates is a number.
    ///
    /// # Errors
    /// It is not clear which columns are x, y and label.
    fn of(first: &[String], separator: char) -> Result<Self, Reason> {
        let names: Vec<String> = first.iter().map(|name| name.to_lowercase()).collect();
        let place = |wanted: &str| names.iter().position(|name| name == wanted);
        let named = |places: [usize; 3], is_clear: bool| {
            let [x, y, label] = places.map(|column| first[column].as_str());
            let choice = match is_clear {
                true => "the first line names the columns".to_string(),
                false => format!(
                    "the first line names the columns: `{x}` is taken as x, `{y}` as y and `{label}` as label"
                ),
            };
            Ok(Self { has_header: true, places, choice })
        };
        if let (Some(x), Some(y)) = (place("x"), place("y")) {
            let label =
                LABELS.iter().filter_map(|name| place(name)).find(|at| ![x, y].contains(at));
            return match label {
                Some(label) => named([x, y, label], true),
                None if names.len() == 3 => named([x, y, 3 - x - y], false),
                None => Err("it has no column named label".into()),
            };
        }
        let num_numbers = |fields: &[String]| {
            fields.iter().filter(|field| number(field, separator).is_some()).count()
        };
        let labels: Vec<usize> =
            (0..names.len()).filter(|&at| LABELS.contains(&names[at].as_str())).collect();
        match first.len() {
            3 if num_numbers(&first[..2]) == 0 => match labels[..] {
                [0] => named([1, 2, 0], false),
                [1] => named([0, 2, 1], false),
                _ => named([0, 1, 2], false),
            },
            3 => Ok(Self {
                has_header: false,
                places: [0, 1, 2],
                choice: "no line with names, so the columns are x, y and label".into(),
            }),
            count if num_numbers(first) > 0 => Err(format!(
                "it has {}; write x, y and label, or name the columns in the first line{}",
                columns(count),
                hint_of_pixels(count).unwrap_or(hint(separator))
            )),
            _ => Err(format!(
                "its columns are {}; three of them should be named x, y and label{}",
                some_of(first),
                hint_of_pixels(first.len()).unwrap_or_default()
            )),
        }
    }
}

/// Whether a number is finite and not too large.
fn is_in_range(value: &f64) -> bool {
    value.abs() <= MAX_COORDINATE
}

/// A number of any size. A comma can be its decimal point where commas do not separate columns.
fn number(text: &str, separator: char) -> Option<f64> {
    match text.parse::<f64>() {
        Err(_) if separator != ',' => text.replacen(',', ".", 1).parse().ok(),
        parsed => parsed.ok(),
    }
}

fn coordinate(text: &str, separator: char) -> Option<f64> {
    number(text, separator).filter(is_in_range)
}

/// The points of each part as x, y, x, y …, with the class of each point.
pub(super) type Parts = [Option<(Vec<f64>, Vec<u32>)>; 3];

/// Makes items of points: the same factor and shift for all, so that shapes stay.
///
/// # Errors
/// A coordinate is not finite, or all points are the same.
pub(super) fn gather(
    parts: Parts,
    class_names: Vec<String>,
    config: &DataConfig,
) -> Result<Gathered, Reason> {
    let all = || parts.iter().flatten().flat_map(|(points, _)| points.as_chunks::<2>().0);
    let num_bad = all().filter(|point| !point.iter().all(is_in_range)).count();
    if num_bad > 0 {
        return Err(format!(
            "{} not a number from -1e15 to 1e15",
            counted(num_bad, "point has a coordinate that is", "points have a coordinate that is")
        ));
    }
    if all().next().is_none() {
        return Err("it holds no points".into());
    }
    let (center, half_width, choice) = match config.frame[..] {
        [] => {
            let (center, half_width) = frame(all()).ok_or("its points do not differ enough")?;
            let choice = "they fill the box [-1, 1] but for a margin of a tenth";
            (center, half_width, choice)
        }
        [x, y, half_width] if half_width > 0.0 => {
            ([x, y], half_width, "the frame is that of data.frame")
        }
        _ => {
            return Err(
                "data.frame is the centre (x, y) and the half width, above 0, as in [0.5, 2.0, 3.0]".into(),
            );
        }
    };
    let mut num_outside = 0;
    let items = parts.map(|part| {
        part.map(|(points, labels)| {
            let values = points.as_chunks::<2>().0.iter().flat_map(|point| {
                let scaled = [0, 1].map(|axis| ((point[axis] - center[axis]) / half_width) as f32);
                let inside = scaled.map(|value| value.clamp(-1.0, 1.0));
                num_outside += usize::from(inside != scaled);
                inside
            });
            Items::numbered(Values::Floats(values.collect()), labels)
        })
    });
    let frame = vec![center[0], center[1], half_width];
    let settings = DataConfig { frame: frame.clone(), ..config.clone() };
    let [train, validation, test] = items;
    let mut gathered = Gathered::new(class_names, [2, 1, 1], train.unwrap_or_default(), settings);
    (gathered.validation, gathered.test) = (validation, test);
    gathered.choices.push(format!(
        "x of the file = ({}, {}) + {} · x of the model: {choice}",
        frame[0], frame[1], frame[2]
    ));
    if num_outside > 0 {
        gathered.warnings.push(format!(
            "{} outside data.frame and moved to its border",
            counted(num_outside, "point is", "points are")
        ));
    }
    Ok(gathered)
}

/// Centre and half width of the square around all points, with a margin; `None` if they do not differ.
fn frame<'a>(points: impl Iterator<Item = &'a [f64; 2]>) -> Option<([f64; 2], f64)> {
    let (mut low, mut high) = ([f64::INFINITY; 2], [f64::NEG_INFINITY; 2]);
    for point in points {
        for axis in 0..2 {
            low[axis] = low[axis].min(point[axis]);
            high[axis] = high[axis].max(point[axis]);
        }
    }
    let center = [0, 1].map(|axis| low[axis] / 2.0 + high[axis] / 2.0);
    let half_width = f64::max(high[0] / 2.0 - low[0] / 2.0, high[1] / 2.0 - low[1] / 2.0);
    let half_width = half_width / (1.0 - MARGIN);
    let is_usable = (1e-15..=2.0 * MAX_COORDINATE).contains(&half_width);
    is_usable.then(|| rounded(center, half_width))
}

/// Centre and half width with few digits, so that they are easy to calculate with. The margin makes up for it.
fn rounded(center: [f64; 2], half_width: f64) -> ([f64; 2], f64) {
    /// The last digit that is kept is a thousandth of the half width or less.
    const DIGITS: i32 = 3;
    let exponent = half_width.log10().floor() as i32 - DIGITS;
    let round = |value: f64| match exponent {
        0.. => (value / 10f64.powi(exponent)).round() * 10f64.powi(exponent),
        _ => format!("{value:.*}", -exponent as usize).parse().unwrap_or(value),
    };
    (center.map(round), round(half_width))
}
