"""The hub, played by a server on this machine: repositories of files, by the part of its protocol that is used here."""

import contextlib
import hashlib
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants

LARGE = (".safetensors", ".bin", ".parquet")  # what the real hub keeps elsewhere and redirects to
PATH = re.compile(r"/((?:datasets/)?[^/]+/[^/]+)/resolve/([^/]+)/(.+)")


@dataclass(frozen=True)
class Asked:
    """A request as it came in; `at_storage` where it went to the store of large files."""

    method: str
    path: str
    token: str | None
    range: str | None
    at_storage: bool


class Server(ThreadingHTTPServer):
    """One of the hub's two addresses: its own, and that of its store of large files."""

    daemon_threads = True

    def __init__(self, hub: "Hub") -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.hub, self.address = hub, f"http://127.0.0.1:{self.server_port}"
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self) -> None:
        self.shutdown()
        self.thread.join()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has gone is no fault of the server's."""


class Hub:
    """Repositories by name, `datasets/ORG/NAME` for data sets, each a list of versions; the last one is `main`.

    `tokens` names the token that opens a repository, `gated` those that say so. Faults are by file: `statuses` for
    every answer; `stops` at which byte of it each answer in turn breaks off; `cuts` how many bytes it lacks when it
    comes. `asked` lists the requests.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, list[Path]] = {}
        self.tokens: dict[str, str] = {}
        self.gated: set[str] = set()
        self.statuses: dict[str, int] = {}
        self.stops: dict[str, list[int]] = {}
        self.cuts: dict[str, int] = {}
        self.hangs_up = False
        self.asked: list[Asked] = []
        self.blobs: dict[str, Path] = {}
        self.own, self.storage = Server(self), Server(self)
        self.address = self.own.address

    def add(self, name: str, folder: Path) -> None:
        """A repository's first version, or the next."""
        self.repositories.setdefault(name, []).append(folder)

    def close(self) -> None:
        self.own.close()
        self.storage.close()

    def fetched(self) -> list[str]:
        """The files whose content was sent for, in order."""
        return [asked.path.rpartition("/")[2] for asked in self.asked if asked.method == "GET"]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.do_HEAD()

    def do_HEAD(self) -> None:
        hub, at_storage = self.server.hub, self.server is self.server.hub.storage
        token = self.headers.get("Authorization", "").removeprefix("Bearer ") or None
        hub.asked.append(Asked(self.command, self.path, token, self.headers.get("Range"), at_storage))
        if hub.hangs_up:
            self.close_connection = True
        elif at_storage:
            digest, _, file = self.path.lstrip("/").partition("/")
            self.send_file(file, hub.blobs[digest].read_bytes(), {})
        else:
            self.resolve(token)

    def resolve(self, token: str | None) -> None:
        """A file of a repository, a way to it, or why there is none."""
        hub, found = self.server.hub, PATH.fullmatch(self.path)
        assert found is not None, self.path
        name, revision, file = found.groups()
        versions = hub.repositories.get(name, [])
        commits = {commit(name, number): folder for number, folder in enumerate(versions)}
        opens = hub.tokens.get(name, token)
        if name in hub.gated and token != opens:
            self.refuse(403 if token else 401, "GatedRepo", "Access to it is restricted.")
        elif token == "revoked":
            self.refuse(401, None, "Invalid credentials in Authorization header")
        elif not versions or token != opens:
            self.refuse(404 if token else 401, "RepoNotFound", "Invalid username or password.")
        elif (this := revision if revision != "main" else list(commits)[-1]) not in commits:
            self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        elif file in hub.statuses:
            self.refuse(hub.statuses[file], None, "Something broke.")
        elif not (path := commits[this] / file).is_file():
            self.refuse(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": this})
        else:
            self.hand_over(path, file, this)

    def hand_over(self, path: Path, file: str, this: str) -> None:
        hub, content = self.server.hub, path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if not file.endswith(LARGE):
            self.send_file(file, content, {"X-Repo-Commit": this, "ETag": f'"{digest[:40]}"'})
            return
        hub.blobs[digest] = path
        linked = {"X-Linked-ETag": f'"{digest}"', "X-Linked-Size": str(len(content)), "X-Repo-Commit": this}
        self.answer(302, linked | {"Location": f"{hub.storage.address}/{digest}/{file}"})

    def send_file(self, file: str, content: bytes, headers: dict[str, str]) -> None:
        """A file, or from where it is asked for on; less of it where a fault is set."""
        hub, is_get = self.server.hub, self.command == "GET"
        content = content[: len(content) - hub.cuts.get(file, 0)] if is_get else content
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(wanted[1]) if wanted else 0
        part = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if wanted else {}
        body = content[start:]
        self.answer(206 if wanted else 200, headers | part | {"Content-Length": str(len(body))})
        if is_get:
            stops = hub.stops.get(file)
            sent = body[: max(0, stops.pop(0) - start)] if stops else body
            self.wfile.write(sent)
            self.close_connection = len(sent) < len(body)

    def refuse(self, status: int, code: str | None, message: str, headers: dict[str, str] | None = None) -> None:
        says = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
        self.answer(status, says | (headers or {}))

    def answer(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": "0"} | headers).items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on stderr."""


def commit(name: str, number: int) -> str:
    """The commit of a repository's version."""
    return hashlib.sha1(f"{name} {number}".encode()).hexdigest()


@contextlib.contextmanager
def played(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that this process takes for the real one, with an empty cache in `folder`, no token, and no waiting.

    huggingface_hub has read its variables when it was imported, so what it made of them is set.
    """
    hub, cache = Hub(), str(folder / "cache")
    own = {"HF_ENDPOINT": hub.address, "HF_HOME": str(folder), "HF_HUB_CACHE": cache, "HF_HUB_OFFLINE": "0"}
    none = {"HF_TOKEN": "", "HUGGING_FACE_HUB_TOKEN": "", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    for name, value in (own | none).items():  # for the processes that a test starts
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(constants, "ENDPOINT", hub.address)
    template = hub.address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", cache)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(folder / "token"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # between the library's tries
    huggingface_hub.close_session()
    try:
        yield hub
    finally:
        huggingface_hub.close_session()
        hub.close()
