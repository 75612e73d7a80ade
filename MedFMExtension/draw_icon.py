"""Draw the extension's icon: a body in cross-section with outlined organs, one of them warm.

    python MedFMExtension/draw_icon.py

Writes `MedFM.png` (128 pixels, for the Extensions Manager) and the module's own icon.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw

_ROOT = Path(__file__).resolve().parent.parent
PLACES = (_ROOT / "MedFM.png", _ROOT / "MedFMExtension" / "MedFM" / "Resources" / "Icons" / "MedFM.png")
_SIZE, _FINER = 128, 8
_BODY, _RIM, _LUNG, _BONE = (38, 50, 66, 255), (206, 216, 226, 255), (104, 165, 214, 255), (241, 229, 187, 255)
_WARM = ((140, 26, 60, 255), (216, 68, 42, 255), (245, 154, 28, 255), (253, 240, 166, 255))  # the saliency's colours


def draw() -> Image.Image:
    """The icon, `_SIZE` pixels wide, on a transparent ground."""
    picture = Image.new("RGBA", (_SIZE * _FINER,) * 2)
    pen = ImageDraw.Draw(picture)

    def oval(x: float, y: float, wide: float, high: float, fill: tuple, rim: tuple | None = None) -> None:
        box = [(x - wide) * _FINER, (y - high) * _FINER, (x + wide) * _FINER, (y + high) * _FINER]
        pen.ellipse(box, fill=fill, outline=rim, width=3 * _FINER if rim else 0)

    oval(64, 64, 62, 50, _BODY, _RIM)
    oval(36, 60, 20, 30, (0, 0, 0, 0), _LUNG)
    oval(92, 60, 20, 30, (0, 0, 0, 0), _LUNG)
    oval(64, 95, 10, 9, _BONE)
    for share, colour in zip((1.0, 0.75, 0.5, 0.27), _WARM, strict=True):
        oval(70, 52, 19 * share, 20 * share, colour)
    return picture.resize((_SIZE, _SIZE), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    for place in PLACES:
        place.parent.mkdir(parents=True, exist_ok=True)
        draw().save(place, optimize=True)
