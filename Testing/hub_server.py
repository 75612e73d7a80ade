"""A server on this machine that speaks as much of the Hugging Face Hub's API as its client needs.

It serves repositories from memory: the revision's information, HEAD and GET of files with etags, ranges and the
redirect of large files to another address, gating, uploads; and it fails on demand.
"""

from __future__ import annotations

import hashlib
import json
import re
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Repository:
    """A repository of one commit.

    Attributes:
        files: name to content.
        small: names of files that are kept in git itself: their etag is git's name and nothing is redirected.
        gated: whether a token of `allowed` is needed.
        allowed: tokens that were given access.
        commit: the commit.
    """

    files: dict[str, bytes]
    small: set[str] = field(default_factory=set)
    gated: bool = False
    allowed: set[str] = field(default_factory=set)
    commit: str = COMMIT


@dataclass
class Faults:
    """What goes wrong; each list or count is used up.

    Attributes:
        cuts: bytes of the body after which the connection is cut, one per request for content.
        statuses: codes that are answered instead, one per request of any kind.
        retry_after: header of those answers.
        swap: name to content that is sent in place of a file's, with the etag of the true one.
        no_ranges: whether ranges are ignored.
        lie_etag: whether the true etag is hidden behind that of the swapped content.
        endless: whether content is sent in chunks without end.
        redirect_to: address that content is redirected to, instead of this server's own.
        portal: whether a login page answers everything.
    """

    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    retry_after: str | None = None
    swap: dict[str, bytes] = field(default_factory=dict)
    no_ranges: bool = False
    lie_etag: bool = False
    endless: bool = False
    redirect_to: str | None = None
    portal: bool = False


class Hub:
    """The server's state, and what it was asked.

    Attributes:
        repositories: by "owner/name", or "datasets/owner/name".
        tokens: those that the hub knows.
        faults: what goes wrong.
        seen: requests as (method, path, range, has authorization).
        counts: requests for content, by name.
        commits: what was uploaded, as (repository, lines of the commit).
        uploaded: large files that came in, by sha256.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.tokens: set[str] = {"hf_good", "hf_stranger"}
        self.faults = Faults()
        self.seen: list[tuple[str, str, str | None, bool]] = []
        self.counts: Counter[str] = Counter()
        self.commits: list[tuple[str, list[dict]]] = []
        self.uploaded: dict[str, bytes] = {}
        self.url = self.store_url = ""  # large files lie at another address, as on the hub
        self.lock = threading.Lock()

    @contextmanager
    def running(self, certificate: Path | None = None) -> Iterator[Hub]:
        """Serve until the block ends.

        Args:
            certificate: file of a key and its certificate, to serve https with.
        """
        handler = type("Handler", (_Handler,), {"hub": self})
        servers = [ThreadingHTTPServer(("127.0.0.1", 0), handler) for _ in range(2)]
        scheme = "https" if certificate else "http"
        self.url, self.store_url = (f"{scheme}://127.0.0.1:{server.server_address[1]}" for server in servers)
        threads = []
        for server in servers:
            server.daemon_threads = True
            if certificate:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(certificate)
                server.socket = context.wrap_socket(server.socket, server_side=True)
            threads.append(threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True))
            threads[-1].start()
        try:
            yield self
        finally:
            for server, thread in zip(servers, threads, strict=True):
                server.shutdown()
                server.server_close()
                thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._handle()

    def do_GET(self) -> None:
        self._handle()

    def do_PUT(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def _handle(self) -> None:
        hub = self.hub
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(urlsplit(self.path).path)  # a proxy is asked for a whole address
        with hub.lock:
            hub.seen.append((self.command, path, self.headers.get("Range"), "Authorization" in self.headers))
            status = hub.faults.statuses.pop(0) if hub.faults.statuses else None
        if hub.faults.portal:
            return self._answer(200, b"<html>please log in</html>", {"Content-Type": "text/html"})
        if status is not None:
            headers = {"Retry-After": hub.faults.retry_after} if hub.faults.retry_after else {}
            return self._answer(status, b"{}", headers)
        if path.startswith("/cdn/"):
            return self._content(*path.removeprefix("/cdn/").split("//", 1))
        resolve = re.fullmatch(r"/((?:datasets/)?[^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        if resolve:
            return self._resolve(*resolve.groups())
        info = re.fullmatch(r"/api/(models|datasets)/([^/]+/[^/]+)(?:/revision/([^/]+))?", path)
        if info and self.command == "GET":
            return self._info(info[2] if info[1] == "models" else f"datasets/{info[2]}", info[3])
        return self._upload(path, body)

    def _token(self) -> str | None:
        header = self.headers.get("Authorization")
        return header.removeprefix("Bearer ") if header else None

    def _may(self, name: str) -> Repository | None:
        """The repository, or None after an answer as the hub refuses."""
        token = self._token()
        if token is not None and token not in self.hub.tokens:
            message = "Invalid credentials in Authorization header"
            self._answer(401, b"{}", {"X-Error-Message": message})
            return None
        repository = self.hub.repositories.get(name)
        if repository is None:
            code = 404 if token else 401
            self._answer(code, b"{}", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})
            return None
        if repository.gated and token not in repository.allowed:
            code = 403 if token else 401
            headers = {"X-Error-Code": "GatedRepo", "X-Error-Message": f"Access to model {name} is restricted."}
            self._answer(code, b"{}", headers)
            return None
        return repository

    def _info(self, name: str, revision: str | None) -> None:
        repository = self._may(name)
        if repository is None:
            return
        if revision not in (None, "main", repository.commit):
            return self._answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        siblings = [{"rfilename": file} for file in repository.files]
        told = name.removeprefix("datasets/")
        data = {"id": told, "modelId": told, "sha": repository.commit, "private": False, "siblings": siblings}
        self._answer(200, json.dumps(data).encode(), {"Content-Type": "application/json"})

    def _resolve(self, name: str, revision: str, file: str) -> None:
        repository = self._may(name)
        if repository is None:
            return
        headers = {"X-Repo-Commit": repository.commit}
        if revision not in ("main", repository.commit):
            return self._answer(404, b"", {"X-Error-Code": "RevisionNotFound"})
        if file not in repository.files:
            return self._answer(404, b"", headers | {"X-Error-Code": "EntryNotFound"})
        content = repository.files[file]
        if self.hub.faults.lie_etag:
            content = self.hub.faults.swap.get(file, content)
        if file in repository.small:
            git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            return self._content(name, file, headers | {"ETag": f'"{git}"'})
        base = self.hub.faults.redirect_to or f"{self.hub.store_url}/cdn/{name}//"
        headers |= {
            "X-Linked-Etag": f'"{hashlib.sha256(content).hexdigest()}"',
            "X-Linked-Size": str(len(content)),
            "Location": base + file,
        }
        self._answer(302, b"", headers)

    def _content(self, name: str, file: str, headers: dict[str, str] | None = None) -> None:
        faults = self.hub.faults
        content = faults.swap.get(file, self.hub.repositories[name].files[file])
        with self.hub.lock:
            if self.command == "GET":
                self.hub.counts[file] += 1
            cut = faults.cuts.pop(0) if faults.cuts and self.command == "GET" else None
        headers = {"Accept-Ranges": "bytes", **(headers or {})}
        if faults.endless and self.command == "GET":
            return self._endless()
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        start = int(wanted[1]) if wanted and not faults.no_ranges else 0
        if start >= len(content) > 0:
            return self._answer(416, b"", {"Content-Range": f"bytes */{len(content)}"})
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._answer(206 if start else 200, content[start:], headers, cut)

    def _endless(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            while True:
                self.wfile.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
        except OSError:
            self.close_connection = True

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None, cut: int | None = None) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(body if cut is None else body[:cut])
        if cut is not None:
            self.close_connection = True

    def _upload(self, path: str, body: bytes) -> None:
        def tell(data: object) -> None:
            self._answer(200, json.dumps(data).encode(), {"Content-Type": "application/json"})

        if self._token() not in self.hub.tokens and not path.startswith("/lfs/"):
            return self._answer(401, b"{}", {"X-Error-Message": "Invalid credentials in Authorization header"})
        if path == "/api/repos/create":
            data = json.loads(body)
            name = f"{data.get('organization') or 'me'}/{data['name']}"
            self.hub.repositories.setdefault(name, Repository({}))
            return tell({"url": f"{self.hub.url}/{name}", "id": name, "name": name})
        if path == "/api/validate-yaml":
            return tell({"errors": [], "warnings": []})
        if path == "/api/whoami-v2":
            return tell({"name": "me", "type": "user", "orgs": []})
        if "/preupload/" in path:
            files = json.loads(body)["files"]
            modes = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                    "shouldIgnore": False,
                }
                for file in files
            ]
            return tell({"files": modes})
        if path.endswith("/info/lfs/objects/batch"):
            objects = [
                {**item, "actions": {"upload": {"href": f"{self.hub.url}/lfs/{item['oid']}", "header": {}}}}
                for item in json.loads(body)["objects"]
            ]
            return tell({"transfer": "basic", "objects": objects})
        if path.startswith("/lfs/"):
            self.hub.uploaded[path.removeprefix("/lfs/")] = body
            return self._answer(200, b"")
        commit = re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/main", path)
        if commit:
            self.hub.commits.append((commit[1], [json.loads(line) for line in body.decode().splitlines()]))
            url = f"{self.hub.url}/{commit[1]}/commit/{COMMIT}"
            return tell({"success": True, "commitOid": COMMIT, "commitUrl": url, "hookOutput": ""})
        return self._answer(404, b"{}", {"X-Error-Code": "EntryNotFound"})
