#!/usr/bin/env python3
"""How much speed does a build profile cost? The same statements on several builds of one source.

    benches/build_profiles.py target/release/asofdb target/dist/asofdb

Each build serves a folder of its own with the same rows; the builds take turns. For each statement: the
median time on the first build, and the others' as a ratio to it; results are checked to be equal. Needs psql.
"""

import argparse
import hashlib
import re
import statistics
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

SET_UP = """
CREATE TABLE feature (k bigint, ts timestamptz, v double precision) CLUSTER BY (k, ts);
INSERT INTO feature SELECT (i * 7919) % 20000, timestamptz '2024-01-01' + i * interval '1 second', i % 1000
  FROM generate_series(1, {rows}) AS s (i);
CREATE TABLE label AS SELECT (i * 104729) % 20000 AS k, timestamptz '2024-01-01' + i * 10 * interval '1 second' AS ts
  FROM generate_series(1, {labels}) AS s (i);
"""

STATEMENTS = {
    "training set of the demo": "SELECT count(*), count(temp), sum(prev_arr_delay), sum(departures_1h) FROM training_set",
    "asof, many labels": "SELECT count(*), count(f.v), sum(f.v) FROM label l ASOF LEFT JOIN feature f ON l.k = f.k AND f.ts <= l.ts",
    "asof, tolerance": "SELECT count(*), sum(f.v) FROM label l ASOF JOIN feature f ON l.k = f.k AND f.ts <= l.ts AND l.ts - f.ts <= interval '1 day'",
    "scan and filter": "SELECT count(*), sum(v) FROM feature WHERE v > 500 AND ts > timestamptz '2024-01-02'",
    "group by": "SELECT count(*) FROM (SELECT k, avg(v), max(ts) FROM feature GROUP BY k) g",
    "sort": "SELECT sum(v) FROM (SELECT v FROM feature ORDER BY v, ts LIMIT 100000) s",
    "window": "SELECT sum(n) FROM (SELECT count(*) OVER (PARTITION BY k ORDER BY ts) AS n FROM feature WHERE k < 4000) w",
    "text": "SELECT count(*), sum(length(upper(dest))) FROM flights WHERE carrier || origin LIKE '%A%J%'",
    "write": "CREATE TABLE copy_of AS SELECT * FROM feature; DROP TABLE copy_of",
}


class Build:
    def __init__(self, binary, folder, rows):
        self.binary = binary
        data = Path(folder) / hashlib.sha256(binary.encode()).hexdigest()[:8]
        # The demo leaves its folder with the flights in it.
        subprocess.run([binary, "demo", "--data", str(data)], check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
        command = [binary, "serve", "--listen", "127.0.0.1:0", "--data", str(data)]
        self.server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.port = self.server.stdout.readline().strip().rsplit(":", 1)[1]
        self.say(SET_UP.format(rows=rows, labels=rows // 10))

    def say(self, sql):
        """Runs statements; answers what they printed and the milliseconds of the first."""
        command = ["psql", "-X", "-q", "-A", "-t", "-h", "127.0.0.1", "-p", self.port, "-U", "ann", "-d", "main",
                   "-v", "ON_ERROR_STOP=1"]
        run = subprocess.run(command, input=f"\\timing on\n{sql};\n", text=True, check=True, capture_output=True,
                             timeout=600)
        times = [float(ms) for ms in re.findall(r"^Time: ([\d.]+) ms", run.stdout, re.M)]
        rest = re.sub(r"^Time: .*\n", "", run.stdout, flags=re.M)
        return rest, sum(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binaries", nargs="+")
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", help="where the data folders are made")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        builds = []
        try:
            for binary in options.binaries:
                builds.append(Build(binary, folder, options.rows))
            compare(builds, options.rounds)
        finally:
            for build in builds:
                build.server.kill()
                build.server.wait()


def compare(builds, rounds):
    ratios = [[] for _ in builds]
    for name, sql in STATEMENTS.items():
        times = [[] for _ in builds]
        answers = set()
        for _ in range(rounds + 1):
            for build, mine in zip(builds, times):
                answer, took = build.say(sql)
                answers.add(answer)
                mine.append(took)
        assert len(answers) == 1, f"{name}: the builds do not agree: {answers}"
        # The first round warms up.
        medians = [statistics.median(mine[1:]) for mine in times]
        for mine, median in zip(ratios, medians):
            mine.append(median / medians[0])
        others = "  ".join(f"{median / medians[0]:.2f}" for median in medians[1:])
        print(f"{name:26} {medians[0]:8.0f} ms   {others}", flush=True)
    means = "  ".join(f"{statistics.geometric_mean(mine):.2f}" for mine in ratios[1:])
    print(f"{'geometric mean':26} {'':11}   {means}")


if __name__ == "__main__":
    main()
