"""Numbers and times as a person reads them."""

from __future__ import annotations

import math

_PREFIXES = ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k"))
_BARS, _ASCII_BARS = "▁▂▃▄▅▆▇█", "_.-:=+*#"


def number(value: float) -> str:
    """A figure of three digits, four where it nears 1: `0.0312`, `0.9993`, `12.3`, `45.2k`, `1.2e-5`."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("infinite" if value > 0 else "-infinite")
    for begin, scale, letter in _PREFIXES:
        if abs(value) >= begin:
            return f"{value / scale:.3g}{letter}"
    if abs(value) >= 1000 or value == int(value):
        return f"{value:.0f}"
    if abs(value) < 1e-3:
        digits, exponent = f"{value:.2e}".split("e")
        return f"{digits.rstrip('0').rstrip('.')}e{int(exponent)}"
    return f"{value:.4g}" if 0.9 < abs(value) < 1 else f"{value:.3g}"


def share(value: float) -> str:
    """A part of the whole: `1.8 %`."""
    return f"{100 * value:.1f} %" if math.isfinite(value) else number(value)


def duration(seconds: float) -> str:
    """A time: `45 s`, `3 min 20 s`, `2 h 05 min`, `3 d 4 h`."""
    seconds = round(max(seconds, 0.0))
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    if seconds < 86400:
        return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"
    return f"{seconds // 86400} d {seconds % 86400 // 3600} h"


def sparkline(values: list[float], width: int, ascii_only: bool = False) -> str:
    """Draw values as a line of bars, the means of equal parts when there are more than `width`; `!` is NaN."""
    bars = _ASCII_BARS if ascii_only else _BARS
    count = min(width, len(values))
    parts = [values[len(values) * i // count : len(values) * (i + 1) // count] for i in range(count)]
    means = [sum(part) / len(part) for part in parts]
    finite = [mean for mean in means if math.isfinite(mean)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)
    step = (high - low) / (len(bars) - 1) or 1.0
    return "".join(bars[round((mean - low) / step)] if math.isfinite(mean) else "!" for mean in means)
