"""Layered representation: the model's isosurfaces with a latent's textures, as one GLB file."""

from gram.meshing import write_layers
from pipeline.export.part import ExportedFiles, ExportedLatent


def export_layers(subject: ExportedLatent) -> ExportedFiles:
    """Write NAME_layers.glb, and measure its PSNR against the model."""
    baker = subject.baker
    if baker is None:
        return ExportedFiles(files=[], facts={"layers": 0})
    path = subject.file("_layers.glb")
    layers = baker.bake(subject.z).layers()
    write_layers(layers, path)
    facts = {
        "layers": len(layers),
        "layers_texture": baker.resolution,
        "layers_psnr": round(baker.psnr(path, subject.z), 2),
        "layers_psnr_protocol": baker.protocol,
    }
    return ExportedFiles(files=[path], facts=facts)
