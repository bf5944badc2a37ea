"""A procedural head, ready to be rendered: `make_head(seed)`."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gram.data.heads.basis import LASHES, LEFT_EYE, RIGHT_EYE, SKIN, TEETH, HeadBasis, load_basis
from gram.data.heads.hair import CENTRE, Hair, draw_hair, mantle
from gram.data.heads.looks import Looks, draw_looks
from gram.data.heads.shape import WORLD_SCALE, draw_person, draw_shape, place_in_world
from gram.data.lighting import Lighting, draw_studio, soft_clip
from gram.data.noise import mix, smoothstep
from gram.data.render import Hits, Mesh, Shadow, decode_srgb, dot, normalised

Array = NDArray[np.float64]

MANTLE = 5
"""Part number of the mantle of long hair; the others are in `gram.data.heads.basis`."""
BACKGROUND_Z = -0.12
SKIN_WRAP = np.array([0.34, 0.20, 0.15])


@dataclass(frozen=True, kw_only=True)
class Backdrop:
    """A smooth wall at z = -0.12: two colours (linear) blended across it."""

    near: Array
    far: Array
    direction: Array
    """(2,) in the wall, along which the colours change; its length is how fast."""

    def colours(self, origin: Array, directions: Array) -> Array:
        """(R, 3) seen along rays from one origin (3,)."""
        t = (BACKGROUND_Z - origin[2]) / np.minimum(directions[:, 2], -1e-3)
        across = (origin[:2] + t[:, None] * directions[:, :2]) * self.direction
        return mix(self.near, self.far, 0.5 + 0.5 * np.tanh(across[:, 0] + across[:, 1]))


@dataclass(frozen=True, kw_only=True)
class Head:
    """A head with hair, clothes, light and a wall behind it; `gram.data.render.Subject`."""

    mesh: Mesh
    part: NDArray[np.uint8]
    """(V,) part number of every vertex."""
    canonical: Array
    """(V, 3) canonical positions, decimetres."""
    masks: Array
    """(V, 4): lips, inside of the mouth, ears, and openness."""
    hair: Hair
    looks: Looks
    lighting: Lighting
    backdrop: Backdrop
    normals: Array = field(repr=False)

    @property
    def shadow_light(self) -> Array:
        """A point (3,) far away towards the key light."""
        return 10.0 * self.lighting.key

    def background(self, origin: Array, directions: Array) -> Array:
        """Linear colours of the wall."""
        return self.backdrop.colours(origin, directions)

    def shade(self, hits: Hits, shadow: Shadow) -> Array:
        """Linear colours (H, 3) of the hits."""
        attributes = hits.interpolate(
            self.mesh, np.concatenate([self.canonical, self.normals, self.masks], 1)
        )
        canonical, normals, masks = attributes[:, :3], normalised(attributes[:, 3:6]), attributes[:, 6:]
        part = self.part[self.mesh.triangles[hits.triangle, 0]]
        albedo, gloss, sharpness, hairy = self._material(hits, part, canonical, masks)
        away = dot(normals, hits.directions) > 0
        normals = np.where(away[:, None] & (part >= LASHES)[:, None], -normals, normals)
        lit = self.lighting.key_arrives(hits, normals, shadow, offset=0.03 * WORLD_SCALE)
        openness = np.where(part == TEETH, 0.7, np.clip(0.12 + 0.95 * masks[:, 3], 0.0, 1.0))
        wrap_skin = self.lighting.diffuse(normals, openness, lit, SKIN_WRAP)
        glow = gloss[:, None] * self.lighting.highlight(normals, hits.directions, lit, sharpness)
        rim = 0.06 * (1.0 - np.abs(dot(normals, hits.directions))) ** 3 * openness * (1.0 - hairy)
        return soft_clip(albedo * wrap_skin + glow + rim[:, None] * self.lighting.sky_colour)

    def _material(
        self, hits: Hits, part: NDArray[np.uint8], canonical: Array, masks: Array
    ) -> tuple[Array, Array, Array, Array]:
        """Linear albedo (H, 3), gloss (H,), sharpness (H,) of highlights, and how much is hair (H,)."""
        lips, mouth, ears, _ = masks.T
        looks, hair = self.looks, self.hair
        skin = part == SKIN
        grown = np.where(
            skin,
            hair.density * hair.coverage(canonical, -0.05, 0.05) * smoothstep(0.7, 0.3, ears),
            part == MANTLE,
        )
        cloth = np.where(skin, looks.collar(canonical), 0.0)
        beard = np.where(skin, looks.beard_cover(canonical, lips), 0.0)
        colour = np.tile(looks.clothes, (len(part), 1))
        bare = np.flatnonzero(skin & (grown < 1.0) & (cloth < 1.0))
        painted = looks.paint_skin(canonical[bare], lips[bare], mouth[bare], ears[bare])
        painted = mix(painted, looks.brow_colour, looks.brows(canonical[bare]))
        colour[bare] = mix(painted, looks.clothes, cloth[bare])
        hairy = np.flatnonzero((grown > 0.0) | (looks.beard * beard > 0.0))
        strands = hair.strands(canonical[hairy])
        cover = np.maximum(
            grown[hairy], np.clip(looks.beard * (0.85 + 0.3 * strands) * beard[hairy], 0.0, 1.0)
        )
        colour[hairy] = mix(
            colour[hairy], hair.colour * (1.0 + (0.22 + 0.2 * hair.curls) * strands)[:, None], cover
        )
        gloss = np.where(grown > 0.5, 0.13, np.where(lips > 0.5, 0.12, 0.07)) * (1.0 - cloth)
        sharpness = np.where(grown > 0.5, 14.0, 16.0)
        for eye in (LEFT_EYE, RIGHT_EYE):
            inside = part == eye
            centre = self.mesh.vertices[self.part == eye].mean(0)
            colour[inside] = looks.paint_eye(normalised(hits.points[inside] - centre))
            gloss[inside], sharpness[inside] = 0.9, 150.0
        colour[part == LASHES] = 0.05
        colour[part == TEETH] = (0.90, 0.87, 0.82)
        return decode_srgb(np.clip(colour, 0.0, 1.0)), gloss, sharpness, grown


def make_head(seed: int | tuple[int, ...]) -> Head:
    """The head with this number or tuple of numbers; the same gives the same head everywhere."""
    rng = np.random.default_rng(seed)
    basis = load_basis()
    person = draw_person(rng)
    weights = draw_shape(person, rng)
    hair = draw_hair(person, rng)
    looks = draw_looks(person, hair.colour, rng)
    vertices = place_in_world(basis.shape(weights), basis)
    mesh, part, canonical, masks = _assemble(vertices, basis, hair, looks)
    exposure = float(rng.uniform(0.95, 1.12)) * (1.0 + 0.45 * looks.melanin)
    return Head(
        mesh=mesh,
        part=part,
        canonical=canonical,
        masks=masks,
        hair=hair,
        looks=looks,
        lighting=draw_studio(rng, exposure),
        backdrop=_draw_backdrop(rng),
        normals=mesh.vertex_normals(),
    )


def _assemble(
    vertices: Array, basis: HeadBasis, hair: Hair, looks: Looks
) -> tuple[Mesh, NDArray[np.uint8], Array, Array]:
    """Push the scalp and the clothes out, add the mantle, and join the per-vertex attributes."""
    if hair.hem is not None:
        vertices = _flatten_ears(vertices, basis)
    skin = np.flatnonzero(basis.part == SKIN)
    canonical, lips = basis.canonical[skin], basis.lips[skin]
    scalp = hair.coverage(canonical, -0.03, 0.30) * smoothstep(0.4, 0.1, basis.ears[skin])
    stand_off = np.zeros(len(vertices))
    stand_off[skin] = scalp * hair.thickness(canonical) + 0.03 * looks.collar(canonical)
    stand_off[skin] += 0.05 * looks.beard * looks.beard_cover(canonical, lips)
    bare = Mesh(vertices=vertices, triangles=basis.triangles)
    vertices = vertices + bare.vertex_normals() * (WORLD_SCALE * stand_off)[:, None]
    masks = np.stack([basis.lips, basis.mouth, basis.ears, basis.openness], 1)
    if hair.hem is None:
        return Mesh(vertices=vertices, triangles=basis.triangles), basis.part, basis.canonical, masks
    canonical, triangles = mantle(hair)
    fitted = _fit(canonical, basis, vertices)
    count = len(canonical)
    mantle_masks = np.tile([0.0, 0.0, 0.0, 0.9], (count, 1))
    return (
        Mesh(
            vertices=np.concatenate([vertices, fitted]),
            triangles=np.concatenate([basis.triangles, triangles + len(vertices)]),
        ),
        np.concatenate([basis.part, np.full(count, MANTLE, np.uint8)]),
        np.concatenate([basis.canonical, canonical]),
        np.concatenate([masks, mantle_masks]),
    )


def _flatten_ears(vertices: Array, basis: HeadBasis) -> Array:
    """Lay the ears flat, so that long hair covers them."""
    flat = vertices.copy()
    width = 0.68 * WORLD_SCALE
    beyond = np.maximum(np.abs(vertices[:, 0]) - width, 0.0)
    near = (basis.canonical[:, 1] > 6.8) * smoothstep(0.0, 0.3, basis.ears)
    flat[:, 0] -= np.sign(vertices[:, 0]) * 0.75 * beyond * near
    return flat


def _fit(points: Array, basis: HeadBasis, vertices: Array) -> Array:
    """Canonical points (K, 3) in the world, by the axis-aligned map that takes the mean skull's box to this
    one's.
    """
    skull = (basis.part == SKIN) & (basis.canonical[:, 1] > CENTRE[1] + 0.1) & (basis.ears < 0.1)
    low, high = basis.canonical[skull].min(0), basis.canonical[skull].max(0)
    world_low, world_high = vertices[skull].min(0), vertices[skull].max(0)
    return world_low + (points - low) * ((world_high - world_low) / (high - low))


def _draw_backdrop(rng: np.random.Generator) -> Backdrop:
    """Muted colours of every hue and brightness, plain or gently graded."""
    grey = rng.uniform(0.25, 0.92)
    colour = np.clip(grey + rng.normal(0.0, 0.08, 3), 0.08, 0.97)
    other = np.clip(colour * rng.uniform(0.75, 1.15) + rng.normal(0.0, 0.02, 3), 0.05, 0.98)
    turn = rng.uniform(0.0, 2 * np.pi)
    direction = rng.uniform(2.0, 9.0) * np.array([np.cos(turn), np.sin(turn)])
    return Backdrop(near=decode_srgb(colour), far=decode_srgb(other), direction=direction)
