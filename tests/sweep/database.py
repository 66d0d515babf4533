"""A PostgreSQL server of Debian's package for one test, on loopback, as a user who is not root."""

from __future__ import annotations

import os
import pwd
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found and (initdb := shutil.which("initdb")):
        found = [Path(initdb)]
    if not found:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    return found[-1].parent


class Server:
    """A server that can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.programs = _programs()
        self.data = folder / "data"
        self.user: str | None = None
        if os.geteuid() == 0:  # the server refuses to run as root
            users = [u.pw_name for u in pwd.getpwall() if u.pw_name in ("postgres", "nobody")]
            self.user = "postgres" if "postgres" in users else "nobody"
            shutil.chown(folder, self.user)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._run(
            "initdb",
            "-D",
            str(self.data),
            "-U",
            "sweep",
            "-A",
            "trust",
            "--no-sync",
            "-E",
            "UTF8",
            "--locale=C",
        )
        self.start()
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "sweep", "studies")

    @property
    def url(self) -> str:
        return f"postgresql://sweep@127.0.0.1:{self.port}/studies"

    def start(self) -> None:
        options = (f"port={self.port}", "listen_addresses=127.0.0.1", "unix_socket_directories=")
        self._process = subprocess.Popen(
            [str(self.programs / "postgres"), "-D", str(self.data), *(x for o in options for x in ("-c", o))],
            user=self.user,
            cwd="/",
            text=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert self._process.stderr is not None
        lines = []
        for line in self._process.stderr:
            lines.append(line)
            if "ready to accept connections" in line:
                break
        else:
            raise AssertionError("".join(lines))
        # Somebody must read on, or the pipe fills up.
        self._reader = threading.Thread(target=self._process.stderr.read, daemon=True)
        self._reader.start()

    def kill(self) -> None:
        """kill -9 of the server and of every process that works for it."""
        pid = self._process.pid
        workers = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        handles = []
        for number in map(int, workers):
            with suppress(ProcessLookupError):
                handles.append(os.pidfd_open(number))
        for number in (pid, *map(int, workers)):
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        self._gone()
        for handle in handles:
            select.select([handle], [], [], 60)  # until it is gone
            os.close(handle)

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)  # at once, without tidying
            self._gone()

    def _gone(self) -> None:
        assert self._process.stderr is not None
        self._process.wait(timeout=60)
        self._reader.join(timeout=60)
        self._process.stderr.close()

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self.programs / program), *arguments],
            user=self.user,
            cwd="/",
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=120,
        )


@contextmanager
def postgresql() -> Iterator[Server]:
    """A running server; all of it is gone afterwards."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    folder = Path(tempfile.mkdtemp(prefix="understudy-postgresql-"))
    server: Server | None = None
    try:
        server = Server(folder)
        yield server
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)
