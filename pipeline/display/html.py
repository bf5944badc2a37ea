"""HTML pages of one file, with embedded images, that need no network."""

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gram.system.folders import write_file
from pipeline.display.figures import STYLES, Style, png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LARGEST = 150_000
"""Maximum bytes of a PNG that is embedded unchanged; larger ones become JPEG."""
TYPES = {".png": "image/png", ".gif": "image/gif", ".mp4": "video/mp4"}


def render(template: Path, **values: object) -> str:
    """Render a template that extends page.html.jinja; each value that it names must be given."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([template.parent, Path(__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template.name).render(**values)


def data_uri(content: bytes, kind: str) -> str:
    """Data URI of content of a media type."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def embedded(path: Path) -> str:
    """Data URI of an image or a video file."""
    content = path.read_bytes()
    if path.suffix == ".png" and len(content) > LARGEST:
        from PIL import Image

        buffer = io.BytesIO()
        Image.open(io.BytesIO(content)).convert("RGB").save(buffer, "JPEG", quality=88)
        return data_uri(buffer.getvalue(), "image/jpeg")
    return data_uri(content, TYPES[path.suffix])


def figure(draw: "Callable[[Style], Figure | None]") -> dict[str, str] | None:
    """Data URIs of a figure in the light and the dark style; None if there is nothing to draw."""
    drawn = {}
    for name, style in STYLES.items():
        if (styled := draw(style)) is None:
            return None
        drawn[name] = data_uri(png(styled), "image/png")
    return drawn


def write(path: Path, content: str | bytes) -> Path:
    """Write a file atomically and return its path."""
    write_file(path, content.encode() if isinstance(content, str) else content)
    return path
