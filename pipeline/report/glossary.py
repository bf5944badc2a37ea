"""Meaning of an evaluation's numbers, which direction is better, and their arrangement in tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Meaning:
    """Meaning of a number. `better` is 'lower', 'higher', or empty if neither is."""

    title: str
    better: str = ""
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Table of numbers: the name of each is its column's pattern, filled with its row's key."""

    columns: Mapping[str, Meaning]
    rows: Mapping[str, Meaning]


@dataclass(frozen=True)
class Headline:
    """Number at the top of the page, with a number to compare it with."""

    title: str
    name: str  # in metrics.json
    baseline: str  # name of the number to compare with
    baseline_title: str


@dataclass(frozen=True, kw_only=True)
class PartMeaning:
    """Section about a part of an evaluation."""

    title: str
    description: str = ""
    grids: Sequence[Grid] = ()  # tables of its numbers; others follow below, one per row
    others: Mapping[str, Meaning] = field(default_factory=dict)  # meanings of numbers outside the tables
    headlines: Sequence[Headline] = ()
    images: Sequence[str] = ()  # file names without suffix, of images in the section


DISTANCES = {
    "fid": Meaning("Frechet distance", "lower", "between Gaussians fitted to the features"),
    "kid": Meaning("kernel distance", "lower", "squared maximum mean discrepancy of the features"),
    "precision": Meaning("precision", "higher", "share of generated images close to a real one"),
    "recall": Meaning("recall", "higher", "share of real images close to a generated one"),
}
INVERTED = Grid(
    columns={
        "{}": Meaning("latent"),
        "tuned_{}": Meaning("latent and tuned field"),
        "start_{}": Meaning("best random latent"),
        "average_{}": Meaning("mean image"),
        "whole_picture_{}": Meaning("all foreground"),
    },
    rows={
        "psnr": Meaning("PSNR", "higher", "of views that were not fitted, decibels"),
        "ssim": Meaning("SSIM", "higher", "structural similarity of these views, at most 1"),
        "fitted_psnr": Meaning("PSNR of fitted views", "higher", "quality of the fit, decibels"),
        "depth_error": Meaning("depth error", "lower", "mean difference along the ray, world units"),
        "depth_correlation": Meaning("depth correlation", "higher", "1 if depth is correct up to scale"),
        "normal_error": Meaning("normal error", "lower", "mean angle between normals, degrees"),
        "mask_iou": Meaning("mask IoU", "higher", "intersection over union of the foregrounds"),
        "chamfer": Meaning("chamfer distance", "lower", "between visible surfaces, world units"),
        "f_score": Meaning("F-score of the surface", "higher", "share of correct surface points, at most 1"),
    },
)
WARPED = Grid(
    columns={
        "error_{}": Meaning("difference", "lower"),
        "truth_error_{}": Meaning("of real images, true depth"),
        "unrelated_error_{}": Meaning("of two samples"),
        "coverage_{}": Meaning("compared share"),
        "mean_depth_error_{}": Meaning("difference by mean depth", "lower"),
        "mean_depth_coverage_{}": Meaning("compared share by mean depth"),
    },
    rows={str(n): Meaning(f"{n} step{'s' * (n > 1)} of the sweep apart") for n in range(1, 100)},
)
LOCKED = Grid(
    columns={
        "{}": Meaning("samples"),
        "truth_{}": Meaning("real images, true depth"),
        "mean_depth_{}": Meaning("samples, by mean depth"),
    },
    rows={
        "texture_lock": Meaning(
            "texture lock", "", "share of the surface's motion that colours follow: 1 is correct, 0 is fixed"
        ),
    },
)
POSES = Grid(
    columns={
        "{}_error": Meaning("error", "lower"),
        "{}_floor": Meaning("of real images (floor)"),
        "{}_unrelated": Meaning("of two samples (ceiling)"),
        "{}_bias": Meaning("bias"),
        "{}_correlation": Meaning("correlation", "higher"),
    },
    rows={"pitch": Meaning("pitch, degrees"), "yaw": Meaning("yaw, degrees")},
)
LEVELS = Grid(
    columns={
        "hits_{}": Meaning("hit rate"),
        "weight_{}": Meaning("compositing weight"),
    },
    rows={
        **{f"{n:02}": Meaning(f"surface {n}" + ", the outermost" * (n == 0)) for n in range(100)},
        "plane": Meaning("background plane"),
    },
)
PARTS = {
    "images": PartMeaning(
        title="Generated against real images",
        description="Distances between generated and real images in the features of a network, comparable "
        "only if their protocols are equal.",
    ),
    "inversions": PartMeaning(
        title="Held-out identities",
        description="The model is fitted to one or a few views of held-out heads or cars, and renders the "
        "others: with a latent only, and with its radiance field tuned to the fitted views.",
        grids=[INVERTED],
        headlines=[
            Headline("unseen views, PSNR", "psnr", "start_psnr", "best random latent"),
            Headline("unseen views, depth error", "depth_error", "average_depth_error", "mean image"),
        ],
        images=["inversions"],
    ),
    "consistency": PartMeaning(
        title="Views of one sample",
        description="Views of a yaw sweep are warped onto each other by depth: points visible in both should "
        "have the same colour. Differences are means, colours in [0, 1].",
        grids=[WARPED, LOCKED],
        others={
            "spread": Meaning(
                "spread of the difference", "lower", "over equal steps of yaw, 0 if all are alike"
            ),
        },
        headlines=[Headline("difference of neighbouring views", "error_1", "truth_error_1", "real images")],
        images=["consistency"],
    ),
    "poses": PartMeaning(
        title="Poses",
        description="A network trained on the training images estimates the camera poses of samples; its "
        "error on held-out real images is the floor.",
        grids=[POSES],
        headlines=[Headline("yaw error, degrees", "yaw_error", "yaw_floor", "real images")],
        images=["poses"],
    ),
    "surfaces": PartMeaning(
        title="Surfaces",
        description="Hit rate and compositing weight of every surface, and distances to the true surface.",
        grids=[LEVELS],
        others={
            "spacing_mean": Meaning("spacing of neighbours", "", "mean along rays, world units"),
            "spacing_min": Meaning("minimum spacing of neighbours", "", "along rays, world units"),
            "opacity": Meaning("opacity", "", "share of the light absorbed in front of the background"),
            "heaviest_distance": Meaning(
                "heaviest surface to the true one", "lower", "on inversions, world units"
            ),
            "heaviest_bias": Meaning("signed distance", "", "positive is behind the true surface"),
            "nearest_distance": Meaning(
                "nearest surface to the true one", "lower", "the minimum over all weights"
            ),
        },
        headlines=[
            Headline(
                "heaviest surface to the true one", "heaviest_distance", "nearest_distance", "nearest surface"
            )
        ],
    ),
    "sampling_noise": PartMeaning(
        title="Sampling noise",
        description="Change of images with the seed of the sampler, and their error with few points per ray: "
        "of the model's sampler, and in the figures of all others in its place.",
        others={
            "std": Meaning("noise", "lower", "standard deviation over seeds, images in [-1, 1]"),
            "rmse": Meaning("error", "lower", "against 1,024 points per ray, images in [-1, 1]"),
        },
        images=["noise", "noise_crops"],
    ),
}


def meaning_of(name: str, known: Mapping[str, Meaning]) -> Meaning:
    """Meaning of a number in metrics.json, with or without an extractor's suffix; its name if unknown."""
    if name in known:
        return known[name]
    base, _, extractor = name.partition("_")
    if base in known and extractor:
        return replace(known[base], title=f"{known[base].title} ({extractor})")
    return Meaning(name.replace("_", " "))
