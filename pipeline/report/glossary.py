"""What numbers of an evaluation mean, which way is better, and which of them stand side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Meaning:
    """A number in words. `better` is 'lower', 'higher', or empty where neither is."""

    title: str
    better: str = ""
    words: str = ""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Numbers side by side: the name of each is the pattern of its column, filled with the key of its row."""

    columns: Mapping[str, Meaning]
    rows: Mapping[str, Meaning]


@dataclass(frozen=True)
class Headline:
    """A number that stands on top of the page, beside the one that tells what it is worth."""

    title: str
    name: str
    beside: str
    words: str


@dataclass(frozen=True, kw_only=True)
class PartMeaning:
    """A part of an evaluation in words.

    Attributes:
        title: of its section.
        words: what is done.
        grids: its numbers; those that stand in none come below, one a row.
        others: what these mean.
        headlines: numbers for the top of the page.
        pictures: file names without suffix, of those that are not shown elsewhere.
    """

    title: str
    words: str = ""
    grids: Sequence[Grid] = ()
    others: Mapping[str, Meaning] = field(default_factory=dict)
    headlines: Sequence[Headline] = ()
    pictures: Sequence[str] = ()


DISTANCES = {
    "fid": Meaning("Frechet distance", "lower", "between Gaussians fitted to the features"),
    "kid": Meaning("kernel distance", "lower", "squared maximum mean discrepancy of the features"),
    "precision": Meaning("precision", "higher", "share of generated pictures that look like real ones"),
    "recall": Meaning("recall", "higher", "share of real pictures that the model comes near to"),
}
INVERTED = Grid(
    columns={
        "{}": Meaning("latent"),
        "tuned_{}": Meaning("and field tuned"),
        "start_{}": Meaning("best random latent"),
        "average_{}": Meaning("mean image"),
        "whole_picture_{}": Meaning("all foreground"),
    },
    rows={
        "psnr": Meaning("PSNR", "higher", "of views that the fit did not see, decibels"),
        "ssim": Meaning("SSIM", "higher", "structural similarity of these views, at most 1"),
        "fitted_psnr": Meaning("PSNR of fitted views", "higher", "how well the fit itself went, decibels"),
        "depth_error": Meaning("depth error", "lower", "mean difference along the ray, world units"),
        "depth_correlation": Meaning("depth correlation", "higher", "1 where depth is right up to its scale"),
        "normal_error": Meaning("normal error", "lower", "mean angle between normals, degrees"),
        "mask_iou": Meaning("outline", "higher", "intersection over union of the foregrounds"),
        "chamfer": Meaning("chamfer distance", "lower", "between surfaces that cameras see, world units"),
        "f_score": Meaning("F-score of the surface", "higher", "share that lies where it should, at most 1"),
    },
)
WARPED = Grid(
    columns={
        "error_{}": Meaning("difference", "lower"),
        "truth_error_{}": Meaning("of real pictures, true depth"),
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
        "truth_{}": Meaning("real pictures, true depth"),
        "mean_depth_{}": Meaning("samples, by mean depth"),
    },
    rows={
        "texture_lock": Meaning(
            "texture lock", "", "share of the surface's motion that colours follow: 1 is right, 0 is glued on"
        ),
    },
)
POSES = Grid(
    columns={
        "{}_error": Meaning("error", "lower"),
        "{}_floor": Meaning("of real pictures: the floor"),
        "{}_unrelated": Meaning("of two samples: the ceiling"),
        "{}_bias": Meaning("bias"),
        "{}_correlation": Meaning("correlation", "higher"),
    },
    rows={"pitch": Meaning("pitch, degrees"), "yaw": Meaning("yaw, degrees")},
)
LEVELS = Grid(
    columns={
        "hits_{}": Meaning("rays that meet it"),
        "weight_{}": Meaning("share of the picture that it makes"),
    },
    rows={
        **{f"{n:02}": Meaning(f"surface {n}" + ", the outermost" * (n == 0)) for n in range(100)},
        "plane": Meaning("background plane"),
    },
)
PARTS = {
    "pictures": PartMeaning(
        title="Pictures against real ones",
        words="Distances between generated and real pictures in the features of a network. They are "
        "comparable only where their protocols are equal.",
    ),
    "inversions": PartMeaning(
        title="Held-out identities",
        words="The model is fitted to one or a few views of heads or cars that it never saw, and draws the "
        "others: by a latent alone, and with its radiance field tuned to the fitted views.",
        grids=[INVERTED],
        headlines=[
            Headline("unseen views, PSNR", "psnr", "start_psnr", "best random latent"),
            Headline("unseen views, depth error", "depth_error", "average_depth_error", "mean image"),
        ],
        pictures=["inversions"],
    ),
    "consistency": PartMeaning(
        title="Views of one sample",
        words="Views of a sweep of yaw are warped onto each other by depth: where both show the same point, "
        "its colour should be the same. Differences are means, colours in [0, 1].",
        grids=[WARPED, LOCKED],
        others={
            "spread": Meaning(
                "spread of the difference", "lower", "over equal steps of yaw, 0 if all are alike"
            ),
        },
        headlines=[Headline("difference of neighbouring views", "error_1", "truth_error_1", "real pictures")],
        pictures=["consistency"],
    ),
    "poses": PartMeaning(
        title="Poses",
        words="A network that learned poses from the training pictures tells whence samples are seen; its "
        "own error on real pictures is the floor.",
        grids=[POSES],
        headlines=[Headline("yaw error, degrees", "yaw_error", "yaw_floor", "real pictures")],
        pictures=["poses"],
    ),
    "surfaces": PartMeaning(
        title="Surfaces",
        words="Where rays meet the surfaces, how much each shows, and how far what shows is from the truth.",
        grids=[LEVELS],
        others={
            "spacing_mean": Meaning("distance of neighbours", "", "mean along rays, world units"),
            "spacing_min": Meaning("least distance of neighbours", "", "along rays, world units"),
            "opacity": Meaning("opacity", "", "share of the light that is stopped before the background"),
            "heaviest_distance": Meaning(
                "heaviest surface to the true one", "lower", "on inversions, world units"
            ),
            "heaviest_bias": Meaning("the same with a sign", "", "positive is behind the true surface"),
            "nearest_distance": Meaning(
                "nearest surface to the true one", "lower", "the best that weights could do"
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
        words="How much pictures change with the seed of the sampler, and how wrong few points a ray are: of "
        "the model's own sampler, and in the figures of all others in its place.",
        others={
            "std": Meaning("noise", "lower", "standard deviation over seeds, images in [-1, 1]"),
            "rmse": Meaning("error", "lower", "against 1,024 points a ray, images in [-1, 1]"),
        },
        pictures=["noise", "noise_crops"],
    ),
}


def meaning_of(name: str, known: Mapping[str, Meaning]) -> Meaning:
    """Of a number by its name in metrics.json, an extractor's suffix included; the name itself if unknown."""
    if name in known:
        return known[name]
    base, _, extractor = name.partition("_")
    if base in known and extractor:
        found = known[base]
        return Meaning(f"{found.title} ({extractor})", found.better, found.words)
    return Meaning(name.replace("_", " "))
