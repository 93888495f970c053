"""Serves web/dist, or another folder, on 127.0.0.1 as a public server should: types, compression, security headers."""

import re
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

DIST = Path(__file__).resolve().parent / "dist"
# The first two isolate a page, and let isolated pages show frames of it. The third lets pages elsewhere load its files.
ISOLATION = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "cross-origin",
}
TYPES = {".js": "text/javascript", ".wasm": "application/wasm", ".svg": "image/svg+xml", ".planes": "application/octet-stream"}


class Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    extensions_map = SimpleHTTPRequestHandler.extensions_map | TYPES
    encoding = None
    policy = ""

    def translate_path(self, path):
        """The file of an address, or its compressed copy where the browser takes that."""
        self.encoding = None
        file = Path(super().translate_path(path))
        if file.is_dir() and path.partition("?")[0].endswith("/"):
            file /= "index.html"
        for encoding, suffix in (("br", ".br"), ("gzip", ".gz")):
            copy = file.with_name(file.name + suffix)
            accepted = re.search(rf"\b{encoding}\b", self.headers.get("Accept-Encoding", ""))
            # A build without compression leaves old copies behind.
            if accepted and file.is_file() and copy.is_file() and copy.stat().st_mtime >= file.stat().st_mtime:
                self.encoding = encoding
                return str(copy)
        return str(file)

    def guess_type(self, path):
        return super().guess_type(str(path).rpartition(".")[0] if self.encoding else path)

    def end_headers(self):
        if self.encoding:
            self.send_header("Content-Encoding", self.encoding)
        self.send_header("Vary", "Accept-Encoding")
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Content-Security-Policy", self.policy)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        for name, value in ISOLATION.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *_):
        """Says nothing: a page is a dozen requests."""


class Server(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """A browser that hangs up is no news."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def main():
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else DIST
    if not (folder / "index.html").is_file():
        sys.exit(f"{folder} holds no page yet: run web/build.sh first")
    port = sys.argv[1] if len(sys.argv) > 1 else "8000"
    if not port.isdigit() or int(port) > 65535:
        sys.exit("usage: web/serve.sh [PORT [FOLDER]]")
    # The policy is written once, in the page; as a header it holds for the worker too.
    Handler.policy = re.search(r'Security-Policy" content="([^"]*)"', (folder / "index.html").read_text()).group(1)
    try:
        server = Server(("127.0.0.1", int(port)), partial(Handler, directory=folder))
    except OSError as error:
        sys.exit(f"port {port} cannot be had ({error.strerror}): web/serve.sh OTHER_PORT")
    print(f"http://127.0.0.1:{server.server_port}/", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


main()
