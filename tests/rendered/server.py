"""A static server for the built book on 127.0.0.1, under the path that the published book has."""

from __future__ import annotations

import re
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from tests.rendered.scripts import packages

INTEGRITY = re.compile(rb"""\s(?:integrity|crossorigin)=(?:"[^"]*"|'[^']*')""")


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, *args, prefix: str, **kwargs) -> None:
        self._prefix = prefix
        super().__init__(*args, **kwargs)

    def translate_path(self, path: str) -> str:
        path = urlsplit(path).path
        if not path.startswith(self._prefix):
            return str(Path(self.directory) / "outside-the-book")  # a 404, as on the published site
        return super().translate_path("/" + path[len(self._prefix) :])

    def send_head(self):
        file = Path(self.translate_path(self.path))
        if file.is_dir():
            file /= "index.html"
        if file.suffix != ".html" or not file.is_file():
            return super().send_head()
        body = without_replaced_hashes(file.read_bytes())
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)
        return None

    def log_message(self, *args) -> None:
        pass


def without_replaced_hashes(page: bytes) -> bytes:
    """Drop the hash attribute of the one script that npm ships unminified; any other hash stays and is enforced."""
    for package in packages():
        if package.page_integrity:
            for address in package.addresses:
                tag = re.compile(rb"<script[^>]*" + re.escape(address.encode()) + rb"[^>]*>")
                for found in set(tag.findall(page)):
                    if package.page_integrity.encode() in found:
                        page = page.replace(found, INTEGRITY.sub(b"", found))
    return page


class BookServer:
    """Serve ``folder`` at ``address`` until closed.

    Parameters
    ----------
    folder: the built HTML.
    prefix: the path of the published book, with slashes at both ends, such as ``/nested-learning-book/``.
    """

    def __init__(self, folder: Path, prefix: str) -> None:
        handler = partial(_Handler, directory=str(folder), prefix=prefix)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}{prefix}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
