"""Procedural heads: what their shapes, hair, paint and pictures promise."""

from functools import cache

import numpy as np
import pytest
import trimesh
from scipy.spatial import KDTree

from gram.data.cameras import camera_frame, dot, pixel_directions
from gram.data.synthetic.heads.basis import LEFT_EYE, RIGHT_EYE, SKIN, load_basis
from gram.data.synthetic.heads.bust import MANTLE
from gram.data.synthetic.heads.hair import draw_hair, mantle
from gram.data.synthetic.heads.head import BACKGROUND_Z, Head, make_head
from gram.data.synthetic.heads.looks import draw_looks
from gram.data.synthetic.heads.shape import RACES, draw_person, draw_shape
from gram.data.synthetic.raycaster import RayCaster, render, render_depth

FOV = float(np.deg2rad(12.0))
FRONT = (np.pi / 2, np.pi / 2)
USUAL_POSES = [(1.42, 1.27), (1.42, 1.87), (1.73, 1.27), (1.73, 1.87), FRONT]
"""One standard deviation of the prior, up or down and to either side, and the frontal view."""
EXTREME_POSES = [(1.2, 0.8), (1.2, 2.35), (1.95, 0.8), (1.95, 2.35), FRONT]
"""Two and a half standard deviations of the prior, up or down and to either side, and the frontal view."""


@cache
def heads(count: int = 40) -> list[Head]:
    return [make_head((5, k)) for k in range(count)]


@cache
def long_haired_head() -> Head:
    return next(head for head in heads() if head.hair.hem is not None)


def canonical_grid(x: np.ndarray, y: np.ndarray, z: float) -> np.ndarray:
    grid = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
    return np.column_stack([grid, np.full(len(grid), z)])


def test_no_weights_give_the_base_and_shapes_add_up():
    basis = load_basis()
    one, other = {"face/chin-width-incr": 0.7}, {"expression/jawOpen": 0.4}
    np.testing.assert_array_equal(basis.shape({}), basis.base)
    together = basis.shape(one | other) - basis.base
    apart = (basis.shape(one) - basis.base) + (basis.shape(other) - basis.base)
    assert np.abs(together).max() > 0.05
    np.testing.assert_allclose(together, apart, atol=1e-12)


def test_unknown_target_is_an_error():
    with pytest.raises(ValueError, match=r"no shape target 'face/wings'"):
        load_basis().shape({"face/wings": 1.0})


def test_mean_head_is_symmetric():
    basis = load_basis()
    skin = basis.canonical[basis.part == SKIN]
    tree = KDTree(skin)
    distances, _ = tree.query(skin * [-1.0, 1.0, 1.0])
    assert np.percentile(distances, 95) < 5e-3 and distances.max() < 0.06


def test_eyes_are_at_their_places():
    basis = load_basis()
    left, right = (basis.canonical[basis.part == eye].mean(0) for eye in (LEFT_EYE, RIGHT_EYE))
    np.testing.assert_allclose(left, right * [-1, 1, 1], atol=1e-3)
    assert left[0] > 0.2 and left[2] > 1.0


def test_same_seed_gives_the_same_picture_and_another_seed_another():
    first, again, other = (render(make_head(seed), pose=FRONT, size=16, fov=FOV) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first.astype(int) - other).mean() > 5


def test_macro_weights_of_everyone_sum_to_one():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        weights = draw_shape(draw_person(rng), rng)
        for group in ("race/", "weight/"):
            assert sum(value for name, value in weights.items() if name.startswith(group)) == pytest.approx(1)
        assert min(weights.values()) >= 0 and set(weights) <= set(load_basis().names)


def test_people_are_diverse():
    people = [draw_person(np.random.default_rng(seed)) for seed in range(400)]
    for k in range(len(RACES)):
        assert sum(person.races[k] > 0.7 for person in people) > 40
    assert sum(person.male > 0.8 for person in people) > 100 < sum(person.male < 0.2 for person in people)
    assert sum(person.old > 0.6 for person in people) > 40 and sum(person.child > 0 for person in people) > 20


def test_skin_covers_the_whole_range_of_tones():
    melanin = []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        melanin.append(draw_looks(draw_person(rng), np.array([0.2, 0.1, 0.1]), rng).melanin)
    assert np.histogram(melanin, bins=5, range=(0, 1))[0].min() > 20


def test_brows_are_two_and_do_not_meet():
    for head in heads():
        across = canonical_grid(np.linspace(-0.7, 0.7, 281), np.linspace(7.4, 7.8, 81), 1.35)
        opacity = head.looks.brows(across)
        middle = np.abs(across[:, 0]) < 0.08
        assert opacity[middle].max() == 0.0
        for side in (-1, 1):
            assert opacity[across[:, 0] * side > 0.1].max() > 0.6


def test_brows_lie_between_eyes_and_hairline():
    for head in heads():
        grid = canonical_grid(np.linspace(-0.6, 0.6, 121), np.linspace(7.0, 8.2, 241), 1.35)
        heights = grid[head.looks.brows(grid) > 0.3, 1]
        assert heights.min() > 7.45 and heights.max() < 7.75


def test_beard_spares_the_lips_and_the_eyes():
    basis = load_basis()
    for head in heads(20):
        cover = head.looks.beard_cover(basis.canonical, basis.lips)
        assert cover[basis.lips > 0.5].max() == 0.0
        assert cover[basis.canonical[:, 1] > 7.2].max() == 0.0
        assert cover.max() > 0.9


def test_long_hair_is_one_closed_surface():
    checked = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        hair = draw_hair(draw_person(rng), rng)
        if hair.hem is None:
            continue
        vertices, triangles = mantle(hair)
        shell = trimesh.Trimesh(vertices, triangles, process=False)
        assert shell.is_watertight and shell.is_winding_consistent
        assert shell.volume > 0.1 and shell.body_count == 1
        checked += 1
    assert checked > 5


def test_long_hair_leaves_the_face_free():
    for head in heads():
        if head.hair.hem is None:
            continue
        hits = RayCaster(head.mesh).intersect(*frontal_rays(48))
        part = head.bust.part[head.mesh.triangles[hits.triangle, 0]]
        features = np.isin(part, [LEFT_EYE, RIGHT_EYE])
        assert features.sum() >= 3
        hair = part == MANTLE
        assert hair.sum() > 50


def frontal_rays(size: int) -> tuple[np.ndarray, np.ndarray]:
    centre, rotation = camera_frame(*FRONT)
    return centre, pixel_directions(rotation, size, FOV)


def test_hair_grows_on_the_crown_and_not_on_the_face():
    crown, nose, chin = (
        np.array([[0.0, 8.4, 0.5]]),
        np.array([[0.0, 7.0, 1.6]]),
        np.array([[0.0, 6.35, 1.35]]),
    )
    for head in heads():
        assert head.hair.coverage(crown, -0.05, 0.05)[0] == 1.0
        assert head.hair.coverage(nose, -0.05, 0.05)[0] == head.hair.coverage(chin, -0.05, 0.05)[0] == 0.0


@pytest.mark.parametrize("pose", USUAL_POSES)
def test_everything_visible_lies_in_the_box_and_in_the_range_of_distances(pose):
    centre, rotation = camera_frame(*pose)
    directions = pixel_directions(rotation, 24, FOV)
    for head in heads(20):
        hits = RayCaster(head.mesh).intersect(centre, directions)
        assert -0.085 < hits.points[:, 2].min() and hits.points[:, 2].max() < 0.096
        assert 0.88 < hits.t.min() and hits.t.max() < 1.12
        assert 0.25 < len(hits.ray) / len(directions) < 0.8


@pytest.mark.parametrize("pose", EXTREME_POSES)
def test_the_cut_of_the_bust_is_never_in_the_picture(pose):
    centre, rotation = camera_frame(*pose)
    for head in heads(20):
        rim = boundary_vertices(head)
        local = (head.mesh.vertices[rim] - centre) @ rotation
        on_image = local[:, :2] / -local[:, 2:] / np.tan(FOV / 2)
        in_frame = rim[np.abs(on_image).max(1) < 1.0]
        towards = head.mesh.vertices[in_frame] - centre
        distance = np.linalg.norm(towards, axis=1)
        first = RayCaster(head.mesh).intersect(centre, towards / distance[:, None])
        assert (first.t < distance[first.ray] - 0.01).all() and len(first.ray) == len(in_frame)


def boundary_vertices(head: Head) -> np.ndarray:
    """Vertices of the open edge at the bottom of the bust."""
    triangles = head.mesh.triangles
    edges = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), 1)
    unique, count = np.unique(edges, axis=0, return_counts=True)
    rim = np.unique(unique[count == 1])
    rim = rim[(head.bust.part[rim] == SKIN) & (head.bust.canonical[rim, 1] < 5.6)]
    assert len(rim) > 20
    return rim


def test_no_face_vanishes_in_the_dark_or_burns_out():
    for head in heads():
        image = render(head, pose=FRONT, size=24, fov=FOV, supersampling=2).astype(float)
        face = image[8:16, 9:15].mean()
        assert 55 < face < 235


def test_eyes_are_visible_in_small_pictures():
    contrasts = []
    for head in heads():
        image = render(head, pose=FRONT, size=32, fov=FOV).astype(float).mean(2)
        eyes = [head.mesh.vertices[head.bust.part == eye].mean(0) for eye in (LEFT_EYE, RIGHT_EYE)]
        rows = [round(15.5 - 15.5 * eye[1] / (1 - eye[2]) / np.tan(FOV / 2)) for eye in eyes]
        columns = [round(15.5 + 15.5 * eye[0] / (1 - eye[2]) / np.tan(FOV / 2)) for eye in eyes]
        darkest = min(
            image[row - 1 : row + 2, column - 1 : column + 2].min()
            for row, column in zip(rows, columns, strict=True)
        )
        contrasts.append(image[max(rows) + 3, columns].mean() - darkest)
    assert np.median(contrasts) > 25


def test_both_eyes_look_the_same_way():
    for head in heads(10):
        for eye in (LEFT_EYE, RIGHT_EYE):
            colours = head.looks.paint_eye(np.stack([head.looks.gaze, [0.0, 1.0, 0.0]]))
            assert colours[0].max() < 0.1 < 0.85 < colours[1].min(), eye
        assert dot(head.looks.gaze, np.array([0.0, 0.0, 1.0])) > 0.8


def test_wall_behind_the_head_is_the_same_from_every_side():
    backdrop = heads()[0].backdrop
    point = np.array([0.03, -0.05, BACKGROUND_Z])
    colours = []
    for pose in EXTREME_POSES:
        centre, _ = camera_frame(*pose)
        direction = (point - centre) / np.linalg.norm(point - centre)
        colours.append(backdrop.colours(centre, direction[None])[0])
    np.testing.assert_allclose(colours, np.broadcast_to(colours[0], (5, 3)), atol=1e-12)


def test_picture_and_depth_show_the_same_outline():
    head = long_haired_head()
    depth = render_depth(head.mesh, pose=FRONT, size=32, fov=FOV)
    image = render(head, pose=FRONT, size=32, fov=FOV, supersampling=1)
    wall = render(Wall(head), pose=FRONT, size=32, fov=FOV, supersampling=1)
    outside = np.isnan(depth)
    np.testing.assert_array_equal(image[outside], wall[outside])
    assert (image[~outside] != wall[~outside]).any(1).mean() > 0.97


class Wall:
    """Only what is behind a head."""

    shadow_light = None

    def __init__(self, head: Head) -> None:
        self.mesh, self.head = head.mesh, head

    def background(self, origin, directions):
        return self.head.background(origin, directions)

    def shade(self, hits, shadow):
        return self.background(camera_frame(*FRONT)[0], hits.directions)
