//! Tests of the command `jempp fetch`.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use super::{
    names,
    server::{Reply, Server, nobody},
    sha256,
};

/// The program in `dir`, with a mirror and without the proxies and certificates of the environment.
pub(super) fn program(dir: &Path, mirror: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jempp"));
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    command.env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR");
    command.env("JEMPP_MIRROR", mirror).env("JEMPP_CACHE", dir.join("cache")).current_dir(dir);
    command
}

/// Runs the command; returns its output and the failures that it reported.
pub(super) fn output(command: &mut Command) -> (Output, String) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, said)
}

fn jempp(dir: &Path, mirror: &str, arguments: &[&str]) -> (Output, String) {
    output(program(dir, mirror).args(arguments))
}

/// Runs a command that must fail; returns its one error line.
pub(super) fn one_line(command: &mut Command) -> String {
    let (output, said) = output(command);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

#[test]
fn the_command_says_what_failed_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&[("svhn/train_32x32.mat", b"something else")], &[Reply::Good]);
    let (output, said) = jempp(dir.path(), &server.address, &["fetch", "svhn"]);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    let expected = "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8";
    assert!(said.starts_with("error: cannot fetch train_32x32.mat: http://127.0.0.1:"), "{said}");
    assert!(said.contains(expected) && said.contains(&sha256(b"something else")), "{said}");
    assert!(names(&dir.path().join("cache/svhn")).is_empty());

    let (output, said) = jempp(dir.path(), &nobody(), &["fetch", "cifar10", "--out", "here"]);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("Connection refused") && said.contains("--data DIR"), "{said}");
    let (output, said) = jempp(dir.path(), &nobody(), &["fetch", "imagenet"]);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("mnist, fashion-mnist, cifar10, cifar100, svhn"), "{said}");
}

#[test]
fn the_command_fetches_the_real_thing() {
    // Debian's `dataset-fashion-mnist` is compressed differently from the official files but has the same content.
    let folder = Path::new("/usr/share/datasets/fashion-mnist");
    if !folder.is_dir() {
        eprintln!("SKIPPED: no {}", folder.display());
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let files: Vec<(String, Vec<u8>)> = names(folder)
        .into_iter()
        .map(|name| (format!("fashion-mnist/{name}"), fs::read(folder.join(&name)).unwrap()))
        .collect();
    let files: Vec<(&str, &[u8])> =
        files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
    let server = Server::start(&files, &[Reply::Good]);
    let (output, said) = jempp(dir.path(), &server.address, &["fetch", "fashion-mnist"]);
    assert!(output.status.success(), "{said}");
    let cache = dir.path().join("cache/fashion-mnist");
    assert_eq!(names(&cache).len(), 4);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let next = format!("jempp train --preset fashion-showcase --data {}", cache.display());
    assert!(told.contains(&next) && told.contains("50 %"), "{told}");
    let (output, said) = jempp(dir.path(), &nobody(), &["fetch", "fashion-mnist"]);
    assert!(output.status.success(), "{said}");
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn what_the_environment_says_wrongly_is_named() {
    let dir = tempfile::tempdir().unwrap();
    for mirror in ["mirror", "ftp://mirror.example", "http://", "https:///data", "http://a b/"] {
        let said = one_line(program(dir.path(), mirror).args(["fetch", "mnist"]));
        assert!(said.contains("JEMPP_MIRROR") && said.contains(mirror), "{said}");
        assert!(said.contains("http://mirror.example/data"), "{said}");
    }
    for (name, value, reason) in [
        ("http_proxy", "http://", "http://proxy.example:3128"),
        ("HTTP_PROXY", "socks5://127.0.0.1:1080", "only HTTP proxies"),
        ("ALL_PROXY", "::::", "http://proxy.example:3128"),
        ("SSL_CERT_FILE", "/dev/zero", "not a regular file"),
        ("SSL_CERT_FILE", "nowhere.pem", "cannot read nowhere.pem"),
        ("SSL_CERT_FILE", "Cargo.toml", "holds no certificate"),
        ("SSL_CERT_DIR", "nowhere", "is not a folder"),
    ] {
        fs::write(dir.path().join("Cargo.toml"), "[package]").unwrap();
        let mut command = program(dir.path(), &nobody());
        let said = one_line(command.args(["fetch", "mnist"]).env(name, value));
        assert!(said.contains(&format!("variable {name}: ")) && said.contains(reason), "{said}");
    }
    assert!(!dir.path().join("cache").exists());
}

#[test]
fn a_proxy_is_asked_but_for_hosts_that_do_without() {
    let (dir, body) = (tempfile::tempdir().unwrap(), b"something else");
    let proxy = Server::start(&[], &[Reply::Status(403)]);
    let mut command = program(dir.path(), "http://user:secret@mirror.invalid/sets");
    let said = one_line(command.args(["fetch", "svhn"]).env("http_proxy", &proxy.address));
    assert!(said.contains("http://mirror.invalid") && !said.contains("secret"), "{said}");
    assert_eq!(proxy.requests().len(), 1, "{said}");

    let server = Server::start(&[("svhn/train_32x32.mat", body)], &[Reply::Good]);
    for excepted in ["127.0.0.1", "localhost, 127.0.0.1"] {
        let mut command = program(dir.path(), &server.address);
        command.args(["fetch", "svhn"]).env("http_proxy", &proxy.address);
        let said = one_line(command.env("NO_PROXY", excepted));
        assert!(said.contains(&sha256(body)), "{said}");
    }
    assert_eq!(proxy.requests().len(), 1);
    let gone = nobody();
    let mut command = program(dir.path(), "http://mirror.invalid");
    let said = one_line(command.args(["fetch", "svhn"]).env("ALL_PROXY", &gone));
    let via = format!("(through the proxy {})", gone.trim_end_matches('/'));
    assert!(said.contains("Connection refused") && said.contains(&via), "{said}");
}

#[test]
fn a_file_of_somebodys_own_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let own = dir.path().join("mine");
    fs::create_dir(&own).unwrap();
    fs::write(own.join("test_32x32.mat"), b"mine").unwrap();
    fs::write(own.join("train_32x32.mat"), b"mine").unwrap();
    let said = one_line(program(dir.path(), &nobody()).args(["fetch", "svhn", "--out", "mine"]));
    assert!(said.contains("mine/train_32x32.mat is there and is not the data set's"), "{said}");
    assert!(said.contains("another --out, or add --force"), "{said}");
    assert_eq!(fs::read(own.join("train_32x32.mat")).unwrap(), b"mine");
    assert_eq!(names(&own).len(), 2);
    let arguments = ["fetch", "svhn", "--out", "mine", "--force"];
    let said = one_line(program(dir.path(), &nobody()).args(arguments));
    assert!(said.contains("Connection refused"), "{said}");
}

/// A limit on the file size simulates a full disk: in both cases a write fails.
#[cfg(unix)]
#[test]
fn a_full_disk_is_said_and_what_came_is_kept() {
    let (dir, body) = (tempfile::tempdir().unwrap(), vec![0; 300_000]);
    let server = Server::start(&[("svhn/train_32x32.mat", &body)], &[Reply::Good]);
    let command = program(dir.path(), &server.address);
    let program = command.get_program().to_owned();
    let mut limited = Command::new("sh");
    limited.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    limited.args(["-c", "trap '' XFSZ; ulimit -f 200; exec \"$0\" fetch svhn"]).arg(program);
    let said = one_line(limited.current_dir(command.get_current_dir().unwrap()));
    assert!(said.starts_with("error: no room for ") && said.contains("make room"), "{said}");
    let part = dir.path().join("cache/svhn/train_32x32.mat.part");
    assert!((1..300_000).contains(&fs::metadata(part).unwrap().len()));
}

#[test]
fn a_folder_that_nobody_can_make_is_said_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&[("svhn/train_32x32.mat", b"-")], &[Reply::Good]);
    fs::write(dir.path().join("file"), b"").unwrap();
    for out in ["file", "file/below", "/proc/nothing"] {
        let mut command = program(dir.path(), &server.address);
        let said = one_line(command.args(["fetch", "svhn", "--out", out]));
        assert!(said.contains("cannot write") && said.contains(out), "{said}");
    }
}
