"""The site of a folder of runs in a web browser, made again whenever somebody looks: on this machine only."""

import json
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from urllib.parse import urlsplit

from model_core.errors import PgatError, UserError, shown
from pipelines.site.build import INDEX, build_site

HOST = "127.0.0.1"
SITE = ".site"
"""In the folder of runs, where the pages are kept."""


class _Handler(SimpleHTTPRequestHandler):
    """Serves the files of the site to requests that call this machine by its own name."""

    server: "SiteServer"

    def send_head(self):  # type: ignore[no-untyped-def]
        # DNS rebinding: a page of another origin may let its own name resolve to this address.
        if self.headers.get("Host", "") not in self.server.names:
            self.send_error(HTTPStatus.FORBIDDEN, "ask for it as localhost")
            return None
        if urlsplit(self.path).path in ("/", f"/{INDEX}"):
            try:
                self.server.renew()
            except PgatError as error:
                self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR, explain=shown(str(error)))
                return None
        return super().send_head()

    def list_directory(self, path: object) -> None:
        """Refuse: no folder is listed."""
        self.send_error(HTTPStatus.NOT_FOUND)

    def end_headers(self) -> None:
        """Tell browsers to ask again each time, since pages change."""
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Write no line for each request."""


class SiteServer(ThreadingHTTPServer):
    """Serves the site of ``runs`` on a port of this machine; 0 takes a free one.

    Raises:
        UserError: there is no such folder, or the port is taken.
    """

    daemon_threads = True

    def __init__(self, runs: Path, port: int) -> None:
        self._runs, self._lock = runs, Lock()
        self.renew()
        try:
            super().__init__((HOST, port), partial(_Handler, directory=str(runs / SITE)))
        except (OSError, OverflowError) as error:
            raise UserError(
                f"cannot listen on port {port} of this machine ({error}); choose another --port"
            ) from error
        self.names = {f"{name}:{self.server_port}" for name in (HOST, "localhost")}

    @property
    def url(self) -> str:
        """The address to open in a browser."""
        return f"http://{HOST}:{self.server_port}/"

    def renew(self) -> None:
        """Bring the pages up to date.

        Raises:
            UserError: there is no such folder, or the pages cannot be written.
        """
        with self._lock:
            build_site(self._runs, self._runs / SITE)


def serve(runs: Path, port: int, *, as_json: bool = False) -> None:
    """Serve the site of ``runs`` until Ctrl-C; its URL is printed first, as JSON if ``as_json``."""
    with SiteServer(runs, port) as server:
        said = {"url": server.url}
        print(
            json.dumps(said) if as_json else f"{shown(str(runs))} at {server.url}; Ctrl-C ends it", flush=True
        )
        server.serve_forever()
