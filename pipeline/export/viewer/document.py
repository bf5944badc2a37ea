"""The page, made of a template, a style, the bundle of web/ and what is shown."""

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
"""Yaws that spread over so much of a turn are not limited."""


def write(path: str | Path, manifolds: Sequence[BakedManifolds], **arguments: Any) -> Path:
    """Write `page` of these arguments to a file; it appears only when complete."""
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
    """A page without any reference to elsewhere, as fit for a file as for the `srcdoc` of a frame.

    Args:
        manifolds: of latents in the order of the slider, all on the same charts; none of a model that has no
            surfaces.
        fov: of the model's pictures, radians.
        poses: (pitch, yaw) that were given to `bake`, radians: the view is kept between the extremes.
        labels: of the latents that have a name, the first and the last included and equally many others
            between one and the next.
        meshes: surface of each of these, in world coordinates, with vertex colours or a texture; or none.
        title: heading.
        about: a line on the model and where it comes from.

    Raises:
        ValueError: the numbers of manifolds, labels and meshes do not fit, or there is nothing to show.
    """
    from markupsafe import Markup

    stride = _stride(manifolds, labels, meshes)
    first = manifolds[0] if manifolds else None
    content = {
        "view": _view(poses, fov),
        "layers": first and packing.layers(first),
        "pictures": [packing.picture(one) for one in manifolds],
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
    """Manifolds from one label to the next."""
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
    of = f"{latents} {'latent' if latents == 1 else 'latents'}"
    if baked is None:
        return f"surface meshes of {of}"
    count, _, height, width = baked.surfaces.shape
    background = "white" if baked.plane is None else "a plane"
    return f"{count} surfaces in front of {background}, {width} x {height} texels each, of {of}"
