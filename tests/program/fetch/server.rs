//! A small web server that fails on demand.
use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// The response of the server to a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reply {
    /// Sends what was requested.
    Good,
    /// Sends this many bytes of it and closes the connection.
    Cut(usize),
    /// Sends this many bytes of it and then stalls.
    Stall(usize),
    /// Ignores ranges: sends the file from its start, up to this many bytes.
    Deaf(usize),
    /// Accepts the request and sends nothing.
    Silent,
    /// Sends only a status.
    Status(u16),
}

/// The parts of a request that the tests check.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Request {
    pub path: String,
    pub range: Option<usize>,
    pub if_range: Option<String>,
}

/// A server on its own port.
pub(super) struct Server {
    /// The address, `http://127.0.0.1:<port>/`.
    pub address: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Serves `files` by path, without the first slash. The n-th request gets the n-th reply; all later requests get
    /// the last one.
    pub(super) fn start(files: &[(&str, &[u8])], replies: &[Reply]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let files: HashMap<String, Vec<u8>> =
            files.iter().map(|(path, bytes)| (format!("/{path}"), bytes.to_vec())).collect();
        let (replies, log) = (replies.to_vec(), requests.clone());
        thread::spawn(move || {
            // Connections that must not end stay open.
            let mut held = Vec::new();
            for (number, stream) in listener.incoming().enumerate() {
                let reply = replies[number.min(replies.len() - 1)];
                let stream = stream.unwrap();
                let request = read(&stream);
                log.lock().unwrap().push(request.clone());
                // The client may hang up at any time.
                let _ = answer(&stream, &request, files.get(&request.path), reply);
                if matches!(reply, Reply::Stall(_) | Reply::Silent) {
                    held.push(stream);
                }
            }
        });
        Self { address, requests }
    }

    /// The requests received so far.
    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// The starts of the byte ranges requested so far.
    pub(super) fn ranges(&self) -> Vec<Option<usize>> {
        self.requests().into_iter().map(|request| request.range).collect()
    }
}

/// An address without a server.
pub(super) fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/", listener.local_addr().unwrap())
}

fn read(stream: &TcpStream) -> Request {
    let lines: Vec<String> = BufReader::new(stream)
        .lines()
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .collect();
    let header = |name: &str| {
        let mut pairs = lines.iter().filter_map(|line| line.split_once(": "));
        pairs.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_string())
    };
    let start = |value: String| value.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok();
    Request {
        path: lines[0].split(' ').nth(1).unwrap().to_string(),
        range: header("range").and_then(start),
        if_range: header("if-range"),
    }
}

fn answer(
    mut stream: &TcpStream,
    request: &Request,
    file: Option<&Vec<u8>>,
    reply: Reply,
) -> std::io::Result<()> {
    let file = match (reply, file) {
        (Reply::Silent, _) => return Ok(()),
        (Reply::Status(status), _) => {
            return write!(
                stream,
                "HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
        (_, None) => {
            return write!(
                stream,
                "HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
        (_, Some(file)) => file,
    };
    let etag =
        format!("\"{}-{}\"", file.len(), file.iter().map(|&byte| u32::from(byte)).sum::<u32>());
    let is_same = request.if_range.as_ref().is_none_or(|mark| *mark == etag);
    let is_deaf = matches!(reply, Reply::Deaf(_));
    let from = request.range.filter(|_| is_same && !is_deaf);
    if let Some(from) = from
        && from >= file.len()
    {
        return write!(
            stream,
            "HTTP/1.1 416 No\r\nContent-Range: bytes */{}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            file.len()
        );
    }
    let body = &file[from.unwrap_or(0)..];
    let status = match from {
        Some(from) => format!(
            "206 Partial Content\r\nContent-Range: bytes {from}-{}/{}",
            file.len() - 1,
            file.len()
        ),
        None => "200 OK".to_string(),
    };
    let ranges =
        if is_deaf { String::new() } else { format!("Accept-Ranges: bytes\r\nETag: {etag}\r\n") };
    write!(
        stream,
        "HTTP/1.1 {status}\r\n{ranges}Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )?;
    let count = match reply {
        Reply::Cut(count) | Reply::Stall(count) | Reply::Deaf(count) => count.min(body.len()),
        _ => body.len(),
    };
    stream.write_all(&body[..count])
}
