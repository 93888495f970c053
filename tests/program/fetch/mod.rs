//! Downloads from correct and faulty servers.
mod command;
mod limits;
mod models;
mod server;
mod tls;

use std::{
    fs,
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use flate2::{Compression, write::GzEncoder};
use jempp::data::fetch::{
    Content, FetchError, FetchEvent, FetchOptions, Member, RemoteFile, Source, fetch,
};
use server::{Reply, Server, nobody};
use sha2::{Digest, Sha256};

const OPTIONS: FetchOptions = FetchOptions {
    timeout: Duration::from_secs(10),
    min_rate: 10_000,
    num_tries: 3,
    pause: Duration::from_millis(1),
    replaces: true,
};
const ONE_TRY: FetchOptions = FetchOptions { num_tries: 1, ..OPTIONS };
const IMPATIENT: FetchOptions = FetchOptions { timeout: Duration::from_millis(500), ..ONE_TRY };

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes that do not compress.
fn noise(len: usize) -> Vec<u8> {
    let scramble = |i: u32| (i ^ 0x5bd1).wrapping_mul(i | 1).wrapping_mul(0x9e37_79b9) >> 21;
    (0..len as u32).map(|i| scramble(i) as u8).collect()
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A gzipped archive of files with arbitrary paths.
fn tar_gz(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, bytes) in entries {
        let mut header = tar::Header::new_old();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, *bytes).unwrap();
    }
    gz(&builder.into_inner().unwrap())
}

fn source(mirrors: &[&str], files: Vec<(&str, Content)>) -> Source {
    let mirrors: Vec<String> = mirrors.iter().map(ToString::to_string).collect();
    let files = files.into_iter().map(|(name, content)| RemoteFile {
        query: String::new(),
        name: name.to_string(),
        mirrors: mirrors.clone(),
        content,
    });
    let page = "https://home.example".to_string();
    Source { by_hand: format!("get the files from {page}"), page, files: files.collect() }
}

/// A source with one file that is stored unchanged.
fn plain(mirrors: &[&str], bytes: &[u8]) -> Source {
    source(mirrors, vec![("a.bin", plain_content(bytes))])
}

fn plain_content(bytes: &[u8]) -> Content {
    Content::Plain { sha256: sha256(bytes), size: bytes.len() as u64 }
}

/// The content of a gzipped file that decompresses to these bytes.
fn gzip_content(bytes: &[u8]) -> Content {
    Content::Gzip { sha256: sha256(bytes), size: bytes.len() as u64 }
}

/// The content of an archive, with members of at most a megabyte.
fn tar_content(archive: &[u8], members: &[(&str, Option<String>)]) -> Content {
    let members = members.iter().map(|(path, sha256)| Member {
        path: path.to_string(),
        sha256: sha256.clone(),
        max_size: 1 << 20,
    });
    Content::TarGzip {
        sha256: sha256(archive),
        size: archive.len() as u64,
        members: members.collect(),
    }
}

fn run(source: &Source, dir: &Path, options: &FetchOptions) -> Result<Vec<String>, FetchError> {
    let mut events = Vec::new();
    fetch(source, dir, options, &mut |event| match event {
        FetchEvent::Bytes(_) => {}
        FetchEvent::Failed { error, .. } => events.push(format!("failed: {error}")),
        other => events.push(format!("{other:?}")),
    })?;
    Ok(events)
}

/// Runs a download that must fail; returns the message.
fn refused(source: &Source, dir: &Path, options: &FetchOptions) -> String {
    let said = run(source, dir, options).unwrap_err().to_string();
    assert!(!said.contains('\n'), "{said}");
    said
}

fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn files_are_stored_unpacked_and_stay() {
    let (dir, bytes) = (tempfile::tempdir().unwrap(), noise(200_000));
    let dir = dir.path().join("new/folder");
    let archive = tar_gz(&[("set/one.bin", &bytes), ("set/two.txt", b"two"), ("set/more", b"-")]);
    let packed = gz(&bytes);
    let files: [(&str, &[u8]); 3] =
        [("a.bin", &bytes), ("b.gz", &packed), ("c.tar.gz", archive.as_slice())];
    let server = Server::start(&files, &[Reply::Good]);
    let members = [("set/one.bin", Some(sha256(&bytes))), ("set/two.txt", None)];
    let source = source(
        &[&server.address],
        vec![
            ("a.bin", plain_content(&bytes)),
            ("b.gz", gzip_content(&bytes)),
            ("c.tar.gz", tar_content(&archive, &members)),
        ],
    );
    run(&source, &dir, &OPTIONS).unwrap();
    assert_eq!(names(&dir), ["a.bin", "b", "one.bin", "two.txt"]);
    for name in ["a.bin", "b", "one.bin"] {
        assert!(fs::read(dir.join(name)).unwrap() == bytes, "{name}");
    }

    let events = run(&source, &dir, &OPTIONS).unwrap();
    assert_eq!(server.requests().len(), 3, "a second fetch contacts nobody");
    assert!(events.iter().all(|event| event.starts_with("Present")), "{events:?}");

    fs::write(dir.join("b"), b"damaged").unwrap();
    fs::remove_file(dir.join("two.txt")).unwrap();
    let own = FetchOptions { replaces: false, ..OPTIONS };
    let said = refused(&source, &dir, &own);
    assert!(said.contains("b is there and is not the data set's"), "{said}");
    fs::write(dir.join("b"), &bytes).unwrap();
    run(&source, &dir, &own).unwrap();
    assert_eq!(server.requests().len(), 4, "a missing file of an archive alone is no hindrance");

    fs::write(dir.join("b"), b"damaged").unwrap();
    let events = run(&source, &dir, &OPTIONS).unwrap();
    assert!(events.iter().any(|event| event == "Wrong { name: \"b\" }"), "it is said: {events:?}");
    assert_eq!(server.requests().len(), 5, "what is wrong is fetched again");
    assert!(fs::read(dir.join("b")).unwrap() == bytes);
}

#[test]
fn a_broken_download_goes_on_where_it_stopped() {
    let (dir, bytes) = (tempfile::tempdir().unwrap(), noise(300_000));
    let replies = [Reply::Cut(100_000), Reply::Cut(50_000), Reply::Good];
    let server = Server::start(&[("a.bin", &bytes)], &replies);
    run(&plain(&[&server.address], &bytes), dir.path(), &OPTIONS).unwrap();
    assert!(fs::read(dir.path().join("a.bin")).unwrap() == bytes);
    assert_eq!(server.ranges(), [None, Some(100_000), Some(150_000)]);
    assert!(server.requests()[1].if_range.is_some(), "only of the same version");
    assert_eq!(names(dir.path()), ["a.bin"]);
}

#[test]
fn the_next_call_goes_on_too() {
    let (dir, bytes) = (tempfile::tempdir().unwrap(), noise(300_000));
    let server = Server::start(&[("a.bin", &bytes)], &[Reply::Cut(100_000), Reply::Good]);
    let source = plain(&[&server.address], &bytes);
    let said = refused(&source, dir.path(), &ONE_TRY);
    assert!(said.contains("it sent 100000 of 300000 bytes"), "{said}");
    assert!(said.contains("100000 bytes are kept, and the same command continues"), "{said}");
    assert_eq!(names(dir.path()), ["a.bin.part"]);
    // No server answers: the part that can be resumed stays.
    let said = refused(&plain(&[&nobody()], &bytes), dir.path(), &OPTIONS);
    assert!(said.contains("100000 bytes are kept"), "{said}");
    run(&source, dir.path(), &OPTIONS).unwrap();
    assert!(fs::read(dir.path().join("a.bin")).unwrap() == bytes);
    assert_eq!(server.ranges(), [None, Some(100_000)]);
    assert_eq!(names(dir.path()), ["a.bin"]);

    // All bytes are there, but the last call ended before it could check them.
    fs::rename(dir.path().join("a.bin"), dir.path().join("a.bin.part")).unwrap();
    run(&source, dir.path(), &OPTIONS).unwrap();
    assert_eq!(names(dir.path()), ["a.bin"]);
}

#[test]
fn a_server_without_ranges_begins_anew() {
    let (dir, bytes) = (tempfile::tempdir().unwrap(), noise(300_000));
    let replies = [Reply::Deaf(100_000), Reply::Deaf(200_000), Reply::Deaf(usize::MAX)];
    let server = Server::start(&[("a.bin", &bytes)], &replies);
    let source = plain(&[&server.address], &bytes);
    let said = refused(&source, dir.path(), &ONE_TRY);
    assert!(said.contains("it sent 100000 of 300000 bytes") && !said.contains("kept"), "{said}");
    assert!(names(dir.path()).is_empty(), "nobody could go on from that");
    run(&source, dir.path(), &OPTIONS).unwrap();
    assert!(fs::read(dir.path().join("a.bin")).unwrap() == bytes);
    assert_eq!(server.ranges(), [None, None, Some(200_000)]);
}

#[test]
fn a_beginning_of_something_else_is_thrown_away() {
    let (dir, bytes) = (tempfile::tempdir().unwrap(), noise(300_000));
    let server = Server::start(&[("a.bin", &bytes)], &[Reply::Good]);
    for len in [1000, 300_001] {
        fs::write(dir.path().join("a.bin.part"), vec![7; len]).unwrap();
        run(&plain(&[&server.address], &bytes), dir.path(), &OPTIONS).unwrap();
        assert!(fs::read(dir.path().join("a.bin")).unwrap() == bytes);
        fs::remove_file(dir.path().join("a.bin")).unwrap();
    }
    assert_eq!(server.ranges(), [Some(1000), None, None], "what is too long goes unasked");
}

#[test]
fn a_wrong_byte_is_refused() {
    let (dir, bytes) = (tempfile::tempdir().unwrap(), noise(300_000));
    let mut wrong = bytes.clone();
    wrong[200_000] ^= 1;
    let bad = Server::start(&[("a.bin", &wrong)], &[Reply::Good]);
    let said = refused(&plain(&[&bad.address], &bytes), dir.path(), &OPTIONS);
    assert!(said.contains(&sha256(&bytes)) && said.contains(&sha256(&wrong)), "{said}");
    assert!(names(dir.path()).is_empty());
    assert_eq!(bad.requests().len(), 1, "trying again does not help");

    let good = Server::start(&[("a.bin", &bytes)], &[Reply::Good]);
    let source = plain(&[&bad.address, &good.address], &bytes);
    let events = run(&source, dir.path(), &OPTIONS).unwrap();
    assert!(events.iter().any(|event| event.contains("failed: the SHA-256 of a.bin is")));
    assert_eq!(good.ranges(), [None], "nothing of the wrong file is used");
    assert!(fs::read(dir.path().join("a.bin")).unwrap() == bytes);
}

#[test]
fn a_stalled_server_is_left() {
    let (dir, bytes) = (tempfile::tempdir().unwrap(), noise(300_000));
    let start = Instant::now();
    let silent = Server::start(&[("a.bin", &bytes)], &[Reply::Silent]);
    let said = refused(&plain(&[&silent.address], &bytes), dir.path(), &IMPATIENT);
    assert!(said.contains("no answer came within 0.5 s"), "{said}");
    let stalled = Server::start(&[("a.bin", &bytes)], &[Reply::Stall(1000)]);
    let good = Server::start(&[("a.bin", &bytes)], &[Reply::Good]);
    let source = plain(&[&stalled.address, &good.address], &bytes);
    run(&source, dir.path(), &IMPATIENT).unwrap();
    assert!(fs::read(dir.path().join("a.bin")).unwrap() == bytes);
    assert_eq!(good.ranges(), [Some(1000)]);
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn every_server_is_named_with_its_reason() {
    let (dir, bytes) = (tempfile::tempdir().unwrap(), noise(1000));
    let (gone, missing) = (nobody(), Server::start(&[], &[Reply::Good]));
    let ill = Server::start(&[("a.bin", &bytes)], &[Reply::Status(500)]);
    let source = plain(&[&gone, &missing.address, &ill.address], &bytes);
    let said = refused(&source, &dir.path().join("new"), &OPTIONS);
    for (address, reason) in [
        (&gone, "Connection refused"),
        (&missing.address, "it answered with HTTP status 404"),
        (&ill.address, "it answered with HTTP status 500"),
    ] {
        let host = address.trim_end_matches('/');
        assert!(said.contains(&format!("{host}: {reason}")), "{said}");
    }
    assert!(said.contains("By hand: get the files from https://home.example"), "{said}");
    assert_eq!((missing.requests().len(), ill.requests().len()), (1, 3), "500 may pass, 404 not");
    assert!(!dir.path().join("new").exists());
}

#[test]
fn damaged_gzip_leaves_nothing() {
    let (dir, bytes) = (tempfile::tempdir().unwrap(), noise(100_000));
    let whole = gz(&bytes);
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 0xff;
    for damaged in [&whole[..whole.len() / 2], &flipped, b"<html>not found</html>"] {
        let server = Server::start(&[("a.gz", damaged)], &[Reply::Good]);
        let source = source(&[&server.address], vec![("a.gz", gzip_content(&bytes))]);
        let said = refused(&source, dir.path(), &OPTIONS);
        assert!(said.contains("a.gz cannot be unpacked"), "{said}");
        assert!(names(dir.path()).is_empty());
    }
}

#[test]
fn archives_give_what_is_expected_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("inner");
    let hostile: [(&str, &[u8]); 4] =
        [("../evil", b"1"), ("/tmp/jempp-evil", b"2"), ("other/a", b"3"), ("./set/a", b"right")];
    let archive = tar_gz(&hostile);
    let server = Server::start(&[("s.tar.gz", &archive)], &[Reply::Good]);
    let expecting = |paths: &[&str]| {
        let members: Vec<_> = paths.iter().map(|path| (*path, None)).collect();
        source(&[&server.address], vec![("s.tar.gz", tar_content(&archive, &members))])
    };
    let said = refused(&expecting(&["set/a", "set/b"]), &inner, &OPTIONS);
    assert!(said.contains("s.tar.gz cannot be unpacked: it holds no set/b"), "{said}");
    assert!(names(&inner).is_empty(), "all or nothing");
    run(&expecting(&["set/a"]), &inner, &OPTIONS).unwrap();
    assert_eq!(names(&inner), ["a"]);
    assert_eq!(fs::read(inner.join("a")).unwrap(), b"right");
    assert_eq!(names(dir.path()), ["inner"]);
    assert!(!Path::new("/tmp/jempp-evil").exists());
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let (dir, bytes) = (tempfile::tempdir().unwrap(), noise(1000));
    let server = Server::start(&[("a.bin", &bytes)], &[Reply::Good]);
    fs::write(dir.path().join("file"), b"").unwrap();
    let said = refused(&plain(&[&server.address], &bytes), &dir.path().join("file"), &OPTIONS);
    assert!(said.contains("cannot write") && said.contains("file"), "{said}");
}

#[test]
fn two_calls_do_not_write_one_file() {
    let (dir, bytes) = (tempfile::tempdir().unwrap(), noise(1000));
    let server = Server::start(&[("a.bin", &bytes)], &[Reply::Good]);
    let source = plain(&[&server.address], &bytes);
    fs::write(dir.path().join("a.bin.part"), &bytes[..10]).unwrap();
    let lock = fs::File::create(dir.path().join(".jempp-lock")).unwrap();
    lock.lock().unwrap();
    fs::write(dir.path().join(".jempp-lock"), br#"{"pid":77,"host":"here"}"#).unwrap();
    let said = refused(&source, dir.path(), &OPTIONS);
    assert!(said.contains("another jempp writes into") && said.contains("process 77"), "{said}");
    assert_eq!(names(dir.path()), [".jempp-lock", "a.bin.part"], "they are the other call's");
    assert!(server.requests().is_empty());
    drop(lock);
    // The temporary files of a call that was killed while unpacking are removed.
    fs::write(dir.path().join(".a.bin.jempp-tmp-1"), b"").unwrap();
    run(&source, dir.path(), &OPTIONS).unwrap();
}
