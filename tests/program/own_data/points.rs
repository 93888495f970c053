//! Tables of points in the plane.

use std::{fs, path::Path};

use super::{counts, load, load_with, refused};
use crate::run::{fails, jempp, succeeds, text};

fn table(dir: &Path, text: &str) -> std::path::PathBuf {
    let path = dir.join("points.csv");
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn points_fill_the_box_by_one_factor_and_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let lines: String = (0..12)
        .map(|item| {
            format!(
                "{},{},{}\n",
                100 + item,
                -5.0 + 0.25 * f64::from(item % 3),
                ["up", "down"][item as usize % 2]
            )
        })
        .collect();
    let path = table(dir.path(), &lines);
    let found = load(&path);
    assert_eq!(found.train.shape, [2, 1, 1]);
    assert_eq!(
        (found.train.class_names.as_slice(), counts(&found.test)),
        (&["down".to_string(), "up".into()][..], vec![1; 2])
    );
    assert!(
        found.describe().contains("no line with names, so the columns are x, y and label"),
        "{}",
        found.describe()
    );
    let mut config = jempp::RunConfig::default().data;
    found.settle(&mut config);
    let [x, y, half_width] = config.frame[..] else { panic!("{:?}", config.frame) };
    let all: Vec<f32> =
        [&found.train, &found.test].iter().flat_map(|part| part.gather(0..part.len())).collect();
    assert!(all.iter().all(|value| value.abs() <= 0.91), "{all:?}");
    let mut back: Vec<[f64; 2]> = all
        .as_chunks::<2>()
        .0
        .iter()
        .map(|point| [x + half_width * f64::from(point[0]), y + half_width * f64::from(point[1])])
        .collect();
    back.sort_by(|a, b| a[0].total_cmp(&b[0]));
    for (item, point) in back.iter().enumerate() {
        assert!((point[0] - (100 + item) as f64).abs() < 1e-4, "{point:?}");
        assert!((point[1] + 5.0 - 0.25 * (item % 3) as f64).abs() < 1e-4, "{point:?}");
    }
}

#[test]
fn headers_separators_quotes_and_decimal_commas_are_known() {
    let dir = tempfile::tempdir().unwrap();
    for (text, names) in [
        ("x,y,label\n0,0,a\n1,1,b\n", ["a", "b"]),
        ("label\tx\ty\nb\t0\t0\na\t1\t1\n", ["a", "b"]),
        ("0,5;0;\"a;b\"\r\n1;1,5;\"c \"\"d\"\"\"\r\n", ["a;b", "c \"d\""]),
        ("\u{feff}id,x,y,class,note\n7,0,0,2,n\n8,1,1,10,n\n", ["2", "10"]),
        ("long,lat,kind\n1e2,0,a\n-1e2,1,b\n", ["a", "b"]),
        ("x,y,label\n0,0,a,\n1,1,b,,\n", ["a", "b"]),
        ("x,y,label,2024\n0,0,a,7\n1,1,b,8\n", ["a", "b"]),
    ] {
        let found = load(&table(dir.path(), text));
        assert_eq!(found.train.class_names, names, "{text}");
    }
    let said = load(&table(dir.path(), "x\ty\tlabel\n800\t0\ta\n1,100\t2,5\tb\n")).describe();
    assert!(said.contains("; commas are decimal points: `1,100` is read as 1.1; "), "{said}");
    let said = load(&table(dir.path(), "0,0,caf\u{e9}\n1,1,cafe\u{301}\n")).describe();
    assert!(!said.contains("decimal points"), "{said}");
    assert!(
        said.contains(
            "labels that differ only in how accents are stored are one class (caf\u{e9})"
        ),
        "{said}"
    );
    let said = load(&table(dir.path(), "id,x,y,class,note\n7,0,0,2,n\n8,1,1,10,n\n")).describe();
    assert!(said.contains("other columns (id, note)"), "{said}");
    let said =
        load(&table(dir.path(), "a,x,y,label,b,c,d\n7,0,0,a,7,7,7\n7,1,1,b,7,7,7\n")).describe();
    assert!(said.contains("other columns (a, b, c and 1 more)"), "{said}");
    assert!(said.contains("; the first line names the columns; "), "{said}");
    let said = load(&table(dir.path(), "id,lon,species\n7,0,a\n8,1,b\n")).describe();
    assert!(
        said.contains("the columns: `id` is taken as x, `lon` as y and `species` as label"),
        "{said}"
    );
    // A label is found by its name, wherever it is.
    for (lines, columns) in [
        ("label,x1,x2\n0,0.5,0.1\n1,0.7,0.2\n", "`x1` is taken as x, `x2` as y and `label`"),
        ("a,Class,b\n0.5,0,0.1\n0.7,1,0.2\n", "`a` is taken as x, `b` as y and `Class`"),
        ("class,a,b\nred,0.5,0.1\nblue,0.7,0.2\n", "`a` is taken as x, `b` as y and `class`"),
        ("a,b,c\n0.5,0.1,0\n0.7,0.2,1\n", "`a` is taken as x, `b` as y and `c`"),
    ] {
        let found = load(&table(dir.path(), lines));
        assert!(found.describe().contains(columns), "{}", found.describe());
        assert_eq!(found.train.num_classes(), 2, "{lines}");
    }
}

#[test]
fn a_table_that_cannot_be_used_is_refused_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    for (text, what) in [
        ("0,0,a\n1,nan,b\n", "line 2: `nan` is not a number from -1e15 to 1e15"),
        ("0,0,a\n1,inf,b\n", "`inf` is not a number"),
        ("0,0,a\n1\n", "line 2 has 1 column, and x, y and label are needed"),
        ("0,0,a\n1,1,\n", "line 2: the label is empty; every point needs one"),
        ("0,0,a\n1,,b\n", "line 2: y is empty; every point needs a number there"),
        ("1.5,nan,a\n1,1,b\n", "line 1: `nan` is not a number"),
        ("n/a,2,a\n1,1,b\n", "line 1: `n/a` is not a number"),
        (
            "0,0,a\n1,5,2,b\n",
            "line 2 has 4 columns, the first line has 3; if its commas are decimal points, put semicolons or tabs between",
        ),
        ("x;y;label\n1;2;a;b\n", "line 2 has 4 columns, the first line has 3"),
        (
            "1,5,2,5,a\n",
            "it has 5 columns; write x, y and label, or name the columns in the first line; if its commas",
        ),
        ("x,y,label\n", "it holds no points, only a line with the names of its columns"),
        ("0,0,a\n1,1,\"b\n", "line 2: a quote is not closed"),
        ("1,1,a\n1,1,b\n", "its points do not differ enough"),
        ("0,0,1,a\n", "it has 4 columns; write x, y and label"),
        ("u,v,w,label\n0,0,1,a\n", "three of them should be named x, y and label"),
        ("just words\n", "its first line has a single column"),
        (
            "label,a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p\n7,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0\n",
            "its columns are label, a, b and 14 more; three of them should be named x, y and label; images are not read from \
             tables: save them as pictures or as arrays of numpy",
        ),
        (
            "7,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0\n",
            "or name the columns in the first line; images are not read from tables",
        ),
    ] {
        let said = refused(&table(dir.path(), text));
        assert!(said.contains(what), "{said}");
    }
    let path = table(dir.path(), "0,0,a\n1,1,b\n");
    let said = load_with(&path, &["data.frame=[1, 2]"]).unwrap_err();
    assert!(said.contains("data.frame is the centre (x, y) and the half width"), "{said}");
    let said = load_with(&path, &["data.size=8"]).unwrap_err();
    assert!(said.contains("it holds points, and data.size, data.fit and data.color"), "{said}");
    let found = load_with(&path, &["data.frame=[0, 0, 0.5]"]).unwrap();
    let warnings = found.warnings().join("\n");
    assert!(
        warnings.contains("1 point is outside data.frame and moved to its border"),
        "{warnings}"
    );
}

#[test]
fn a_few_points_far_away_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let near: String = (0..40)
        .map(|item| format!("{},{},{}\n", item % 7, item % 5, ["a", "b"][item % 2]))
        .collect();
    let said = |text: &str| load(&table(dir.path(), text)).warnings().join("\n");
    assert!(!said(&near).contains("far away"));
    let said = said(&format!("{near}500,500,a\n"));
    assert!(said.contains("a few points are so far away") && said.contains("data.frame"), "{said}");
}

#[test]
fn a_model_of_points_is_trained_resumed_and_measured() {
    let dir = tempfile::tempdir().unwrap();
    let lines: String = (0..120)
        .map(|item| {
            let angle = f64::from(item) / 10.0;
            format!(
                "{:.3};{:.3};{}\n",
                50.0 + angle.cos(),
                9.0 * angle.sin(),
                ["in", "out"][item as usize % 2]
            )
        })
        .collect();
    table(dir.path(), &lines);
    let quick = ["--preset", "fashion-quick", "--dataset", "custom"];
    let train = ["train", "--data", "points.csv", "--out", "run", "--device", "cpu"];
    let said = fails(dir.path(), &[&train[..], &quick].concat());
    assert!(said.contains("leave --preset out or add --preset auto"), "{said}");
    let train = [
        "train",
        "--preset",
        "toy-two-moons",
        "--dataset",
        "custom",
        "--data",
        "points.csv",
        "--out",
        "run",
        "--device",
        "cpu",
        "--epochs",
        "1",
        "--set",
        "data.batch_size=20",
        "--set",
        "replay_buffer.replay_buffer_size=40",
    ];
    let said = succeeds(dir.path(), &train);
    assert!(said.contains("100 training and 20 test points, 2 classes (in, out)"), "{said}");
    let config = fs::read_to_string(dir.path().join("run/config.toml")).unwrap();
    assert!(config.contains("frame = [50.0, -0.002, 9.998]"), "{config}");
    // One more point, far away, does not move the others, and is told.
    table(dir.path(), &format!("{lines}500;500;in\n"));
    for words in [
        &["train", "--resume", "run", "--device", "cpu", "--epochs", "2"][..],
        &["eval", "accuracy", "--checkpoint", "run", "--out", "e", "--device", "cpu"],
        &[
            "sample",
            "--checkpoint",
            "run",
            "--out",
            "s",
            "--steps",
            "2",
            "--start",
            "data",
            "--device",
            "cpu",
        ],
    ] {
        let output = jempp(dir.path(), words);
        let said = text(&output.stderr);
        assert!(output.status.success(), "{said}");
        let warning = "warning: 1 point is outside data.frame and moved to its border";
        assert_eq!(said.matches(warning).count(), 1, "{words:?}: {said}");
    }
}
