#!/usr/bin/env python3
"""ASOF JOIN beside its peers: the same rows, the same question, the same run.

    benches/asof/run.py --binary target/release/asofdb            every shape, the table of docs/benchmarks.md
    benches/asof/run.py --binary target/release/asofdb --quick    a hundredth of the rows: do they agree?

For each shape and engine: the median of the runs in seconds, the processor's seconds, the most memory (RSS), and the
answer, which must be the same everywhere. Engines take turns, each in a process of its own with the same number of
threads and the same bound on memory. DuckDB is asked twice: on its own table and on the Parquet files that
AsofDB's rows were loaded from. Polars has the rows in memory before the clock starts; ClickHouse, as chDB, has tables of its own.
Needs what requirements.txt lists; ClickHouse is asked where chdb is installed.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import engines
import page
import shapes

HERE = Path(__file__).resolve().parent


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def ask(engine, shape, folder, options):
    """One engine's runs of one shape, in a process of its own."""
    command = [sys.executable, str(HERE / "engines.py"), engine, shape.name, str(folder)]
    command += ["--runs", str(options.runs), "--threads", str(options.threads)]
    command += ["--memory-gib", str(shape.memory_gib or options.memory_gib), "--binary", options.binary]
    command += ["--scale", str(options.scale)]
    environment = os.environ | {"POLARS_MAX_THREADS": str(options.threads)}
    run = subprocess.run(command, capture_output=True, text=True, timeout=3600, env=environment, check=False)
    if run.returncode != 0:
        reason = (run.stderr.strip() or "no word").splitlines()[-1]
        return {"engine": engine, "failed": reason[:100]}
    return json.loads(run.stdout.strip().splitlines()[-1])


def asked_of(shape, options):
    """The engines, the machine's own limit where a shape has one, and the modes that a planner may choose from."""
    names = options.engines.split(",")
    if shape.limit and "asofdb" in names:
        names.append("limit")
    if options.modes:
        names += [f"asofdb:{mode}" for mode in shape.modes]
    return names


def report(shape, results):
    print(f"\n{shape.name}: {shape.about}")
    answers = {json.dumps(result["answer"]) for result in results if "answer" in result}
    for result in results:
        if "failed" in result:
            print(f"  {result['engine']:16} failed: {result['failed']}")
            continue
        seconds = statistics.median(result["seconds"])
        print(f"  {result['engine']:16} {seconds:8.3f} s   cpu {statistics.median(result['cpu']):7.2f} s   "
              f"{result['rss_mib']:6} MiB", flush=True)
    if len(answers) > 1:
        said = ", ".join(f"{r['engine']} {r['answer']}" for r in results if "answer" in r)
        sys.exit(f"{shape.name}: the answers differ: {said}")
    ours = [r for r in results if r["engine"] == "asofdb" and "seconds" in r]
    peers = [r for r in results if r["engine"] in page.NAMES and r["engine"] != "asofdb" and "seconds" in r]
    if ours and peers:
        best = min(peers, key=lambda r: statistics.median(r["seconds"]))
        ratio = statistics.median(best["seconds"]) / statistics.median(ours[0]["seconds"])
        memory = ours[0]["rss_mib"] / best["rss_mib"]
        print(f"  = {ratio:.2f} times the speed of {best['engine']}, {memory:.2f} of its memory", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default="target/release/asofdb")
    parser.add_argument("--quick", action="store_true", help="a hundredth of the rows, one run")
    parser.add_argument("--scale", type=float, default=1.0, help="of the rows")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory-gib", type=float, default=8)
    parser.add_argument("--only", help="names of shapes, with commas")
    parser.add_argument("--engines", default="asofdb,duckdb,duckdb-parquet,polars" + (",chdb" if find_spec("chdb") else ""))
    parser.add_argument("--modes", action="store_true", help="each mode that can serve a shape as well, forced")
    parser.add_argument("--write", help="the page to make, and its chart beside it")
    parser.add_argument("--folder", help="where rows are made and kept (60 GB); else each shape's go when it is done")
    options = parser.parse_args()
    if options.quick:
        options.scale, options.runs = 0.01, 1
    machine = (f"{processor()}, {os.cpu_count()} cores, {options.threads} threads, {options.memory_gib:g} GiB, "
               f"{options.runs} runs, rows × {options.scale:g}; {engines.versions(options.binary)}")
    print(machine, flush=True)
    measured = []
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        folder = Path(options.folder or temporary)
        for n, shape in enumerate(shapes.SHAPES):
            if options.only and shape.name not in options.only.split(","):
                continue
            data = folder / f"{shape.rows_of or shape.name}-{options.scale}"
            shapes.make(shape, data, options.scale, options.threads)
            results = [ask(engine, shape, data, options) for engine in asked_of(shape, options)]
            report(shape, results)
            measured.append((shape, results))
            is_wanted = any(shape.name == later.rows_of for later in shapes.SHAPES[n + 1:])
            if not options.folder and not is_wanted:
                shutil.rmtree(data, ignore_errors=True)
    if options.write:
        page.write(options.write, machine, "benches/asof/run.py --modes --write docs/benchmarks.md", measured)


if __name__ == "__main__":
    main()
