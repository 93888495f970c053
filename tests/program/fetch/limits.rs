//! Servers and files that never end.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

use flate2::{Compression, write::GzEncoder};
use jempp::data::fetch::FetchOptions;

use super::{
    IMPATIENT, ONE_TRY, OPTIONS, gz, gzip_content, names, noise, plain, refused, run,
    server::{Reply, Server},
    source, tar_content, tar_gz,
};

/// A server that calls `answer` for every connection after its request.
fn server(answer: fn(&mut TcpStream) -> std::io::Result<()>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || {
                let mut stream = stream.unwrap();
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                lines.map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
                // The client may hang up.
                let _ = answer(&mut stream);
            });
        }
    });
    address
}

fn endless(stream: &mut TcpStream, byte: &[u8], pause: u64) -> std::io::Result<()> {
    loop {
        stream.write_all(byte)?;
        thread::sleep(Duration::from_millis(pause));
    }
}

#[test]
fn a_body_without_an_end_is_cut_at_the_files_size() {
    let (dir, bytes) = (tempfile::tempdir().unwrap(), noise(100_000));
    let plain_end = server(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
        endless(stream, &[b'a'; 1 << 16], 0)
    });
    let chunked = server(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        endless(stream, b"8\r\naaaaaaaa\r\n", 0)
    });
    let promised = server(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100001\r\n\r\n")?;
        endless(stream, b"a", 0)
    });
    let ranges = server(|stream| {
        let range = b"Content-Range: bytes 0-9/99999999999\r\nContent-Length: 10";
        stream.write_all(&[b"HTTP/1.1 206 P\r\n", &range[..], b"\r\n\r\n"].concat())
    });
    for mirror in [plain_end, chunked, promised, ranges] {
        let said = refused(&plain(&[&mirror], &bytes), dir.path(), &OPTIONS);
        assert!(said.contains("more than the 100000 bytes that the file can have"), "{said}");
        assert!(!said.contains("kept"), "{said}");
        assert!(names(dir.path()).is_empty(), "nothing is kept of what cannot be the file");
    }
}

#[test]
fn a_next_mirror_is_asked_after_a_trickle() {
    let (dir, bytes) = (tempfile::tempdir().unwrap(), noise(100_000));
    let options = FetchOptions { timeout: Duration::from_millis(250), ..OPTIONS };
    let body = server(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")?;
        endless(stream, b"a", 20)
    });
    let said = refused(&plain(&[&body], &bytes), dir.path(), &options);
    assert!(said.contains("it sends less than 10 kB a second"), "{said}");
    let head = server(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nX-Slow: ")?;
        endless(stream, b"a", 20)
    });
    let said = refused(&plain(&[&head], &bytes), dir.path(), &IMPATIENT);
    assert!(said.contains("no answer came within 0.5 s"), "{said}");
    let good = Server::start(&[("a.bin", &bytes)], &[Reply::Good]);
    run(&plain(&[&body, &head, &good.address], &bytes), dir.path(), &options).unwrap();
    assert!(fs::read(dir.path().join("a.bin")).unwrap() == bytes);
}

#[test]
fn redirects_end() {
    let (dir, bytes) = (tempfile::tempdir().unwrap(), noise(1000));
    let around = server(|stream| {
        let head = b"HTTP/1.1 302 Found\r\nLocation: /again/a.bin\r\n";
        stream.write_all(&[&head[..], b"Content-Length: 0\r\nConnection: close\r\n\r\n"].concat())
    });
    let said = refused(&plain(&[&around], &bytes), dir.path(), &OPTIONS);
    assert!(said.contains("from address to address without end"), "{said}");
    let endless_body = server(|stream| {
        stream.write_all(b"HTTP/1.1 302 Found\r\nLocation: /again/a.bin\r\n\r\n")?;
        endless(stream, b"a", 20)
    });
    let options = FetchOptions { timeout: Duration::from_secs(1), ..ONE_TRY };
    let said = refused(&plain(&[&endless_body], &bytes), dir.path(), &options);
    assert!(said.contains("it sends less than") || said.contains("address to address"), "{said}");
}

#[test]
fn no_more_is_unpacked_than_a_file_has() {
    let (dir, bytes) = (tempfile::tempdir().unwrap(), noise(1000));
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&vec![0; 50 << 20]).unwrap();
    let bomb = encoder.finish().unwrap();
    let mut content = gzip_content(&noise(100_000));
    let server = Server::start(&[("a.gz", &bomb), ("b.tar.gz", &bomb)], &[Reply::Good]);
    let said = refused(&source(&[&server.address], vec![("a.gz", content)]), dir.path(), &OPTIONS);
    assert!(said.contains("a.gz cannot be unpacked: it holds more than 100000 bytes"), "{said}");
    assert!(names(dir.path()).is_empty());

    let archive = tar_gz(&[("set/a", &vec![0; 2 << 20])]);
    let server = Server::start(&[("s.tar.gz", &archive)], &[Reply::Good]);
    content = tar_content(&archive, &[("set/a", None)]);
    let said =
        refused(&source(&[&server.address], vec![("s.tar.gz", content)]), dir.path(), &OPTIONS);
    assert!(said.contains("it holds more than 1048576 bytes"), "{said}");
    assert!(names(dir.path()).is_empty());

    // A mirror that compresses a file anew may send several gzip members; together they are one file.
    let members = [gz(&bytes[..400]), gz(&bytes[400..])].concat();
    let server = Server::start(&[("a.gz", &members)], &[Reply::Good]);
    let source = source(&[&server.address], vec![("a.gz", gzip_content(&bytes))]);
    run(&source, dir.path(), &OPTIONS).unwrap();
    assert!(fs::read(dir.path().join("a")).unwrap() == bytes);
}

#[cfg(unix)]
#[test]
fn a_device_under_a_files_name_is_not_read() {
    let (dir, bytes) = (tempfile::tempdir().unwrap(), noise(1000));
    let server = Server::start(&[("a.bin", &bytes)], &[Reply::Good]);
    std::os::unix::fs::symlink("/dev/zero", dir.path().join("a.bin")).unwrap();
    let own = FetchOptions { replaces: false, ..OPTIONS };
    let said = refused(&plain(&[&server.address], &bytes), dir.path(), &own);
    assert!(said.contains("a.bin is there and is not the data set's"), "{said}");
    run(&plain(&[&server.address], &bytes), dir.path(), &OPTIONS).unwrap();
    assert!(fs::read(dir.path().join("a.bin")).unwrap() == bytes);
}
