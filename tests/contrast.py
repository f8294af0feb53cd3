"""How well a color can be read on another, as WCAG 2 counts it; AA asks for 4.5."""

import re

Color = tuple[float, float, float]


def color(text: str) -> Color:
    """`#rrggbb` or `rgb(r, g, b)` as parts of one."""
    if text.startswith("#"):
        return (int(text[1:3], 16) / 255, int(text[3:5], 16) / 255, int(text[5:7], 16) / 255)
    red, green, blue = (float(one) / 255 for one in re.findall(r"[\d.]+", text)[:3])
    return (red, green, blue)


def over(top: str, under: str, share: float) -> str:
    """A color with this opacity over another."""
    mixed = (255 * (share * one + (1 - share) * other) for one, other in zip(color(top), color(under), strict=True))
    return f"rgb({', '.join(str(one) for one in mixed)})"


def contrast(one: str, other: str) -> float:
    """Between 1 and 21."""
    dark, light = sorted((_luminance(color(one)), _luminance(color(other))))
    return (light + 0.05) / (dark + 0.05)


def _luminance(parts: Color) -> float:
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
