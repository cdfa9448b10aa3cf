"""A W&B server on this machine: it answers what the client asks, and records all that it is sent."""

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

KEY = "0123456789" * 4
ENTITY, PROJECT = "someone", "prunelab"


@dataclass
class Received:
    """What a client sent: GraphQL questions by name, uploaded files, and lines of each run's stream."""

    url: str = ""
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    streams: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    mute: threading.Event = field(default_factory=threading.Event)
    last_words: str = ""  # the question after whose first answer it falls silent

    def named(self, name: str) -> list[dict[str, Any]]:
        """The variables of every question of this name."""
        return [variables for each, variables in self.asked if each == name]

    def lines(self, run: str, file: str) -> list[str]:
        """The lines that a run streamed to one of its files."""
        parts = [each.get("files", {}).get(file, {}) for each in self.streams[run]]
        return [line for part in parts for line in part.get("content", [])]

    def last(self, run: str, file: str) -> dict[str, Any]:
        """The last of them."""
        return json.loads(self.lines(run, file)[-1])


@contextmanager
def serving() -> Iterator[Received]:
    """A server for the block; it stops answering, without a word, once ``mute`` is set."""
    received = Received()
    handler = type("Bound", (Handler,), {"received": received})
    server = Server(("127.0.0.1", 0), handler)
    received.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield received
    finally:
        received.mute.set()
        server.shutdown()
        server.server_close()


class Server(ThreadingHTTPServer):
    """Clients may go away at any time; answers that are still held back are not waited for."""

    daemon_threads, block_on_close = True, False

    def handle_error(self, *_: object) -> None:
        """Nothing on the screen."""


class Handler(BaseHTTPRequestHandler):
    """One connection of the client."""

    received: Received
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        content = self._content()
        if urlsplit(self.path).path.endswith("/graphql"):
            asked = json.loads(content)
            name = asked.get("operationName") or asked["query"].split("(")[0].split("{")[0].split()[-1]
            self.received.asked.append((name, asked.get("variables") or {}))
            self._say({"data": answer(asked["query"], asked.get("variables") or {}, self.received.url)})
            if name == self.received.last_words:
                self.received.mute.set()
        else:
            if self.path.endswith("/file_stream"):
                run = self.path.split("/")[-2]
                self.received.streams.setdefault(run, []).append(json.loads(content))
            self._say({})

    def do_PUT(self) -> None:
        self.received.files[urlsplit(self.path).path] = self._content()
        self._say({})

    def do_GET(self) -> None:
        self._say({})

    def log_message(self, *_: object) -> None:
        """Nothing on the screen."""

    def _content(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _say(self, content: object) -> None:
        while self.received.mute.is_set():
            time.sleep(3600)
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def answer(query: str, variables: dict[str, Any], url: str) -> dict[str, Any]:
    """What W&B would answer, as far as the client reads it."""
    found: dict[str, Any] = {}
    asked = set(re.findall(r"\w+", query))
    for name in asked & ANSWERS.keys():
        found[name] = ANSWERS[name](variables, url)
    return found


def _bucket(variables: dict[str, Any], url: str) -> dict[str, Any]:
    run = variables.get("name") or "run"
    project = {"name": PROJECT, "entity": {"name": ENTITY}}
    bucket = {"id": f"id-{run}", "name": run, "displayName": run, "project": project, "historyLineCount": 0}
    bucket |= {"config": "{}", "sweepName": None, "tags": []}
    return {"bucket": bucket, "inserted": True}


def _files(variables: dict[str, Any], url: str) -> dict[str, Any]:
    run = variables.get("run") or variables.get("runName") or "run"
    files = [
        {"name": name, "uploadUrl": f"{url}/put/{run}/{name}", "uploadHeaders": []}
        for name in variables.get("files", [])
    ]
    return {"runID": f"id-{run}", "uploadHeaders": [], "files": files}


def _artifact(variables: dict[str, Any], url: str) -> dict[str, Any]:
    given = variables.get("input") or variables
    name = given["artifactCollectionName"]
    sequence = {"id": f"sequence-{name}", "latestArtifact": None}
    return {"artifact": {"id": name, "state": "PENDING", "artifactSequence": sequence}}


def _manifest(variables: dict[str, Any], url: str) -> dict[str, Any]:
    file = {"id": "file", "displayName": "wandb_manifest.json", "uploadHeaders": []}
    return {"artifactManifest": {"id": "manifest", "file": {**file, "uploadUrl": f"{url}/put/manifest"}}}


def _artifact_files(variables: dict[str, Any], url: str) -> dict[str, Any]:
    edges = [
        {"node": {"id": f"file-{number}", "name": each["name"], "displayName": each["name"],
                  "uploadUrl": f"{url}/put/artifact/{each['name']}", "uploadHeaders": [], "storagePath": None,
                  "uploadMultipartUrls": None, "artifact": {"id": each.get("artifactID", "artifact")}}}
        for number, each in enumerate(variables.get("artifactFiles") or variables["input"]["artifactFiles"])
    ]  # fmt: skip
    return {"files": {"edges": edges}}


ANSWERS: dict[str, Any] = {
    "project": lambda variables, url: {"artifact": None, "internalId": "1"},
    "viewer": lambda variables, url: {"id": "me", "entity": ENTITY, "username": ENTITY, "flags": "{}"},
    "serverInfo": lambda variables, url: {"cliVersionInfo": {"max_cli_version": "9.9.9"}, "features": []},
    "upsertBucket": _bucket,
    "createRunFiles": _files,
    "createArtifactManifest": _manifest,
    "updateArtifactManifest": _manifest,
    "createArtifactFiles": _artifact_files,
    "createArtifact": _artifact,
    "commitArtifact": lambda variables, url: {"artifact": {"id": variables.get("artifactID"), "digest": "0"}},
    "useArtifact": lambda variables, url: {"artifact": {"id": variables.get("artifactID")}},
}  # fmt: skip
