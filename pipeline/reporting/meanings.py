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


def meaning_of(name: str) -> Meaning:
    """Of a number by its name in metrics.json, an extractor's suffix included; the name itself if unknown."""
    if name in METRICS:
        return METRICS[name]
    base, _, extractor = name.partition("_")
    if base in METRICS and extractor:
        known = METRICS[base]
        return Meaning(f"{known.title} ({extractor})", known.better, known.words)
    return Meaning(name.replace("_", " "), "", "")
