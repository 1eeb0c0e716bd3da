# SPDX-License-Identifier: Apache-2.0
"""Makes a model's text safe for a terminal, and formats numbers."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text with control characters escaped: a model may use any names."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def size(count: int) -> str:
    """A number of bytes, in units of 1000."""
    value = float(count)
    for unit in ("bytes", "KB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def plural(count: int, what: str) -> str:
    """'1 file', '2 files'."""
    return f"{count} {what}" + ("" if count == 1 else "s")


def duration(seconds: float) -> str:
    """Three significant digits, in us, ms or s."""
    for unit, factor in (("us", 1e6), ("ms", 1e3)):
        value = seconds * factor
        if value < 999.5:
            return f"{value:.{max(0, 2 - _digits(value))}f} {unit}"
    return f"{seconds:.{max(0, 2 - _digits(seconds))}f} s"


def _digits(value: float) -> int:
    return 2 if value >= 99.95 else 1 if value >= 9.995 else 0


def rate(value: float) -> str:
    """A number per second, in three digits, or with all digits before the point."""
    return f"{value:,.{max(0, 2 - _digits(value))}f}"


def tag_set(tags: object) -> str:
    """Tags for display: 'gpu, serve', or 'no tags'."""
    return ", ".join(sorted(map(printable, tags))) or "no tags"  # type: ignore[call-overload]


def common_path(names: list[str]) -> str:
    """The scopes that all names begin with: called functions give long ones."""
    if len(names) < 2:
        return ""
    paths = [name.split("/")[:-1] for name in names]
    common: list[str] = []
    for parts in zip(*paths, strict=False):
        if len(set(parts)) > 1:
            break
        common.append(parts[0])
    return "".join(part + "/" for part in common)
