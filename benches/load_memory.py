#!/usr/bin/env python3
"""How much memory does a load take? COPY of many narrow rows into a server with a small bound.

    benches/load_memory.py --binary target/release/asofdb --rows 10000000 --memory 512MB

For each table: seconds, rows a second, and the most memory the server ever had (VmHWM). Needs psql.
"""

import argparse
import re
import subprocess
import tempfile
import time

# A name, the table, and a row in awk: a format and its values; n counts from 0.
LOADS = [
    ("no key", "k bigint, v double precision", '%d\\t%d.5\\n", n, n % 1000'),
    ("key in order", "k bigint PRIMARY KEY, v double precision", '%d\\t%d.5\\n", n, n % 1000'),
    ("key in no order", "k bigint PRIMARY KEY, v double precision",
     '%d\\t%d.5\\n", (n * 7368787) % ROWS, n % 1000'),
    ("text", "k text, v text", 'entity %d\\tsome text of row %d\\n", n % 100000, n'),
]


def peak_mib(pid, field):
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(rf"{field}:\s+(\d+)", status.read())[1]) // 1024


def load(options, name, columns, row):
    with tempfile.TemporaryDirectory(dir=options.folder) as data:
        command = [options.binary, "serve", "--listen", "127.0.0.1:0", "--data", data]
        command += ["--memory", options.memory]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            port = server.stdout.readline().strip().rsplit(":", 1)[1]
            psql = ["psql", "-X", "-q", "-h", "127.0.0.1", "-p", port, "-U", "ann", "-d", "main"]
            psql += ["-v", "ON_ERROR_STOP=1", "-c"]
            subprocess.run([*psql, f"CREATE TABLE t ({columns})"], check=True, timeout=60)
            idle = peak_mib(server.pid, "VmRSS")
            text = row.replace("ROWS", str(options.rows))
            program = f'BEGIN {{ for (n = 0; n < {options.rows}; n++) printf "{text} }}'
            began = time.monotonic()
            rows = subprocess.Popen(["awk", program], stdout=subprocess.PIPE)
            subprocess.run([*psql, "COPY t FROM STDIN"], stdin=rows.stdout, check=True, timeout=600)
            seconds = time.monotonic() - began
            print(f"{name:16} {seconds:6.1f} s {options.rows / seconds:10.0f} rows/s   "
                  f"idle {idle} MiB, peak {peak_mib(server.pid, 'VmHWM')} MiB", flush=True)
        finally:
            server.kill()
            server.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default="target/release/asofdb")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--memory", default="512MB")
    parser.add_argument("--folder", help="where the data folders are made")
    parser.add_argument("--only", help="the name of one load")
    options = parser.parse_args()
    for name, columns, row in LOADS:
        if options.only in (None, name):
            load(options, name, columns, row)


if __name__ == "__main__":
    main()
