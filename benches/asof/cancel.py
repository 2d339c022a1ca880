#!/usr/bin/env python3
"""How long after a cancel request does an ASOF JOIN end, and does it give its memory back?

    benches/asof/cancel.py --binary target/release/asofdb --folder DIR

Asks the dense shape's question of rows that `run.py --folder DIR --only dense` made, cancels it at moments spread
over the time that it takes, and prints the percentiles of what passed until the client had its error, and
the memory that the process held before the first and behind the last. Needs psycopg.
"""

import argparse
import random
import re
import statistics
import subprocess
import threading
import time
from pathlib import Path

import psycopg

import shapes


def resident_mib(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+)", status)[1]) // 1024


def cancelled(client, query, delay):
    """Seconds from the request to the error; None where the answer came first."""
    asked = []

    def cancel():
        asked.append(time.monotonic())
        client.cancel()

    timer = threading.Timer(delay, cancel)
    timer.start()
    try:
        client.execute(query).fetchone()
        return None
    except psycopg.errors.QueryCanceled:
        return time.monotonic() - asked[0]
    finally:
        timer.cancel()
        timer.join()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default="target/release/asofdb")
    parser.add_argument("--folder", required=True)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--runs", type=int, default=100)
    options = parser.parse_args()
    shape = next(shape for shape in shapes.SHAPES if shape.name == "dense")
    data = Path(options.folder) / f"{shape.name}-{options.scale}" / "asofdb"
    command = [options.binary, "serve", "--listen", "127.0.0.1:0", "--data", str(data)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        port = server.stdout.readline().strip().rsplit(":", 1)[1]
        with psycopg.connect(f"host=127.0.0.1 port={port} user=bench dbname=main", autocommit=True) as client:
            client.execute(shape.query)
            began = time.monotonic()
            client.execute(shape.query)
            whole = time.monotonic() - began
            before = resident_mib(server.pid)
            random.seed(1)
            took = [cancelled(client, shape.query, random.random() * whole) for _ in range(options.runs)]
            took = sorted(1000 * one for one in took if one is not None)
            time.sleep(1)
            after = resident_mib(server.pid)
        percentiles = statistics.quantiles(took, n=100)
        print(f"the whole takes {whole:.2f} s; {len(took)} of {options.runs} were cancelled, the others were done before")
        print(f"from request to error: p50 {percentiles[49]:.1f} ms, p99 {percentiles[98]:.1f} ms, most {took[-1]:.1f} ms")
        print(f"memory held: {before} MiB before, {after} MiB behind")
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
