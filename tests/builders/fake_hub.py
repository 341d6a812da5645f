"""A Hugging Face hub on this machine: the few addresses that publishing and loading a small repository use.

Repositories are in memory; each commit is the hash of its files. What `huggingface_hub` sends is checked only as far
as the real hub would refuse it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

Files = dict[str, bytes]


@dataclass
class FakeHub:
    """Repositories by name: the commits of each, and the commit of each branch."""

    url: str = ""
    commits: dict[str, dict[str, Files]] = field(default_factory=dict)
    branches: dict[str, dict[str, str]] = field(default_factory=dict)
    private: dict[str, bool | None] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    """Sizes that the hub reports in place of the true ones, by the name of the file."""

    def create(self, name: str, files: Files | None = None, private: bool | None = None) -> str:
        """Add a repository with one commit."""
        self.commits[name], self.branches[name], self.private[name] = {}, {}, private
        return self.commit(name, "main", files or {})

    def commit(self, name: str, branch: str, files: Files) -> str:
        """Add files to a branch, and return the hash of the commit."""
        before = self.commits[name].get(self.branches[name].get(branch, ""), {})
        together = before | files
        digest = hashlib.sha1(repr(sorted(together.items())).encode(), usedforsecurity=False).hexdigest()
        self.commits[name][digest] = together
        self.branches[name][branch] = digest
        return digest

    def resolve(self, name: str, revision: str) -> str | None:
        """Return the commit that a branch or a hash names; None where there is none."""
        if name not in self.commits:
            return None
        commit = self.branches[name].get(revision, revision)
        return commit if commit in self.commits[name] else None


@contextmanager
def fake_hub() -> Iterator[FakeHub]:
    """Run a hub in a thread until the end of the block."""
    hub = FakeHub()

    class Handler(_Handler):
        pass

    Handler.hub = hub
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        """Describe a revision of a repository, or send a file of it."""
        self.hub.requests.append(f"{self.command} {self.path}")
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        if parts[:2] == ["api", "models"]:
            name, revision = "/".join(parts[2:4]), parts[5] if len(parts) > 5 else "main"
            commit = self.hub.resolve(name, revision)
            if commit is None:
                self._missing(name)
                return
            files = self.hub.commits[name][commit]
            siblings = [{"rfilename": n, "size": self.hub.sizes.get(n, len(data))} for n, data in files.items()]
            self._json({"id": name, "modelId": name, "sha": commit, "private": False, "siblings": siblings})
            return
        name, revision, file = "/".join(parts[:2]), parts[3], "/".join(parts[4:])
        commit = self.hub.resolve(name, revision)
        if parts[2] != "resolve" or commit is None:
            self._missing(name)
        elif file not in self.hub.commits[name][commit]:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
        else:
            data = self.hub.commits[name][commit][file]
            etag = hashlib.sha1(data, usedforsecurity=False).hexdigest()
            self._send(200, data, {"ETag": f'"{etag}"', "X-Repo-Commit": commit})

    def do_POST(self) -> None:
        """Create a repository, say how a file is uploaded, or commit files."""
        self.hub.requests.append(f"{self.command} {self.path}")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        if parts == ["api", "repos", "create"]:
            request = json.loads(body)
            name = f"{request['organization']}/{request['name']}" if request.get("organization") else request["name"]
            if name in self.hub.commits:
                self._json({"error": "You already created this model repo", "url": f"{self.hub.url}/{name}"}, 409)
                return
            self.hub.create(name, private=request.get("visibility") == "private" or request.get("private"))
            self._json({"url": f"{self.hub.url}/{name}", "name": name})
        elif parts == ["api", "validate-yaml"]:
            content = json.loads(body)["content"]
            errors = [] if content.startswith("---\n") else [{"message": "no metadata"}]
            self._json({"errors": errors, "warnings": []}, 400 if errors else 200)
        elif parts[4] == "preupload":
            files = json.loads(body)["files"]
            self._json({"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files]})
        elif parts[4] == "commit":
            self._commit("/".join(parts[2:4]), parts[5], body)
        else:
            self._missing("")

    def _commit(self, name: str, branch: str, body: bytes) -> None:
        lines = [json.loads(line) for line in body.splitlines() if line]
        if name not in self.hub.commits or branch not in self.hub.branches[name]:
            self._missing(name)
            return
        values = [line["value"] for line in lines if line["key"] == "file"]
        files = {value["path"]: base64.b64decode(value["content"]) for value in values}
        commit = self.hub.commit(name, branch, files)
        self._json({"success": True, "commitOid": commit, "commitUrl": f"{self.hub.url}/{name}/commit/{commit}"})

    def _missing(self, name: str) -> None:
        code = "RevisionNotFound" if name in self.hub.commits else "RepoNotFound"
        self._send(404, b"", {"X-Error-Code": code})

    def _json(self, value: Any, status: int = 200) -> None:
        self._send(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Write no log."""
