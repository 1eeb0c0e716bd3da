"""The tables of the comparison with the peers, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from ..models import MODELS
from ..paths import ALL_PATHS
from ..table import count, markdown, number
from .results import PEERS, Record, Results, Row, limit, setup, wrong

ENGINES = ("tf2", "savedmodel_none", "savedmodel", "ort", "openvino")
COLD = (*ENGINES[:3], "savedmodel_saved", *ENGINES[3:], "openvino_ir")


def duration(microseconds: float) -> str:
    if microseconds < 1000:
        return f"{number(microseconds)} us"
    return f"{number(microseconds / 1000)} ms"


def times(gain: float | None, mark: str = "") -> str:
    return "-" if gain is None else f"{number(gain)}x{mark}"


def cell(record: Record | None) -> str:
    if record is None or "skipped" in record:
        return "-"
    return duration(record["p50_us"]) + (" (!)" if wrong(record) else "")


def gain_cell(row: Row, name: str | None, key: str = "p50_us") -> str:
    return times(row.gain(name, key), "" if row.interleaved(name) else "*")


def latency_table(rows: Sequence[Row]) -> str:
    table = []
    for row in rows:
        table.append(
            [
                row.model,
                str(row.batch),
                str(row.threads),
                row.precision,
                *(cell(row.records.get(name)) for name in ENGINES),
                gain_cell(row, row.best_peer()),
                gain_cell(row, row.best_peer("min_us"), "min_us"),
                gain_cell(row, "tf2"),
            ]
        )
    headers = ["Model", "Batch", "Threads", "Precision", *ENGINES, "peer/ours", "of minima", "tf2/ours"]
    return markdown(headers, table, left=4)


def detail_table(rows: Sequence[Row]) -> str:
    table = []
    for row in rows:
        for name, record in row.records.items():
            head = [row.model, str(row.batch), str(row.threads), row.precision, name]
            if "skipped" in record:
                table.append([*head, "skipped", *"---"])
                continue
            difference = record["relative_difference"]
            shown = "-" if difference is None else f"{difference:.1e}" + (" (!)" if wrong(record) else "")
            figures = [number(record[key]) for key in ("p50_us", "min_us", "items_per_second")]
            table.append([*head, *figures, shown])
    headers = ["Model", "Batch", "Threads", "Precision", "Path", "p50 us", "min us", "items/s", "difference"]
    return markdown(headers, table, left=5)


def by_path(records: Sequence[Record], model: str, key: str) -> dict[str, Record]:
    """Those of a model that have `key`: not the skipped ones."""
    return {record["path"]: record for record in records if record["model"] == model and key in record}


def cold_table(records: Sequence[Record]) -> str:
    """Seconds to the first result, and peak megabytes by then; medians."""
    table = []
    for model in dict.fromkeys(record["model"] for record in records):
        found = by_path(records, model, "median_seconds")
        row = [model]
        for name in COLD:
            one = found.get(name)
            row.append(f"{one['median_seconds']:.2f} s, {one['median_mb']:,.0f} MB" if one else "-")
        ours = found.get("savedmodel_saved", found.get("savedmodel"))
        theirs = [found[n] for n in (*PEERS, "openvino_ir") if n in found]
        for key in ("median_seconds", "median_mb"):
            row.append(times(min(one[key] for one in theirs) / ours[key] if ours and theirs else None))
        table.append(row)
    return markdown(["Model", *COLD, "peer/ours, s", "peer/ours, MB"], table)


def memory_table(records: Sequence[Record]) -> str:
    """Resident, private and peak megabytes after the first result; medians."""
    table = []
    for model in dict.fromkeys(record["model"] for record in records):
        found = by_path(records, model, "median_rss_mb")
        row = [model]
        for name in COLD:
            one = found.get(name)
            sizes = (one["median_rss_mb"], one["median_private_mb"], one["median_mb"]) if one else ()
            row.append(" / ".join(f"{size:,.0f}" for size in sizes) or "-")
        peers = [found[name]["median_rss_mb"] for name in (*PEERS, "openvino_ir") if name in found]
        ours = found.get("savedmodel")
        row.append(times(min(peers) / ours["median_rss_mb"] if ours and peers else None))
        table.append(row)
    return markdown(["Model", *COLD, "peer/ours"], table)


def skipped_lines(results: Results) -> list[str]:
    """Each reason once, with the models it holds for."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for one in (*results.latency, *results.cold):
        if "skipped" in one:
            places = reasons.setdefault((one["path"], one["skipped"]), [])
            if one["model"] not in places:
                places.append(one["model"])
    measured = {one["model"] for one in results.latency}
    return [
        f"- Skipped: {path}"
        + ("" if set(places) == measured and len(measured) > 1 else f" ({', '.join(places)})")
        + f": {reason if len(reason) < 300 else reason[:297] + '...'}"
        for (path, reason), places in reasons.items()
    ]


def wrong_lines(results: Results) -> list[str]:
    known = [one for one in results.latency if one.get("relative_difference") is not None]
    lines = []
    for precision in dict.fromkeys(ALL_PATHS[one["path"]].precision for one in known):
        mine = [one for one in known if ALL_PATHS[one["path"]].precision == precision]
        worst = max(mine, key=lambda one: float(one["relative_difference"]))
        found = f"{worst['relative_difference']:.1e} ({worst['model']}, {worst['path']})"
        lines.append(f"- Largest difference from TensorFlow's float32 answer, {precision}: {found}")
        for one in filter(wrong, mine):
            lines.append(
                f"- WRONG (!): {one['path']} on {one['model']}, batch {one['batch']}: "
                f"{one['relative_difference']:.1e}, over {limit(one):.0e}; it is left out of the ratios"
            )
    return list(dict.fromkeys(lines))


def run_lines(runs: Sequence[Record]) -> list[str]:
    """Each machine and set of versions once."""
    lines = []
    for key in dict.fromkeys(map(setup, runs)):
        same = [run for run in runs if setup(run) == key]
        first, dates = same[0], sorted(run["date"][:10] for run in same)
        packages = ", ".join(f"{name} {text or 'absent'}" for name, text in first["versions"].items())
        sets = ", ".join(first["instructions"])
        loads = [run["load_average_before"][0] for run in same]
        span = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
        settings = sorted({(run["rounds"], run["round_seconds"]) for run in same})
        rounds = " or ".join(
            f"{count(amount, 'round')} of {length * 1000:.0f} ms" for amount, length in settings
        )
        lines += [
            f"- Machine: {first['cpu']}, {first['cores']} cores ({sets}), {first['memory_gb']} GB, "
            f"{first['system']}; load average before: {min(loads):.2f} to {max(loads):.2f}",
            f"- {span}; Python {first['python']}, {packages}",
            f"- {rounds} per path, interleaved, each path in its own process; CPU only",
        ]
    return lines


def legend() -> list[str]:
    return [
        "Times are medians of one call. `peer/ours` is the time of the better of ort and openvino over that",
        "of savedmodel, `tf2/ours` that of tf2: above 1, savedmodel is faster. `*`: timed in other rounds.",
        "`difference` is the largest one from TensorFlow's float32 answer, over that answer's largest value.",
    ]


def markdown_text(results: Results) -> str:
    rows = results.rows()
    text = ["# savedmodel and its peers", "", *run_lines(results.used_runs())]
    text += [*wrong_lines(results), *skipped_lines(results), "", *legend(), "", latency_table(rows), ""]
    if results.cold:
        text += [
            "## Cold start",
            "",
            "From the start of a process to its first result: batch 1, one thread.\n",
        ]
        text += [cold_table(results.cold), ""]
        text += [
            "## Memory",
            "",
            "Resident / private / peak megabytes after the first result of these starts. `peer/ours` is",
            "the ratio of resident memory.\n",
            memory_table(results.cold),
            "",
        ]
    text += ["## Every path", "", detail_table(rows), ""]
    listed = {one["model"] for one in (*results.latency, *results.cold)}
    text += [f"- `{name}`: {MODELS[name].about}" for name in MODELS if name in listed]
    used = {one["path"] for one in (*results.latency, *results.cold)}
    text += [f"- `{name}`: {spec.about}" for name, spec in ALL_PATHS.items() if name in used]
    return "\n".join(text)
