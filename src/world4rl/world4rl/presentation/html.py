"""What the project's HTML pages share: templates, and how figures are written."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined


def environment() -> Environment:
    """What pages are rendered in: the package's templates, and filters that write figures."""
    made = Environment(
        loader=PackageLoader("world4rl"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "percent": percent,
        "points": points,
        "p_value": p_value,
        "duration": duration,
        "figure": figure,
    }
    return made


def percent(share: float | None) -> str:
    """0.724 to ``72.4 %``; whole numbers without a decimal."""
    if share is None:
        return "not measured"
    text = f"{100 * share:.1f}".removesuffix(".0")
    return f"{text} %"


def points(share: float) -> str:
    """A difference of shares in points, with its sign."""
    return f"{100 * share:+.1f}".replace("-", "−")


def figure(value: float | None) -> str:
    """A small number with three significant digits."""
    return "not measured" if value is None else f"{value:.3g}"


def p_value(value: float) -> str:
    """A p value: three digits, or that it is below 0.001."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def duration(seconds: float) -> str:
    """Seconds as ``4 s``, ``3 min 20 s`` or ``2 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
