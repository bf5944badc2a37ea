"""HTML page of the viewer, from its template, style sheet, the bundle of web/ and the data."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from gram.extraction.baking import BakedManifolds
from gram.shapes import Float
from pipeline.display import html
from pipeline.export.viewer import packing

if TYPE_CHECKING:
    import trimesh

HERE = Path(__file__).parent
TEMPLATE, STYLE, SCRIPT = HERE / "viewer.html.jinja", HERE / "style.css", HERE / "viewer.js"
FRONT = math.pi / 2
ALL_AROUND = 0.9
"""Share of a full turn above which the yaw of the view is not limited."""


def write(path: str | Path, manifolds: Sequence[BakedManifolds], **arguments: Any) -> Path:
    """Write `page` of these arguments to a file, atomically."""
    return html.write(Path(path), page(manifolds, **arguments))


def page(
    manifolds: Sequence[BakedManifolds],
    *,
    fov: float,
    poses: Float[Tensor, "count 2"],
    labels: Sequence[str],
    meshes: Sequence["trimesh.Trimesh"] = (),
    title: str = "GRAM",
    about: str = "",
) -> str:
    """Self-contained page, for a file or the `srcdoc` of a frame.

    Args:
        manifolds: baked latents in the order of the slider, all on the same charts; empty without surfaces.
        fov: field of view of the model's images, radians.
        poses: (pitch, yaw) given to `bake`, radians; their extremes limit the view.
        labels: names of evenly spaced latents, including the first and the last.
        meshes: surface of each named latent, in world coordinates, with vertex colours or a texture; or none.
        title: heading of the page.
        about: line on the model and its origin.

    Raises:
        ValueError: the numbers of manifolds, labels and meshes do not match, or there is nothing to show.
    """
    from markupsafe import Markup

    stride = _stride(manifolds, labels, meshes)
    first = manifolds[0] if manifolds else None
    content = {
        "view": _view(poses, fov),
        "layers": first and packing.layers(first),
        "atlases": [packing.atlas(one) for one in manifolds],
        "labels": list(labels),
        "stride": stride,
        "meshes": [packing.surface(mesh) for mesh in meshes],
    }
    return html.render(
        TEMPLATE,
        title=title,
        about=about,
        facts=_facts(first, max(len(manifolds), len(labels))),
        content=content,
        data=Markup(json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")),
        style=Markup(STYLE.read_text(encoding="utf-8")),
        script=Markup(SCRIPT.read_text(encoding="utf-8")),
    )


def _stride(manifolds: Sequence[Any], labels: Sequence[str], meshes: Sequence[Any]) -> int:
    """Number of manifolds from one label to the next."""
    if meshes and len(meshes) != len(labels):
        raise ValueError(f"{len(meshes)} meshes for {len(labels)} labels: give one for each, or none")
    if meshes and not manifolds:
        return 1
    gaps, steps = len(labels) - 1, len(manifolds) - 1
    if min(gaps, steps) < 0 or (steps % gaps if gaps else steps):
        raise ValueError(
            f"{len(manifolds)} manifolds cannot be spread evenly over {len(labels)} labels: "
            "give one for each label and equally many between neighbours"
        )
    return steps // gaps if gaps else 1


def _view(poses: Tensor, fov: float) -> dict[str, Any]:
    low, high = poses.amin(0).tolist(), poses.amax(0).tolist()
    start = [min(max(FRONT, low[k]), high[k]) for k in range(2)]
    around = high[1] - low[1] > ALL_AROUND * 2.0 * math.pi
    return {"fov": fov, "start": start, "low": low, "high": high, "around": around}


def _facts(baked: BakedManifolds | None, latents: int) -> str:
    shown = f"{latents} {'latent' if latents == 1 else 'latents'}"
    if baked is None:
        return f"surface meshes of {shown}"
    count, _, height, width = baked.surfaces.shape
    background = "white" if baked.plane is None else "a plane"
    return f"{count} surfaces in front of {background}, {width} x {height} texels each, of {shown}"
