"""viewer.html in a real browser: it shows what the network draws, and every control does what it says."""

import html
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from chromium import Page, browser
from numpy.typing import NDArray
from PIL import Image
from small_model import smooth_settings, vivid_generator
from trimesh.visual.material import PBRMaterial
from trimesh.visual.texture import TextureVisuals

from gram.extraction.baking import BakedManifolds, bake
from gram.geometry.poses import GaussianPoses
from gram.meshing import render_mesh
from gram.model.generator import Generator, to_pixels
from pipeline.export import viewer

FRONT = torch.full((1, 2), math.pi / 2)
WINDOW = {"width": 800, "height": 200}
CLOSE, DIFFERENT = 35.0, 25.0
"""Decibels. The page is as close as that to the network, although its textures are compressed with losses;
pictures of another pose or latent are less alike than that."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What the page is made of."""

    generator: Generator
    z: torch.Tensor
    poses: torch.Tensor
    baked: list[BakedManifolds]
    meshes: list[trimesh.Trimesh]
    path: Path

    def network(self, pose: torch.Tensor, latent: int, size: int) -> NDArray[np.uint8]:
        return to_pixels(self.generator.render(self.z[latent][None], pose, size=size).image)[0]


def colored_ball() -> trimesh.Trimesh:
    ball = trimesh.creation.icosphere(subdivisions=4, radius=0.06)
    ball.visual.vertex_colors = np.rint((ball.vertices / 0.12 + 0.5) * 255).astype(np.uint8)  # type: ignore
    return ball


def textured_ball() -> trimesh.Trimesh:
    """The same ball, its colours in a picture: red grows to the right, green upwards."""
    ball = colored_ball()
    side = np.linspace(0, 255, 64).round().astype(np.uint8)
    red, green = np.meshgrid(side, side[::-1])  # the first row of a picture is its top
    image = Image.fromarray(np.stack([red, green, np.full_like(red, 128)], -1))
    uv = ball.vertices[:, :2] / 0.12 + 0.5
    uv = (uv * 63 + 0.5) / 64  # middles of pixels
    painted = ball.copy()
    painted.visual = TextureVisuals(uv=uv, material=PBRMaterial(baseColorTexture=image))
    return painted


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    generator = vivid_generator(smooth_settings(), layers=7.0, heads=30.0)
    ends = torch.randn(2, 8, generator=torch.Generator().manual_seed(1))
    z = torch.stack([ends[0], ends.mean(0), ends[1]])
    poses = GaussianPoses().sample(24, generator=torch.Generator().manual_seed(0))
    first = bake(generator, z[0], poses, resolution=128)
    baked = [first, *(bake(generator, one, poses, resolution=128, charts=first.charts) for one in z[1:])]
    path = tmp_path_factory.mktemp("viewer") / "viewer.html"
    meshes = [colored_ball(), textured_ball()]
    viewer.write(
        path,
        baked,
        fov=generator.fov,
        poses=poses,
        labels=["seed 0", "seed 1"],
        meshes=meshes,
        title="A <test>",
    )
    return Shown(generator=generator, z=z, poses=poses, baked=baked, meshes=meshes, path=path)


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("chromium")) as page:
        yield page


@pytest.fixture
def page(tab: Page, shown: Shown) -> Page:
    """The viewer, freshly loaded; nothing hides behind the rounded corners of its picture."""
    tab.problems.clear()
    tab.requests.clear()
    tab.open(shown.path, **WINDOW)
    tab.wait_for("document.querySelector('.stage').dataset.drawn !== undefined")
    style = "border-radius: 0; background: white; outline: none"
    tab.js(f"document.querySelector('.stage').style.cssText = '{style}'")
    return tab


def box(page: Page) -> tuple[int, int, int, int]:
    corners = page.js(
        "(({x, y, width, height}) => [x, y, width, height])"
        "(document.querySelector('.stage').getBoundingClientRect())"
    )
    assert corners[2] == corners[3] == 160  # of the window's 200, with margins
    return tuple(map(round, corners))


def picture(page: Page) -> NDArray[np.uint8]:
    page.settled()
    return page.screenshot(box(page))


def say(page: Page, name: str, value: str) -> None:
    """Give a field of the form a value, as a click or a key would."""
    page.js(
        "{ const form = document.querySelector('form'), field = form.elements[%r];"  # noqa: UP031
        "if (field.type === 'checkbox') field.checked = %r === 'on'; else field.value = %r;"
        "form.dispatchEvent(new Event('input')); }" % (name, value, value)
    )


def pose(page: Page) -> torch.Tensor:
    """(pitch, yaw) that the page says it is seen from."""
    text = page.js("document.querySelector('output[name=pose]').textContent")
    degrees = [float(number) for number in re.findall(r"-?\d+\.\d", text)]
    return torch.tensor([degrees]).deg2rad()


def output(page: Page, name: str) -> str:
    return page.js(f"document.querySelector('output[name={name}]').textContent")


def psnr(ours: NDArray[np.uint8], theirs: NDArray[np.uint8]) -> float:
    """Decibels."""
    return -10.0 * math.log10((((ours.astype(float) - theirs) / 255.0) ** 2).mean() + 1e-12)


def test_it_draws_what_the_network_draws_from_the_front(page: Page, shown: Shown) -> None:
    drawn = picture(page)
    assert psnr(drawn, shown.network(FRONT, 0, len(drawn))) > CLOSE
    assert psnr(drawn, shown.network(FRONT, 2, len(drawn))) < DIFFERENT


def test_it_asks_for_nothing_and_complains_about_nothing(page: Page, shown: Shown) -> None:
    for mode in ("mesh", "clay", "layers"):
        say(page, "shown", mode)
        picture(page)
    assert page.problems == []
    assert page.requests == [shown.path.as_uri()]
    assert page.js("document.querySelector('h1').textContent") == "A <test>"


def test_a_drag_turns_the_head(page: Page, shown: Shown) -> None:
    before, (x, y, width, height) = picture(page), box(page)
    page.drag((x + width / 2, y + height / 2), (width / 5, height / 20))
    turned = pose(page)
    # to the right and down: the camera goes to the left (yaw grows) and up (pitch falls)
    assert turned[0].tolist() == pytest.approx([math.pi / 2 - 1.6 / 20, math.pi / 2 + 1.6 / 5], abs=1e-3)
    after = picture(page)
    assert psnr(after, shown.network(turned, 0, len(after))) > CLOSE
    assert psnr(after, before) < DIFFERENT
    page.mouse("mousePressed", x + 9, y + 9, button="left", clickCount=1)
    page.mouse("mouseReleased", x + 9, y + 9, button="left", clickCount=1)
    page.mouse("mousePressed", x + 9, y + 9, button="left", clickCount=2)
    page.mouse("mouseReleased", x + 9, y + 9, button="left", clickCount=2)
    assert np.array_equal(picture(page), before)


def test_it_stays_where_the_model_was_trained_until_limits_are_lifted(page: Page, shown: Shown) -> None:
    x, y, width, height = box(page)
    far, extremes = (x + 5, y + height / 2), shown.poses.amax(0)
    for _ in range(3):
        page.drag(far, (width - 10, 0))
    assert pose(page)[0, 1].item() == pytest.approx(extremes[1].item(), abs=1e-3)
    say(page, "free", "on")
    page.drag(far, (width / 2, 0))
    assert pose(page)[0, 1].item() == pytest.approx(extremes[1].item() + 0.8, abs=2e-3)
    say(page, "free", "off")
    assert pose(page)[0, 1].item() == pytest.approx(extremes[1].item(), abs=1e-3)


def test_the_wheel_enlarges(page: Page, shown: Shown) -> None:
    before, (x, y, width, height) = picture(page), box(page)
    page.mouse("mouseWheel", x + width / 2, y + height / 2, deltaX=0, deltaY=-462)  # e^0.693 is 2
    page.wait_for("true")
    middle = Image.fromarray(before[height // 4 : -height // 4, width // 4 : -width // 4])
    assert psnr(picture(page), np.asarray(middle.resize((width, height)))) > 25.0


def test_the_slider_goes_from_one_seed_to_the_other(page: Page, shown: Shown) -> None:
    first = picture(page)
    assert output(page, "who") == "seed 0"
    page.js("document.querySelector('#latent').focus()")
    page.press("End", 35)
    assert output(page, "who") == "seed 1"
    last = picture(page)
    assert psnr(last, shown.network(FRONT, 2, len(last))) > CLOSE
    say(page, "latent", "1")
    assert output(page, "who") == "seed 0 → seed 1, 50 %"
    assert psnr(picture(page), shown.network(FRONT, 1, len(last))) > CLOSE
    say(page, "latent", "0.5")
    between = picture(page)
    assert CLOSE > psnr(between, first)
    mixed = shown.baked[0].surfaces.lerp(shown.baked[1].surfaces, 0.5)
    assert shown.baked[0].plane is not None and shown.baked[1].plane is not None
    plane = shown.baked[0].plane.lerp(shown.baked[1].plane, 0.5)
    faded = replace(shown.baked[0], surfaces=mixed, plane=plane)
    assert psnr(between, to_pixels(faded.render(FRONT, size=len(between)))[0]) > CLOSE


@pytest.mark.parametrize(
    ("mode", "layer", "kept", "background", "words"),
    [
        ("one", 2, [1], False, "2 of 4"),
        ("outer", 2, [0, 1], False, "1 to 2 of 4"),
        ("inner", 2, [1, 2, 3], True, "2 to 4, background"),
    ],
)
def test_surfaces_can_be_taken_away(
    page: Page, shown: Shown, mode: str, layer: int, kept: list[int], background: bool, words: str
) -> None:
    complete = picture(page)
    say(page, "range", mode)
    say(page, "layer", str(layer))
    assert output(page, "which") == words
    baked = shown.baked[0]
    surfaces = torch.zeros_like(baked.surfaces)
    surfaces[kept] = baked.surfaces[kept]
    left = replace(baked, surfaces=surfaces, plane=baked.plane if background else None)
    drawn = picture(page)
    assert psnr(drawn, to_pixels(left.render(FRONT, size=len(drawn)))[0]) > CLOSE
    assert psnr(drawn, complete) < DIFFERENT


def test_surfaces_pulled_apart_leave_the_picture_of_the_front(page: Page) -> None:
    complete = picture(page)
    say(page, "spread", "100")
    apart = picture(page)
    assert psnr(apart, complete) < 15.0
    assert (apart[:5] > 250).all(), "nothing but the page is beyond the frame"
    say(page, "spread", "0")
    assert np.array_equal(picture(page), complete)


def test_meshes_look_like_their_pictures(page: Page, shown: Shown) -> None:
    size, fov = box(page)[2], shown.generator.fov
    for mode, colored in (("clay", False), ("mesh", True)):
        say(page, "shown", mode)
        expected = render_mesh(shown.meshes[0], FRONT, size=size, fov=fov, colored=colored, supersampling=4)
        assert psnr(picture(page), expected[0]) > CLOSE
    say(page, "latent", "2")
    textured = picture(page)[size // 2 - 40 : size // 2 + 40, size // 2 - 40 : size // 2 + 40, :2]
    vertex_colored = expected[0][size // 2 - 40 : size // 2 + 40, size // 2 - 40 : size // 2 + 40, :2]
    assert psnr(textured, vertex_colored) > CLOSE


def test_keys_turn_enlarge_and_reset(page: Page, shown: Shown) -> None:
    before = picture(page)
    page.js("document.querySelector('.stage').focus()")
    for key, code in (("ArrowRight", 39), ("ArrowRight", 39), ("ArrowDown", 40)):
        page.press(key, code)
    turned = pose(page)
    assert (turned - FRONT)[0].tolist() == pytest.approx([-0.05, 0.1], abs=1e-3)
    assert psnr(picture(page), shown.network(turned, 0, len(before))) > CLOSE
    page.press("+", 187, "+")
    assert psnr(picture(page), shown.network(turned, 0, len(before))) < DIFFERENT
    page.press("0", 48, "0")
    assert np.array_equal(picture(page), before)


def test_it_turns_by_itself_and_stops_when_a_hand_takes_hold(page: Page) -> None:
    page.js("document.querySelector('.stage').focus()")
    page.press(" ", 32, " ")
    page.wait_for("!document.querySelector('output[name=pose]').textContent.endsWith('90.0°')")
    page.wait_for("document.querySelector('output[name=rate]').textContent.endsWith('frames/s')")
    x, y, width, height = box(page)
    page.drag((x + width / 2, y + height / 2), (0, 0), steps=1)
    stopped = pose(page)
    assert not page.js("document.querySelector('form').elements.turning.checked")
    page.wait_for("document.querySelector('output[name=rate]').textContent === 'at rest'")
    assert torch.equal(pose(page), stopped)


def test_every_control_has_a_name(page: Page) -> None:
    tree = page.command("Accessibility.getFullAXTree")["nodes"]
    roles = ("slider", "radio", "checkbox", "button", "application")
    named = [
        (node["role"]["value"], node["name"]["value"]) for node in tree if node["role"]["value"] in roles
    ]
    assert {role for role, _ in named} == set(roles)
    assert all(name for _, name in named), named


def test_it_works_in_a_frame_that_has_no_rights(page: Page, shown: Shown, tmp_path: Path) -> None:
    alone, place = picture(page), box(page)
    content = html.escape(shown.path.read_text(), quote=True)
    frame = f'<iframe sandbox="allow-scripts" width=800 height=200 style="border: 0" srcdoc="{content}">'
    outer = tmp_path / "outer.html"
    outer.write_text(f"<!DOCTYPE html><body style='margin: 0'>{frame}</iframe>")
    page.open(outer, **WINDOW)
    for _ in range(100):
        page.settled()
        if psnr(page.screenshot(place)[12:-12, 12:-12], alone[12:-12, 12:-12]) > CLOSE:
            break
    else:
        pytest.fail("the frame never showed the head")
    assert page.problems == []


def test_it_fits_a_telephone(tab: Page, shown: Shown) -> None:
    tab.open(shown.path, width=360, height=640)
    assert tab.js("document.documentElement.scrollWidth") == 360
    assert tab.js("document.querySelector('.stage').getBoundingClientRect().width") > 320


def test_without_webgl_it_says_so(shown: Shown, tmp_path: Path) -> None:
    with browser(tmp_path / "profile", "--disable-3d-apis") as page:
        page.open(shown.path, **WINDOW)
        assert "WebGL 2" in page.js("document.querySelector('.stage').dataset.failed")


def test_one_latent_on_white_needs_no_slider(tab: Page, tmp_path: Path) -> None:
    generator = vivid_generator(smooth_settings(background_z=None), layers=7.0, heads=30.0)
    z, poses = torch.randn(1, 8, generator=torch.Generator().manual_seed(1)), FRONT + 0.1 * torch.eye(2)
    baked = bake(generator, z[0], poses, resolution=100)
    viewer.write(tmp_path / "viewer.html", [baked], fov=generator.fov, poses=poses, labels=["seed 0"])
    tab.open(tmp_path / "viewer.html", **WINDOW)
    tab.wait_for("document.querySelector('.stage').dataset.drawn !== undefined")
    assert not tab.js("document.querySelector('#latent')")
    tab.js("document.querySelector('.stage').style.cssText = 'border-radius: 0; background: black'")
    expected = to_pixels(generator.render(z, pose(tab), size=160).image)[0]
    assert psnr(picture(tab), expected) > CLOSE


def test_without_surfaces_it_shows_meshes(tab: Page, shown: Shown, tmp_path: Path) -> None:
    path, fov = tmp_path / "viewer.html", shown.generator.fov
    viewer.write(path, [], fov=fov, poses=shown.poses, labels=["first", "second"], meshes=shown.meshes)
    tab.problems.clear()
    tab.open(path, **WINDOW)
    tab.wait_for("document.querySelector('.stage').dataset.drawn !== undefined")
    assert not tab.js("document.querySelector('.layers')")
    tab.js("document.querySelector('.stage').style.cssText = 'border-radius: 0; background: white'")
    expected = render_mesh(shown.meshes[0], FRONT, size=160, fov=fov, colored=True, supersampling=4)[0]
    assert psnr(picture(tab), expected) > CLOSE
    tab.js("document.querySelector('#latent').focus()")
    tab.press("ArrowRight", 39)
    assert output(tab, "who") == "second"
    assert tab.problems == []


def test_what_does_not_fit_together_is_refused(shown: Shown) -> None:
    view: dict[str, Any] = {"fov": shown.generator.fov, "poses": shown.poses}
    with pytest.raises(ValueError, match="3 manifolds cannot be spread evenly over 4 labels"):
        viewer.page(shown.baked, **view, labels=list("abcd"))
    with pytest.raises(ValueError, match="1 meshes for 2 labels"):
        viewer.page(shown.baked, **view, labels=list("ab"), meshes=shown.meshes[:1])
    with pytest.raises(ValueError, match="0 manifolds cannot be spread evenly over 1 labels"):
        viewer.page([], **view, labels=["a"])
