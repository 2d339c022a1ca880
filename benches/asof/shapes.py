"""The shapes that are measured: rows made by a seedless formula, so that they are the same everywhere."""

from dataclasses import dataclass

import duckdb

# A number that looks random, from a number; `salt` makes several of it.
def scattered(salt, below):
    return f"((hash(i * 31 + {salt}) >> 8) % ({below}))::BIGINT"


# Times are seconds of a year, in µs.
def second_of(salt):
    return scattered(salt, 366 * 86400)


def time_of(salt):
    return f"make_timestamp(1704067200000000 + {second_of(salt)} * 1000000)"


# A value that the time decides: whichever of two rows of one time an engine takes, the answer is the same.
def value_at(salt, n):
    return f"((hash({second_of(salt)} * 31 + {n}) >> 8) % 1000)::BIGINT"


@dataclass
class Shape:
    name: str
    about: str
    # The right sides by name: (rows, SELECT over i, ORDER BY, DDL of the columns and the clustering)
    rights: dict
    labels: tuple
    query: str
    polars: str = ""
    # DuckDB's own way of saying it, where the other is not one it is quick at.
    duckdb: str = ""
    # ClickHouse's, likewise.
    clickhouse: str = ""
    # How many COPY statements load each right side: so many overlapping runs of files.
    parts: int = 1
    # A bound on memory of its own.
    memory_gib: float = 0
    # A shape whose rows serve.
    rows_of: str = ""
    # Modes that can serve it in the time there is.
    modes: tuple = ("seek", "merge", "stream")
    # Whether the machine's own limit is measured: the columns decoded, the labels sorted.
    limit: bool = False


KTV = "k BIGINT NOT NULL, ts TIMESTAMP NOT NULL, v BIGINT"
DENSE = "SELECT count(*) AS n, count(f.v) AS m, sum(f.v) AS s FROM l ASOF LEFT JOIN f ON l.k = f.k AND l.ts >= f.ts"
DENSE_POLARS = """
joined = l.sort("ts").join_asof(in_order(f), on="ts", by="k", check_sortedness=False)
answer = joined.select(pl.len().alias("n"), pl.col("v").count().alias("m"), pl.col("v").sum().alias("s"))
"""


def keyed(rows, entities, salt=1):
    select = f"{scattered(salt, entities)} AS k, {time_of(salt + 1)} AS ts, {value_at(salt + 1, salt)} AS v"
    return (rows, select, "k, ts", f"({KTV}) CLUSTER BY (k, ts)")


def labels(rows, entities, salt=11):
    return (rows, f"i AS id, {scattered(salt, entities)} AS k, {time_of(salt + 1)} AS ts", "",
            "(id BIGINT, k BIGINT, ts TIMESTAMP)")


NO_KEY = "SELECT count(*) AS n, count(f.v) AS m, sum(f.v) AS s FROM l ASOF LEFT JOIN f ON l.ts >= f.ts"
NO_KEY_POLARS = """
joined = l.sort("ts").join_asof(in_order(f), on="ts")
answer = joined.select(pl.len().alias("n"), pl.col("v").count().alias("m"), pl.col("v").sum().alias("s"))
"""
# Trades and quotes of symbols that are traded as unevenly as words are used; a tick in a second, ties in both.
TICK = ("CAST(floor(8000 * pow(((hash(i * 31 + 1) >> 11) % 1000000) / 1000000.0, 3)) AS BIGINT) AS k, "
        "make_timestamp(1704067200000000 + ((hash(i * 31 + 2) >> 8) % (23400 * 20))::BIGINT * 1000000) AS ts")
TAQ = "SELECT count(*) AS n, count(f.v) AS m FROM l ASOF LEFT JOIN f ON l.k = f.k AND l.ts >= f.ts AND l.ts - f.ts <= INTERVAL '1 minute'"
TAQ_DUCKDB = "SELECT count(*) AS n, count(*) FILTER (l.ts - f.ts <= INTERVAL '1 minute') AS m FROM l ASOF LEFT JOIN f ON l.k = f.k AND l.ts >= f.ts"
TAQ_CLICKHOUSE = "SELECT count(*) AS n, countIf(l.ts - f.ts <= 60) AS m FROM l ASOF LEFT JOIN f ON l.k = f.k AND l.ts >= f.ts"
TAQ_POLARS = """
from datetime import timedelta
joined = l.sort("ts").join_asof(in_order(f), on="ts", by="k", check_sortedness=False, tolerance=timedelta(minutes=1))
answer = joined.select(pl.len().alias("n"), pl.col("v").count().alias("m"))
"""
VIEWS = 20
FUSED = ("SELECT count(*) AS n, " + ", ".join(f"sum(f{n}.v) AS s{n}" for n in range(VIEWS)) + " FROM l "
         + " ".join(f"ASOF LEFT JOIN f{n} ON l.k = f{n}.k AND l.ts >= f{n}.ts" for n in range(VIEWS)))
FUSED_POLARS = f"""
joined = l.sort("ts")
for n in range({VIEWS}):
    joined = joined.join_asof(in_order(rights[f"f{{n}}"]).rename({{"v": f"v{{n}}"}}), on="ts", by="k", check_sortedness=False)
answer = joined.select([pl.len().alias("n")] + [pl.col(f"v{{n}}").sum().alias(f"s{{n}}") for n in range({VIEWS})])
"""
WIDE_COLUMNS = 40
WIDE = ("'entity-' || " + scattered(1, 500_000) + f"::VARCHAR AS k, {time_of(2)} AS ts, "
        + ", ".join(f"{value_at(2, n)} AS c{n}" for n in range(WIDE_COLUMNS)))
WIDE_DDL = ("(k VARCHAR NOT NULL, ts TIMESTAMP NOT NULL, "
            + ", ".join(f"c{n} BIGINT" for n in range(WIDE_COLUMNS)) + ") CLUSTER BY (k, ts)")
WIDE_SUMS = ", ".join(f"sum(f.c{n}) AS s{n}" for n in range(0, WIDE_COLUMNS, 4))
WIDE_POLARS = f"""
joined = l.sort("ts").join_asof(in_order(f), on="ts", by="k", check_sortedness=False)
answer = joined.select([pl.len().alias("n")] + [pl.col(f"c{{n}}").sum().alias(f"s{{n}}") for n in range(0, {WIDE_COLUMNS}, 4)])
"""

SHAPES = [
    Shape("dense", "50 M feature rows of 1 M keys, 5 M labels", {"f": keyed(50_000_000, 1_000_000)},
          labels(5_000_000, 1_000_000), DENSE, DENSE_POLARS, limit=True),
    Shape("low-memory", "the dense shape with 1 GiB", {"f": keyed(50_000_000, 1_000_000)},
          labels(5_000_000, 1_000_000), DENSE, DENSE_POLARS, memory_gib=1, rows_of="dense", modes=()),
    Shape("few-1k", "1,000 labels over 100 M rows of 1 M keys", {"f": keyed(100_000_000, 1_000_000)},
          labels(1_000, 1_000_000), DENSE, DENSE_POLARS),
    Shape("few-10k", "10,000 labels over 100 M rows of 1 M keys", {"f": keyed(100_000_000, 1_000_000)},
          labels(10_000, 1_000_000), DENSE, DENSE_POLARS),
    Shape("small-right", "50 M labels in no order, 1 M rows of 10 K keys", {"f": keyed(1_000_000, 10_000)},
          labels(50_000_000, 10_000), DENSE, DENSE_POLARS, modes=("merge", "hash", "stream")),
    Shape("hot-key", "50 M rows of one key, 1 M labels", {"f": keyed(50_000_000, 1)},
          labels(1_000_000, 1), DENSE, DENSE_POLARS),
    Shape("no-key", "50 M rows without a key, 1 M labels",
          {"f": (50_000_000, f"{time_of(2)} AS ts, {value_at(2, 3)} AS v", "ts",
                 "(ts TIMESTAMP NOT NULL, v BIGINT) CLUSTER BY (ts)")},
          (1_000_000, f"i AS id, {time_of(12)} AS ts", "", "(id BIGINT, ts TIMESTAMP)"), NO_KEY, NO_KEY_POLARS),
    Shape("views", "20 views of 10 M rows and 200 K keys, 2 M labels",
          {f"f{n}": keyed(10_000_000, 200_000, 100 * n) for n in range(VIEWS)},
          labels(2_000_000, 200_000), FUSED, FUSED_POLARS),
    Shape("illiquid", "100 M rows in 32 overlapping parts, 100 K labels", {"f": keyed(100_000_000, 1_000_000)},
          labels(100_000, 1_000_000), DENSE, DENSE_POLARS, parts=32),
    Shape("overlapping", "the dense shape in 8 overlapping parts", {"f": keyed(50_000_000, 1_000_000)},
          labels(5_000_000, 1_000_000), DENSE, DENSE_POLARS, parts=8),
    Shape("quotes", "100 M quotes, 10 M trades, 8 K symbols of unlike weight, ties; at most a minute old",
          {"f": (100_000_000, f"{TICK}, {scattered(3, 1000)} AS v", "k, ts", f"({KTV}) CLUSTER BY (k, ts)")},
          (10_000_000, "i AS id, " + TICK.replace("31 + 1", "37 + 11").replace("31 + 2", "37 + 12"), "",
           "(id BIGINT, k BIGINT, ts TIMESTAMP)"), TAQ, TAQ_POLARS, TAQ_DUCKDB, TAQ_CLICKHOUSE),
    Shape("wide-text", "20 M rows of 40 columns, 500 K keys of text, 1 M labels; 10 columns wanted",
          {"f": (20_000_000, WIDE, "k, ts", WIDE_DDL)},
          (1_000_000, "i AS id, 'entity-' || " + scattered(11, 500_000) + f"::VARCHAR AS k, {time_of(12)} AS ts", "",
           "(id BIGINT, k VARCHAR, ts TIMESTAMP)"),
          f"SELECT count(*) AS n, {WIDE_SUMS} FROM l ASOF LEFT JOIN f ON l.k = f.k AND l.ts >= f.ts", WIDE_POLARS),
]


def scaled(rows, scale):
    return max(100, int(rows * scale))


def make(shape, folder, scale, threads):
    """Parquet files: `l.parquet`, and for each right side `name-part.parquet`, sorted by key and time."""
    if (folder / "made").exists() or shape.rows_of:
        return
    folder.mkdir(parents=True, exist_ok=True)
    database = duckdb.connect(config={"threads": threads, "memory_limit": "12GB"})
    database.execute(f"SET temp_directory = '{folder}/tmp'")
    for name, (rows, select, order, _) in {"l": shape.labels, **shape.rights}.items():
        parts = 1 if name == "l" else shape.parts
        for part in range(parts):
            rows_here = scaled(rows, scale)
            picked = f"SELECT {select} FROM range({rows_here}) r(i) WHERE i % {parts} = {part}"
            if order:
                picked += f" ORDER BY {order}"
            database.execute(f"COPY ({picked}) TO '{folder}/{name}-{part}.parquet' "
                             "(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 131072)")
    (folder / "made").touch()
