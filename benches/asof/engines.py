"""One engine answers one shape: `engines.py ENGINE SHAPE FOLDER`; the last line printed is the result as JSON."""

import argparse
import json
import os
import re
import resource
import subprocess
import time
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import shapes


def versions(binary):
    own = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return ", ".join([own, *(f"{name} {version(name)}" for name in ["duckdb", "polars", "chdb"] if find_spec(name))])


def timed(runs, ask, cpu):
    """Seconds and the processor's seconds of each run behind a first one, and the answer."""
    answer = ask()
    seconds, used = [], []
    for _ in range(runs):
        began, before = time.monotonic(), cpu()
        answer = ask()
        seconds.append(time.monotonic() - began)
        used.append(cpu() - before)
    return {"seconds": seconds, "cpu": used, "answer": answer}


def own_cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def own_peak_mib():
    return peak_mib(os.getpid())


def peak_mib(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) // 1024


def forget_peak(pid):
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def plain(row):
    return [None if value in (None, "\\N") else int(value) for value in row]


def duckdb_(shape, folder, options, native):
    import duckdb

    path = f"{folder}/peer.duckdb" if native else ":memory:"
    database = duckdb.connect(path, config={"threads": options.threads, "memory_limit": f"{options.memory_gib}GiB"})
    database.execute(f"SET temp_directory = '{folder}/tmp'")
    for name in ["l", *shape.rights]:
        kind = "TABLE IF NOT EXISTS" if native else "TEMP VIEW"
        database.execute(f"CREATE {kind} {name} AS SELECT * FROM '{folder}/{name}-*.parquet'")
    forget_peak(os.getpid())
    ask = lambda: plain(database.execute(shape.duckdb or shape.query).fetchone())
    return timed(options.runs, ask, own_cpu) | {"rss_mib": own_peak_mib()}


def clickhouse_(shape, folder, options):
    """chDB: ClickHouse in this process, on tables of its own."""
    import csv

    from chdb.session import Session

    session = Session(f"{folder}/chdb")
    for name in ["l", *shape.rights]:
        order = "k, ts" if name != "l" and "k" in shape.rights[name][2] else "tuple()"
        session.query(f"CREATE TABLE IF NOT EXISTS {name} ENGINE = MergeTree ORDER BY ({order}) SETTINGS allow_nullable_key = 1 "
                      f"AS SELECT * FROM file('{folder}/{name}-*.parquet', Parquet)")
    bounds = (f"SETTINGS max_threads = {options.threads}, max_memory_usage = {int(options.memory_gib * 2**30)}, "
              "join_use_nulls = 1")
    forget_peak(os.getpid())
    ask = lambda: plain(next(csv.reader([str(session.query(f"{shape.clickhouse or shape.query} {bounds}", "CSV"))])))
    return timed(options.runs, ask, own_cpu) | {"rss_mib": own_peak_mib()}


def polars_(shape, folder, options):
    import polars as pl

    frames = {name: pl.read_parquet(f"{folder}/{name}-*.parquet") for name in ["l", *shape.rights]}
    rights = {name: frames[name] for name in shape.rights}
    # The files of one part are in the order of keys and times already, which is all that a join by key needs.
    in_order = lambda frame: frame if shape.parts == 1 else frame.sort("ts")
    names = {"pl": pl, "l": frames["l"], "rights": rights, "f": rights.get("f"), "in_order": in_order}

    def ask():
        found = dict(names)
        exec(shape.polars, found)
        return plain(found["answer"].row(0))

    forget_peak(os.getpid())
    return timed(options.runs, ask, own_cpu) | {"rss_mib": own_peak_mib()}


def limit_(shape, folder, options):
    """What no engine on these files can do without: the right side's columns decoded, the labels sorted."""
    import numpy
    import polars as pl

    labels = pl.read_parquet(f"{folder}/l-*.parquet")
    keys = (labels["k"].to_numpy().astype("uint64") << 40) | (labels["ts"].to_physical().to_numpy().astype("uint64") >> 20)

    def ask():
        rows = pl.read_parquet(f"{folder}/f-*.parquet", columns=["k", "ts", "v"])
        numpy.sort(keys)
        return [rows.height]

    return {key: value for key, value in timed(options.runs, ask, own_cpu).items() if key != "answer"} | {"rss_mib": own_peak_mib()}


def asofdb_(shape, folder, options, mode="auto"):
    import psycopg

    data = Path(folder) / "asofdb"
    is_new = not (data / "loaded").exists()
    command = [options.binary, "serve", "--listen", "127.0.0.1:0", "--data", str(data)]
    command += ["--memory", f"{int(options.memory_gib * 1024)}MB"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        port = server.stdout.readline().strip().rsplit(":", 1)[1]
        with psycopg.connect(f"host=127.0.0.1 port={port} user=bench dbname=main", autocommit=True) as client:
            if is_new:
                load(client, shape, folder)
                (data / "loaded").touch()
            cpu = lambda: sum(int(n) for n in Path(f"/proc/{server.pid}/stat").read_text().split(") ")[1].split()[11:13]) / os.sysconf("SC_CLK_TCK")
            ask = lambda: plain(client.execute(shape.query).fetchone())
            client.execute(f"SET asof_mode = {mode}")
            forget_peak(server.pid)
            return timed(options.runs, ask, cpu) | {"rss_mib": peak_mib(server.pid)}
    finally:
        server.terminate()
        server.wait()


def load(client, shape, folder):
    for name, (_, _, _, ddl) in {"l": shape.labels, **shape.rights}.items():
        client.execute(f"CREATE TABLE {name} {ddl}")
        for part in range(1 if name == "l" else shape.parts):
            client.execute(f"COPY {name} FROM '{folder}/{name}-{part}.parquet' (FORMAT parquet)")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine")
    parser.add_argument("shape")
    parser.add_argument("folder")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory-gib", type=float, default=8)
    parser.add_argument("--binary", default="target/release/asofdb")
    parser.add_argument("--scale", type=float, default=1.0)
    options = parser.parse_args()
    shape = next(shape for shape in shapes.SHAPES if shape.name == options.shape)
    match options.engine:
        case "asofdb":
            result = asofdb_(shape, options.folder, options)
        case "polars":
            result = polars_(shape, options.folder, options)
        case "chdb":
            result = clickhouse_(shape, options.folder, options)
        case "limit":
            result = limit_(shape, options.folder, options)
        case engine if engine.startswith("asofdb:"):
            result = asofdb_(shape, options.folder, options, engine.split(":")[1])
        case engine:
            result = duckdb_(shape, options.folder, options, native=engine == "duckdb")
    print(json.dumps({"engine": options.engine, **result}))


if __name__ == "__main__":
    main()
