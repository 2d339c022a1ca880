"""docs/benchmarks.md and its chart, from what a run measured."""

import statistics
from math import log10
from pathlib import Path

NAMES = {"asofdb": "AsofDB", "duckdb": "DuckDB", "duckdb-parquet": "DuckDB on Parquet", "polars": "Polars",
         "chdb": "ClickHouse"}
COLOURS = {"asofdb": "#c2410c", "duckdb": "#a3a3a3", "duckdb-parquet": "#d4d4d4", "polars": "#7dd3fc",
           "chdb": "#fde68a"}
WIDTH, BAR, GAP, LEFT = 760, 13, 14, 130


def seconds(result):
    return statistics.median(result["seconds"])


def best_peer(results):
    peers = [r for r in results if r["engine"] in NAMES and r["engine"] != "asofdb" and "seconds" in r]
    return min(peers, key=seconds, default=None)


def ours(results):
    return next((r for r in results if r["engine"] == "asofdb" and "seconds" in r), None)


def cell(results, engine):
    result = next((r for r in results if r["engine"] == engine), {})
    if "seconds" in result:
        return f"{seconds(result):.3g} s, {result['rss_mib']:,} MiB"
    return "failed" if "failed" in result else "—"


def rows(measured):
    for shape, results in measured:
        own, peer = ours(results), best_peer(results)
        ratio = f"{seconds(peer) / seconds(own):.1f}×" if own and peer else "—"
        memory = f"{own['rss_mib'] / peer['rss_mib']:.2f}" if own and peer else "—"
        cells = [cell(results, engine) for engine in NAMES]
        yield "| " + " | ".join([f"**{shape.name}**: {shape.about}", *cells, ratio, memory]) + " |"


def notes(measured):
    """What the peers have no part in: processors used, the machine's own limit, forced modes."""
    for shape, results in measured:
        own = ours(results)
        if not own:
            continue
        cores = statistics.median(own["cpu"]) / seconds(own)
        said = [f"{cores:.2f} processors busy"]
        limit = next((r for r in results if r["engine"] == "limit" and "seconds" in r), None)
        if limit:
            said.append(f"{seconds(own) / seconds(limit):.2f} times the limit ({seconds(limit):.2f} s: its three columns "
                        "decoded, its labels sorted)")
        forced = {r["engine"].split(":")[1]: seconds(r) for r in results if ":" in r["engine"] and "seconds" in r}
        if forced:
            best = min(forced, key=forced.get)
            said.append(f"{seconds(own) / forced[best]:.2f} times the best forced mode ({best}); "
                        + ", ".join(f"{mode} {time:.3g} s" for mode, time in forced.items()))
        yield f"- {shape.name}: " + "; ".join(said) + "."


def chart(measured):
    """Times as multiples of AsofDB's, on bars of a logarithmic scale."""
    bars, y = [], 30
    for shape, results in measured:
        own = ours(results)
        timed = [r for r in results if r["engine"] in NAMES and "seconds" in r]
        if not own or not timed:
            continue
        bars.append(f'<text x="{LEFT - 8}" y="{y + BAR}" text-anchor="end" font-weight="bold">{shape.name}</text>')
        for result in timed:
            times = seconds(result) / seconds(own)
            width = max(2, (log10(times) + 1) * (WIDTH - LEFT - 120) / 4)
            bars.append(f'<rect x="{LEFT}" y="{y}" width="{width:.0f}" height="{BAR}" fill="{COLOURS[result["engine"]]}"/>'
                        f'<text x="{LEFT + width + 5:.0f}" y="{y + BAR - 2}">{times:.3g}</text>')
            y += BAR + 1
        y += GAP
    legend = "".join(f'<rect x="{LEFT + n * 125}" y="8" width="10" height="10" fill="{COLOURS[engine]}"/>'
                     f'<text x="{LEFT + n * 125 + 14}" y="17">{name}</text>' for n, (engine, name) in enumerate(NAMES.items()))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" font-family="sans-serif" '
            f'font-size="11"><rect width="100%" height="100%" fill="white"/>{legend}{"".join(bars)}</svg>\n')


def write(path, machine, command, measured):
    head = "| shape | " + " | ".join(NAMES.values()) + " | speed, of the best peer's | memory, of that peer's |"
    page = f"""# Benchmarks

ASOF JOIN beside its peers: the same rows, the same question, the same run, equal answers. Made by

    {command}

on {machine}. Each cell has the median time of a run behind a first one (warm), and the most memory the process held while
it answered. DuckDB is asked twice: on its own table, and on the Parquet files that AsofDB's rows were loaded from; Polars has all
rows in memory before the clock starts. [benches/asof](../benches/asof) has the shapes and the statements.

{head}
|{"---|" * (len(NAMES) + 3)}
{chr(10).join(rows(measured))}

![times as multiples of AsofDB's, logarithmic](benchmarks.svg)

How each of ours was answered:

{chr(10).join(notes(measured))}
"""
    path = Path(path)
    path.write_text(page)
    path.with_suffix(".svg").write_text(chart(measured))
