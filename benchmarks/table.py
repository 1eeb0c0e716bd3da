"""Markdown tables that also read well as plain text, and the numbers in them."""

from __future__ import annotations

from collections.abc import Sequence


def markdown(headers: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A padded Markdown table; the first `left` columns are text, the others numbers."""
    columns = list(zip(headers, *rows, strict=True))
    widths = [max(3, *map(len, column)) for column in columns]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if index < left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "| " + " | ".join(padded) + " |"

    rule = ["-" * width if index < left else "-" * (width - 1) + ":" for index, width in enumerate(widths)]
    return "\n".join([line(headers), line(rule), *map(line, rows)])


def number(value: float) -> str:
    """Three significant digits or more, thousands separated."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def count(amount: int, noun: str) -> str:
    return f"{amount:,} {noun}" if amount == 1 else f"{amount:,} {noun}s"


def ratio(value: float, reference: float | None) -> str:
    """`value` as a multiple of the reference's; a dash where there is no reference."""
    if not reference:
        return "-"
    return f"{value / reference:.1f}x" if value >= 10 * reference else f"{value / reference:.2f}x"
