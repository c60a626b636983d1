"""A PostgreSQL server that a test may kill and start again."""

import contextlib
import os
import pathlib
import signal

import psycopg
from stack import PATIENCE, TOOLS, Process, eventually

SERVER = TOOLS / "bin/postgres-server"


class Postgres:
    """Listens on a Unix socket in its folder; `dsn` is the same over restarts."""

    PASSWORD = "never-to-be-shown"  # Which the server does not ask for: a test may look for it in what is printed.

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.dsn = f"postgresql://postgres:{self.PASSWORD}@/postgres?host={self.folder}/postgres&port=5439"
        self.process = None
        self.start()

    def start(self):
        """Starts it; again, where it refuses to because processes of the one before are still there."""
        def ready():
            if self.process is None or self.process.poll() is not None:
                self.process = Process([SERVER, self.folder / "postgres", "5439"], self.folder / "postgres.log")
            with contextlib.suppress(psycopg.OperationalError):
                return self.query("SELECT true")

        eventually("PostgreSQL", ready)

    def query(self, statement, *parameters):
        """Rows; nothing in them is from before the statement was sent."""
        with psycopg.connect(self.dsn, connect_timeout=PATIENCE, autocommit=True) as db:
            cursor = db.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    def kill(self):
        """SIGKILL for all of its processes: nothing is written any more. The postmaster's children are no group with it."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        self.process.kill_all()
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)

    def abort(self):
        """An immediate shutdown: connections are cut, and the next start recovers from the log."""
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(PATIENCE)

    def stop(self):
        """A fast shutdown, as Ctrl-C is one."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(PATIENCE)
