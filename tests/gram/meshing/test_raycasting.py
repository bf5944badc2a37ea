"""Rays meet the first triangle in their way, from either side."""

import numpy as np

from gram.meshing.raycasting import MeshScene, interpolate

VERTICES = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [0, 1, 1]], dtype=float)
FACES = np.array([[0, 1, 2], [3, 4, 5]])


def test_the_nearest_triangle_is_met_where_it_is():
    origins = np.array([[0.2, 0.3, 3.0], [0.2, 0.3, -1.0], [0.9, 0.9, 3.0]])
    found = MeshScene(VERTICES, FACES).intersect(origins, np.array([[0.0, 0, -1], [0, 0, 1], [0, 0, -1]]))
    assert found.hit.tolist() == [True, True, False]
    assert found.faces[:2].tolist() == [1, 0]
    np.testing.assert_allclose(found.t[:2], [2, 1], atol=1e-6)
    places = interpolate(VERTICES, FACES[found.faces[:2]], found.weights[:2])
    np.testing.assert_allclose(places, [[0.2, 0.3, 1], [0.2, 0.3, 0]], atol=1e-6)


def test_a_target_outlives_what_it_was_made_of():
    vertices, faces = VERTICES.copy(), FACES.copy()
    target = MeshScene(vertices, faces)
    vertices[:] = 0
    del vertices, faces
    found = target.intersect(np.array([[0.2, 0.3, 3.0]]), np.array([[0.0, 0, -1]]))
    assert found.hit.all()
