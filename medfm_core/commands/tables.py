"""Tables on standard output."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_UNWATCHED_WIDTH = 200  # columns where no terminal says how many it has


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """Print a table whose first column is never broken, so that names can be copied out of it.

    Args:
        columns: their heads.
        rows: one text per column.
        right: heads of the columns that are set to the right.
    """
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0))
    for number, head in enumerate(columns):
        table.add_column(head, justify="right" if head in right else "left", overflow="fold", no_wrap=number == 0)
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False, markup=False)
    width = console.width if console.is_terminal else max(console.width, _UNWATCHED_WIDTH)
    for line in console.render_lines(table, console.options.update(width=width), pad=False):
        print("".join(segment.text for segment in line).rstrip())
