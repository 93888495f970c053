//! Certificates that only this machine trusts, as behind a proxy that decrypts TLS.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use super::command::{one_line, program};

/// A Python server for one file over TLS, with its own certificate.
const SERVER: &str = r#"
import http.server, ssl
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"mine")
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("server.pem", "server.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
"#;

/// A running server, which is ended together with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn openssl(dir: &Path, arguments: &str) -> bool {
    let mut command = Command::new("openssl");
    command.args(arguments.split_whitespace()).current_dir(dir);
    command.output().is_ok_and(|output| output.status.success())
}

/// Creates a certificate authority and a server with its certificate. Returns the server and its address, if this
/// machine has the tools.
fn serve(dir: &Path) -> Option<(Running, String)> {
    std::fs::write(dir.join("extra"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    let key = "-newkey rsa:2048 -nodes";
    let made = openssl(
        dir,
        &format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=ca"),
    ) && openssl(
        dir,
        &format!("req {key} -keyout server.key -out server.csr -subj /CN=server"),
    ) && openssl(
        dir,
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile extra \
             -out server.pem",
    );
    let mut command = Command::new("python3");
    command.args(["-c", SERVER]).current_dir(dir).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut server = Running(made.then(|| command.spawn().ok())??);
    let mut port = String::new();
    BufReader::new(server.0.stdout.take()?).read_line(&mut port).ok()?;
    port.trim().parse::<u16>().ok().map(|port| (server, format!("https://127.0.0.1:{port}/")))
}

#[test]
fn a_certificate_of_ones_own_is_trusted_when_the_environment_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let Some((_server, address)) = serve(dir.path()) else {
        eprintln!("SKIPPED: needs openssl and python3");
        return;
    };
    let fetch = || {
        let mut command = program(dir.path(), &address);
        command.args(["fetch", "svhn"]);
        command
    };
    let said = one_line(&mut fetch());
    assert!(said.contains("its certificate is not trusted"), "{said}");
    assert!(said.contains("SSL_CERT_FILE=FILE"), "{said}");
    std::fs::create_dir(dir.path().join("trusted")).unwrap();
    std::fs::copy(dir.path().join("ca.pem"), dir.path().join("trusted/ca.pem")).unwrap();
    assert!(openssl(dir.path(), "rehash trusted"));
    for (name, value) in [("SSL_CERT_FILE", "ca.pem"), ("SSL_CERT_DIR", "trusted")] {
        let said = one_line(fetch().env(name, value));
        assert!(said.contains("the SHA-256 of train_32x32.mat is"), "the file came: {said}");
    }
}
