"""One server for all tests: $ASOFDB is the binary. Each test has a table name of its own."""

import os
import signal
import subprocess
import threading
import uuid

import psycopg
import pytest


def _address(process):
    """Port after `listening on host:port`; the wait ends when the server does or after 20 s."""
    timer = threading.Timer(20, process.kill)
    timer.start()
    try:
        for line in process.stdout:
            if "listening on " in line:
                return int(line.rsplit(":", 1)[1])
    finally:
        timer.cancel()
    raise RuntimeError("the server went away before it listened")


@pytest.fixture(scope="session")
def port(tmp_path_factory):
    binary = os.environ["ASOFDB"]
    folder = tmp_path_factory.mktemp("server")
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            [binary, "serve", "--data", str(folder / "data"), "--listen", "127.0.0.1:0"],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        yield _address(process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0, (folder / "log").read_text()
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def dsn(port):
    def of(database="main"):
        return f"host=127.0.0.1 port={port} dbname={database} user=ann connect_timeout=10"

    return of


@pytest.fixture
def conn(dsn):
    with psycopg.connect(dsn(), autocommit=True) as connection:
        connection.execute("SET statement_timeout = '20s'")
        yield connection


@pytest.fixture
def name():
    """A name nothing else has, for a table, branch or tag."""
    return "x" + uuid.uuid4().hex[:12]
