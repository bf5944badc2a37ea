"""What numbers of an evaluation mean, in a line each, and which way is better."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Meaning:
    """A number in words. `better` is 'lower', 'higher', or empty where neither is."""

    title: str
    better: str
    words: str


@dataclass(frozen=True)
class PartMeaning:
    """A part of an evaluation in words; `picture` is the one that belongs to it, without suffix."""

    title: str
    words: str
    picture: str = ""


PICTURES = PartMeaning(
    "Pictures against real ones",
    "Distances between generated and real pictures in the features of a network. They are comparable only "
    "where their protocols are equal.",
)
PARTS: dict[str, PartMeaning] = {
    "inversions": PartMeaning(
        "Held-out identities",
        "The model is fitted to one or a few views of heads or cars that it never saw, and draws the others: "
        "by a latent alone, and with its radiance field tuned to the fitted views.",
        "inversions",
    ),
    "consistency": PartMeaning(
        "Views of one sample",
        "Views of a sweep of yaw are warped onto each other by depth: where both show the same point, its "
        "colour should be the same.",
        "consistency",
    ),
    "poses": PartMeaning(
        "Poses",
        "A network that learned poses from the training pictures tells from where samples are seen; its own "
        "error on real pictures is the floor.",
        "poses",
    ),
    "surfaces": PartMeaning(
        "Surfaces",
        "Where rays meet the surfaces, how much each shows, and how far what shows is from the truth.",
        "surfaces",
    ),
}
METRICS: dict[str, Meaning] = {
    "fid": Meaning("Frechet distance", "lower", "between Gaussians fitted to the features"),
    "kid": Meaning("kernel distance", "lower", "squared maximum mean discrepancy of the features"),
    "precision": Meaning("precision", "higher", "share of generated pictures that look like real ones"),
    "recall": Meaning("recall", "higher", "share of real pictures that the model comes near to"),
}
INVERTED: dict[str, Meaning] = {
    "psnr": Meaning("PSNR", "higher", "of views that the fit did not see, decibels"),
    "ssim": Meaning("SSIM", "higher", "structural similarity of these views, at most 1"),
    "fitted_psnr": Meaning("PSNR of fitted views", "higher", "how well the fit itself went, decibels"),
    "depth_error": Meaning("depth error", "lower", "mean difference along the ray, world units"),
    "depth_correlation": Meaning("depth correlation", "higher", "1 where depth is right up to its scale"),
    "normal_error": Meaning("normal error", "lower", "mean angle between normals, degrees"),
    "mask_iou": Meaning("outline", "higher", "intersection over union of the foregrounds"),
    "chamfer": Meaning("chamfer distance", "lower", "between the surfaces that cameras see, world units"),
    "f_score": Meaning("F-score of the surface", "higher", "share that lies where it should, at most 1"),
}
REFERENCES = {
    "": "",
    "tuned_": "tuned: ",
    "average_": "mean image instead: ",
}
METRICS |= {
    f"{prefix}{name}": Meaning(f"{title}{known.title}", known.better, known.words)
    for prefix, title in REFERENCES.items()
    for name, known in INVERTED.items()
}
METRICS |= {
    "start_psnr": Meaning("best random latent instead: PSNR", "higher", INVERTED["psnr"].words),
    "whole_picture_iou": Meaning("outline of the whole picture", "", "what a mask of everything reaches"),
}
MOST_STEPS, MOST_LEVELS = 16, 100
METRICS |= {
    f"{prefix}_{steps}": Meaning(f"{title}, {steps} step{'s' * (steps > 1)} apart", better, words)
    for steps in range(1, MOST_STEPS)
    for prefix, title, better, words in (
        ("error", "difference of views", "lower", "mean, colours in [0, 1], where both show the same points"),
        ("coverage", "compared share", "", "of the object's pixels; the rest is hidden or uncertain"),
        ("truth_error", "real pictures instead: difference", "", "at the same angles, by their true depth"),
        ("mean_depth_error", "mean depth instead: difference", "lower", "median depth is the rule"),
        ("mean_depth_coverage", "mean depth instead: compared share", "", "median depth is the rule"),
        ("unrelated_error", "another sample instead: difference", "", "the most that it could be"),
    )
}
LOCK = "share of the surface's motion that colours follow; 0 is glued to the screen"
METRICS |= {
    "texture_lock": Meaning("texture lock", "", f"{LOCK}, 1 is right"),
    "truth_texture_lock": Meaning("real pictures instead: texture lock", "", LOCK),
    "mean_depth_texture_lock": Meaning("mean depth instead: texture lock", "", LOCK),
    "spread": Meaning("spread of the difference", "lower", "over equal steps of yaw, 0 if all are alike"),
}
METRICS |= {
    f"{axis}_{what}": Meaning(f"{axis} {title}", better, words)
    for axis in ("pitch", "yaw")
    for what, title, better, words in (
        ("error", "error", "lower", "mean difference to the pose asked for, degrees"),
        ("floor", "error on real pictures", "", "that the network did not learn, degrees: the floor"),
        ("unrelated", "of two samples", "", "mean difference, degrees: the ceiling"),
        ("bias", "bias", "", "mean of estimated minus asked, degrees"),
        ("correlation", "correlation", "higher", "of asked and estimated, at most 1"),
    )
}
METRICS |= {
    f"{what}_{level:02}": Meaning(f"{title} {level}", "", words)
    for level in range(MOST_LEVELS)
    for what, title, words in (
        ("hits", "rays that meet surface", "share, 0 is the outermost"),
        ("weight", "weight of surface", "share of the picture that it makes"),
    )
}
METRICS |= {
    "weight_plane": Meaning("weight of the background plane", "", "share of the picture that it makes"),
    "spacing_mean": Meaning("distance of neighbours", "", "mean along rays, world units"),
    "spacing_min": Meaning("least distance of neighbours", "", "along rays, world units"),
    "opacity": Meaning("opacity", "", "share of the light that is stopped before the background"),
    "heaviest_distance": Meaning("heaviest surface to the true one", "lower", "on inversions, world units"),
    "heaviest_bias": Meaning("the same with a sign", "", "positive is behind the true surface"),
    "nearest_distance": Meaning("nearest surface to the true one", "lower", "the best that weights could do"),
}


def meaning_of(name: str) -> Meaning:
    """Of a number by its name in metrics.json, an extractor's suffix included; the name itself if unknown."""
    if name in METRICS:
        return METRICS[name]
    base, _, extractor = name.partition("_")
    if base in METRICS and extractor:
        known = METRICS[base]
        return Meaning(f"{known.title} ({extractor})", known.better, known.words)
    return Meaning(name.replace("_", " "), "", "")
