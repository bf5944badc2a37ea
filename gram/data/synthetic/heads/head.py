"""Procedural heads, shaded for ray casting."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gram.data.cameras import dot, normalised
from gram.data.synthetic.heads.basis import LASHES, LEFT_EYE, RIGHT_EYE, SKIN, TEETH, load_basis
from gram.data.synthetic.heads.bust import MANTLE, Bust, build_bust
from gram.data.synthetic.heads.hair import Hair, draw_hair
from gram.data.synthetic.heads.looks import Looks, draw_looks
from gram.data.synthetic.heads.shape import WORLD_SCALE, draw_person, draw_shape, place_in_world
from gram.data.synthetic.lighting import Lighting, draw_studio, soft_clip
from gram.data.synthetic.raycaster import Mesh, RayHits, Shadow, decode_srgb
from gram.data.synthetic.waves import mix, smoothstep

Array = NDArray[np.float64]

BACKGROUND_Z = -0.12
SKIN_WRAP = np.array([0.34, 0.20, 0.15])
"""Wrap lighting of red, green and blue, an approximation of subsurface scattering in skin."""


@dataclass(frozen=True, kw_only=True)
class Backdrop:
    """Wall at z = -0.12 with a gradient between two linear colours."""

    near: Array
    far: Array
    direction: Array
    """(2,) gradient in the wall, per world unit."""

    def colours(self, origin: Array, directions: Array) -> Array:
        """Colours (R, 3) along rays from one origin (3,)."""
        t = (BACKGROUND_Z - origin[2]) / np.minimum(directions[:, 2], -1e-3)
        across = (origin[:2] + t[:, None] * directions[:, :2]) * self.direction
        return mix(self.near, self.far, 0.5 + 0.5 * np.tanh(across[:, 0] + across[:, 1]))


@dataclass(frozen=True, kw_only=True)
class Head:
    """Head with hair, clothes, lighting and a wall; a `gram.data.synthetic.raycaster.ShadedMesh`."""

    bust: Bust
    hair: Hair
    looks: Looks
    lighting: Lighting
    backdrop: Backdrop
    normals: Array = field(repr=False)
    """(V, 3) unit normals of the bust's vertices."""

    @property
    def mesh(self) -> Mesh:
        """Mesh of the bust."""
        return self.bust.mesh

    @property
    def shadow_light(self) -> Array:
        """Distant point (3,) in the direction of the key light."""
        return 10.0 * self.lighting.key

    def background(self, origin: Array, directions: Array) -> Array:
        """Linear colours of the wall."""
        return self.backdrop.colours(origin, directions)

    def shade(self, hits: RayHits, shadow: Shadow) -> Array:
        """Linear colours (H, 3) of the hits."""
        # vertex attributes at the hits
        attributes = np.concatenate([self.bust.canonical, self.normals, self.bust.masks], 1)
        at_hits = hits.interpolate(self.mesh, attributes)
        canonical, normals, masks = at_hits[:, :3], normalised(at_hits[:, 3:6]), at_hits[:, 6:]
        part = self.bust.part[self.mesh.triangles[hits.triangle, 0]]
        # material
        colour, gloss, hairy = self._surface(part, canonical, masks)
        sharpness = np.full(len(part), 15.0)
        for eye in (LEFT_EYE, RIGHT_EYE):
            inside, centre = part == eye, self.mesh.vertices[self.bust.part == eye].mean(0)
            colour[inside] = self.looks.paint_eye(normalised(hits.points[inside] - centre))
            gloss[inside], sharpness[inside] = 0.9, 150.0
        from_behind = (part == LASHES) & (dot(normals, hits.directions) > 0)
        normals[from_behind] *= -1.0
        # lighting
        openness = np.where(part == TEETH, 0.7, np.clip(0.12 + 0.95 * masks[:, 3], 0.0, 1.0))
        lit = self.lighting.key_visibility(hits, normals, shadow, offset=0.03 * WORLD_SCALE)
        diffuse = decode_srgb(colour) * self.lighting.diffuse(normals, openness, lit, SKIN_WRAP)
        shine = gloss[:, None] * self.lighting.highlight(normals, hits.directions, lit, sharpness)
        edge = 0.06 * (1.0 - np.abs(dot(normals, hits.directions))) ** 3 * openness * (1.0 - hairy)
        return soft_clip(diffuse + shine + edge[:, None] * self.lighting.sky_colour)

    def _surface(self, part: NDArray[np.uint8], canonical: Array, masks: Array) -> tuple[Array, Array, Array]:
        """Material of everything but the eyes: sRGB colour (H, 3), gloss (H,) and coverage with hair (H,)."""
        # coverage with hair, beard and clothes
        lips, mouth, ears, _ = masks.T
        looks, hair, skin = self.looks, self.hair, part == SKIN
        scalp = hair.density * hair.coverage(canonical, -0.05, 0.05) * smoothstep(0.7, 0.3, ears)
        grown = np.where(skin, scalp, part == MANTLE)
        beard = np.where(skin, looks.beard * looks.beard_cover(canonical, lips), 0.0)
        cloth = np.where(skin, looks.collar(canonical), 0.0)

        # bare skin over clothes, then hair over both
        colour = np.tile(looks.clothes, (len(part), 1))
        bare = np.flatnonzero(skin & (grown < 1.0) & (cloth < 1.0))
        painted = looks.paint_skin(canonical[bare], lips[bare], mouth[bare], ears[bare])
        painted = mix(painted, looks.brow_colour, looks.brows(canonical[bare]))
        colour[bare] = mix(painted, looks.clothes, cloth[bare])
        hairy = np.flatnonzero((grown > 0.0) | (beard > 0.0))
        strands = hair.strands(canonical[hairy])
        cover = np.maximum(grown[hairy], np.clip(beard[hairy] * (0.85 + 0.3 * strands), 0.0, 1.0))
        hair_colour = hair.colour * (1.0 + (0.22 + 0.2 * hair.curls) * strands)[:, None]
        colour[hairy] = mix(colour[hairy], hair_colour, cover)
        colour[part == LASHES] = 0.05
        colour[part == TEETH] = (0.90, 0.87, 0.82)
        gloss = np.where(grown > 0.5, 0.13, np.where(lips > 0.5, 0.12, 0.07)) * (1.0 - cloth)
        return np.clip(colour, 0.0, 1.0), gloss, grown


def make_head(seed: int | tuple[int, ...]) -> Head:
    """Build the head of a seed, the same on every machine."""
    rng = np.random.default_rng(seed)
    basis = load_basis()
    person = draw_person(rng)
    vertices = place_in_world(basis.shape(draw_shape(person, rng)), basis)
    hair = draw_hair(person, rng)
    looks = draw_looks(person, hair.colour, rng)
    bust = build_bust(vertices, basis, hair, looks)
    exposure = float(rng.uniform(0.95, 1.12)) * (1.0 + 0.45 * looks.melanin)
    return Head(
        bust=bust,
        hair=hair,
        looks=looks,
        lighting=draw_studio(rng, exposure),
        backdrop=draw_backdrop(rng),
        normals=bust.mesh.vertex_normals(),
    )


def draw_backdrop(rng: np.random.Generator) -> Backdrop:
    """Draw muted colours of any hue and brightness, plain or with a gentle gradient."""
    grey = rng.uniform(0.25, 0.92)
    colour = np.clip(grey + rng.normal(0.0, 0.08, 3), 0.08, 0.97)
    other = np.clip(colour * rng.uniform(0.75, 1.15) + rng.normal(0.0, 0.02, 3), 0.05, 0.98)
    turn = rng.uniform(0.0, 2 * np.pi)
    direction = rng.uniform(2.0, 9.0) * np.array([np.cos(turn), np.sin(turn)])
    return Backdrop(near=decode_srgb(colour), far=decode_srgb(other), direction=direction)
