"""Making whole data sets."""

import multiprocessing
import threading
import time

import numpy as np
import pytest
import trimesh

from gram.data.reader import ImageDataset
from gram.data.synthetic.generate import _mapper, plan, synthesize
from gram.data.synthetic.worker import ignore_interrupts
from gram.data.validate import validate
from gram.geometry.poses import GaussianPoses, SphericalPoses

COMMON = {"size": 12, "supersampling": 2}
HEADS = {**COMMON, "fov": float(np.deg2rad(12)), "near": 0.88, "far": 1.12, "poses": GaussianPoses()}
CARS = {**COMMON, "fov": float(np.deg2rad(30)), "near": 0.7, "far": 1.3, "poses": SphericalPoses()}


def test_same_seed_gives_the_same_bytes_for_one_and_two_processes(tmp_path):
    common = {"split": "train", "identities": 10, "views": 1, "seed": 4, **HEADS}
    one = synthesize("heads", tmp_path / "one", processes=1, **common)
    two = synthesize("heads", tmp_path / "two", processes=2, **common)
    assert one == two
    assert_same_files(tmp_path / "one", tmp_path / "two", count=12)


def test_same_seed_gives_the_same_cars(tmp_path):
    common = {"split": "test", "identities": 2, "views": 2, "seed": 4, **CARS}
    assert synthesize("cars", tmp_path / "one", **common) == synthesize("cars", tmp_path / "two", **common)
    assert_same_files(tmp_path / "one", tmp_path / "two", count=4 + 4 + 2 + 2)


def assert_same_files(one, two, *, count):
    files = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert len(files) == count
    for name in files:
        assert (one / name).read_bytes() == (two / name).read_bytes()


def test_another_seed_gives_other_images(tmp_path):
    common = {"split": "train", "identities": 2, "views": 1, **HEADS}
    hashes = {synthesize("heads", tmp_path / str(seed), seed=seed, **common).content_hash for seed in (0, 1)}
    assert len(hashes) == 2


def test_training_split_has_one_view_of_everyone_and_no_depth(tmp_path):
    meta = synthesize("heads", tmp_path / "set", split="train", identities=5, views=1, seed=0, **HEADS)
    dataset = ImageDataset(tmp_path / "set")
    assert dataset.identities == [0, 1, 2, 3, 4]
    assert dataset.depth(0) is None and not (tmp_path / "set" / "meshes").exists()
    assert (meta.kind, meta.split, meta.background, meta.seed) == ("heads", "train", "plane", 0)
    assert validate(tmp_path / "set").warnings == []


def test_test_split_has_depth_and_meshes_that_agree_with_it(tmp_path):
    synthesize("cars", tmp_path / "set", split="test", identities=2, views=3, seed=0, **CARS)
    dataset = ImageDataset(tmp_path / "set")
    assert dataset.identities == [0, 0, 0, 1, 1, 1]
    assert dataset.meta.background == "white"
    mesh = trimesh.load(tmp_path / "set" / "meshes" / "identity_001.ply", process=False)
    assert isinstance(mesh, trimesh.Trimesh)
    distances = np.linalg.norm(mesh.vertices, axis=1)
    assert distances.max() == pytest.approx(0.257, abs=1e-4)
    for index in (3, 4, 5):
        depth = dataset.depth(index)
        assert depth is not None
        seen = np.isfinite(depth.numpy())
        assert seen.any() and not seen.all()
        nearest = np.linalg.norm(mesh.vertices - dataset.cam2world[index, :3, 3].numpy(), axis=1).min()
        assert nearest - 1e-3 < depth.numpy()[seen].min() < nearest + 0.1
        white = (dataset[index][0].numpy() == 255).all(0)
        assert white[~seen].mean() > 0.7 and white[seen].mean() < 0.1


def test_splits_share_no_identity_and_no_pose():
    train = plan("train", identities=50, views=1, seed=1, poses=GaussianPoses())
    test = plan("test", identities=50, views=1, seed=1, poses=GaussianPoses())
    following = plan("train", identities=50, views=1, seed=2, poses=GaussianPoses())
    for one, other in ((train, test), (test, following), (train, following)):
        assert not {job.seed for job in one} & {job.seed for job in other}
        assert not {job.poses for job in one} & {job.poses for job in other}


def test_more_identities_keep_the_first_ones():
    few, many = (plan("train", identities=n, views=1, seed=1, poses=GaussianPoses()) for n in (20, 40))
    assert [job.seed for job in few] == [job.seed for job in many[:20]]


def test_views_of_an_identity_are_spread_over_yaw():
    for job in plan("test", identities=10, views=5, seed=0, poses=GaussianPoses()):
        yaw = np.array([yaw for _, yaw in job.poses])
        expected = np.pi / 2 + 0.3 * np.array([-1.28, -0.52, 0.0, 0.52, 1.28])  # middles of five quantiles
        np.testing.assert_allclose(yaw, expected, atol=0.17)
        assert np.ptp([pitch for pitch, _ in job.poses]) > 0.05


def test_poses_follow_the_prior():
    jobs = plan("train", identities=4000, views=1, seed=0, poses=GaussianPoses())
    poses = np.array([job.poses[0] for job in jobs])
    np.testing.assert_allclose(poses.mean(0), np.pi / 2, atol=0.02)
    np.testing.assert_allclose(poses.std(0), [0.155, 0.3], rtol=0.05)


def test_progress_counts_every_image(tmp_path):
    calls = []
    synthesize(
        "heads",
        tmp_path / "set",
        split="test",
        identities=2,
        views=2,
        seed=0,
        progress=lambda done, total: calls.append((done, total)),
        **HEADS,
    )
    assert calls == [(2, 4), (4, 4)]


def test_a_pool_that_fails_leaves_no_process_and_no_thread() -> None:
    """A thread that is left closes a pipe while Python, at exit, writes to it: OSError, once in hundreds."""
    threads, processes = set(threading.enumerate()), set(multiprocessing.active_children())
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), _mapper(2, ignore_interrupts) as map_jobs:
        map_jobs(time.sleep, [60.0] * 40)
        raise KeyboardInterrupt
    assert set(threading.enumerate()) == threads
    assert set(multiprocessing.active_children()) == processes
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("processes", [1, 2])
def test_interruption_leaves_nothing(tmp_path, processes):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthesize(
            "heads",
            tmp_path / "set",
            split="train",
            identities=20,
            views=1,
            seed=0,
            processes=processes,
            progress=stop,
            **HEADS,
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"identities": 0}, "identities is 0; it must be at least 1"),
        ({"views": 0}, "views is 0; it must be at least 1"),
        ({"size": 1}, "size is 1; it must be at least 2"),
        ({"processes": 0}, "processes is 0; it must be at least 1"),
    ],
)
def test_impossible_counts_are_refused(tmp_path, change, message):
    arguments = {"split": "train", "identities": 1, "views": 1, "seed": 0, "processes": 1, **HEADS} | change
    with pytest.raises(ValueError, match=message):
        synthesize("heads", tmp_path / "set", **arguments)
    assert list(tmp_path.iterdir()) == []
