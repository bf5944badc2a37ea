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
PARTS: dict[str, PartMeaning] = {}
METRICS: dict[str, Meaning] = {
    "fid": Meaning("Frechet distance", "lower", "between Gaussians fitted to the features"),
    "kid": Meaning("kernel distance", "lower", "squared maximum mean discrepancy of the features"),
    "precision": Meaning("precision", "higher", "share of generated pictures that look like real ones"),
    "recall": Meaning("recall", "higher", "share of real pictures that the model comes near to"),
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
