"""Schema of the configuration: one dataclass per group, one field per option, with meaning and limits.

Values are in conf/ and params.yaml. The only defaults here mean "as if the option did not exist". Lengths are
in world units, angles in radians unless the name says degrees.
"""

from dataclasses import dataclass, field

from pipeline.config.fields import option, sampler_kinds

MESH_FORMATS = ("glb", "ply", "obj")
VIDEO_FORMATS = ("gif", "mp4")


@dataclass(kw_only=True)
class DataConfig:
    """Training images and held-out images."""

    kind: str = option("source: generated heads or cars, or your images", choices=("heads", "cars", "images"))
    path: str | None = option("folder or zip of your own images (kind images)", path=True, default=None)
    size: int = option("image size in pixels, a power of two", low=4, high=65_536)
    identities: int = option("generated heads or cars to train on, one view each", low=1, high=10**9)
    test_identities: int = option("held-out heads or cars (kind images: images)", low=1, high=10**7)
    views: int = option("views of each held-out head or car", low=1, high=10**5)
    fov_degrees: float | None = option(
        "field of view between outermost pixel centres; null: from the labels of images", above=0, high=179
    )
    near: float = option("nearest distance at which rays are sampled", above=0)
    far: float = option("farthest distance at which rays are sampled", above=0)
    background: str = option("background behind the object", choices=("plane", "white"))
    poses: str = option(
        "prior of camera poses; fitted: to the poses of images", choices=("gaussian", "spherical", "fitted")
    )
    yaw_std: float = option("standard deviation of gaussian yaw around the frontal view", low=0)
    pitch_std: float = option("standard deviation of gaussian pitch around the horizon", low=0)
    supersampling: int = option("rays along one side of a pixel when images are generated", low=1, high=16)
    processes: int = option("processes that generate images; 0: one per core", low=0, high=4096)
    seed: int = option("random seed; the same seed gives the same bytes", low=0)


@dataclass(kw_only=True)
class ModelConfig:
    """Sizes of the networks."""

    z_dim: int = option("dimension of the latents", low=1, high=65_536)
    mapping_width: int = option("width of the mapping network's hidden layers", low=1, high=65_536)
    mapping_layers: int = option("number of the mapping network's hidden layers", low=1, high=1000)
    hidden: int = option("width of the radiance field's sine layers", low=1, high=65_536)
    layers: int = option("number of sine layers, without the view-dependent one", low=2, high=1000)
    view_dependent: bool = option("colour depends on the viewing direction")
    frequency_scale: float = option(
        "scale in gamma = scale * gamma_hat + offset, FiLM frequencies in radians"
    )
    frequency_offset: float = option("offset in the same formula")
    box: float = option("edge of the cube that becomes the radiance field's [-1, 1]", above=0)
    manifold_hidden: int = option("width of the manifold predictor", low=1, high=65_536)
    manifold_layers: int = option("number of the manifold predictor's hidden layers", low=1, high=1000)
    manifold_centre: list[float] = option("centre of the predictor's initial spheres, in units of 0.12")
    manifold_init: str = option("initial surfaces: as published, or spheres", choices=("published", "sphere"))
    ray_hidden: int = option("width of neusample's sampling network", low=1, high=65_536)
    ray_layers: int = option("number of the sampling network's hidden layers", low=1, high=1000)
    ray_frequencies: int = option("octaves of the sampling network's positional encoding", low=0, high=60)
    discriminator_width: float = option("factor on the discriminator's channels", above=0, high=100)
    discriminator_max_channels: int = option("maximum of the channels before that factor", low=1, high=65_536)


@dataclass(kw_only=True)
class SamplerConfig:
    """Samples of a ray, at which the radiance field is evaluated."""

    kind: str = option("samples on surfaces (learned, spheres, planes) or in a volume", choices=sampler_kinds)
    points: int = option(
        "samples per ray, the background plane included; hierarchical: both passes", low=1, high=100_000
    )
    first_level: float = option("level of the outermost isosurface (manifold, spheres)")
    last_level: float = option("level of the innermost isosurface (manifold, spheres)")
    num_samples: int = option("points per ray at which intersections are searched", low=2, high=100_000)
    mode: str = option("intersections as published, or refined to 1e-6", choices=("linear", "refined"))
    delta: float | None = option(
        "thickness in the occupancy 1 - exp(-delta * density); null: 0.96 / points", above=0
    )


@dataclass(kw_only=True)
class LaunchConfig:
    """Processes that train together; ignored under `accelerate launch`."""

    processes: int = option(
        "processes per machine, one per GPU", low=1, high=4096, affects_result=False, default=1
    )
    machines: int = option("number of machines", low=1, high=65_536, affects_result=False, default=1)
    machine_rank: int = option("rank of this machine, from 0", low=0, affects_result=False, default=0)
    main_address: str = option("address of machine 0", local=True, affects_result=False, default="127.0.0.1")
    main_port: int = option(
        "port of machine 0, closed to other networks", low=0, high=65535, affects_result=False, default=0
    )
    max_restarts: int = option(
        "restarts of all processes after one died", low=0, affects_result=False, default=0
    )


@dataclass(kw_only=True)
class TrainConfig:
    """Adversarial training."""

    steps: int = option("number of updates of each network", low=0, high=99_999_999, affects_result=False)
    batch_size: int = option("images per update, over all processes", low=1, high=10**7)
    micro_batch: int = option(
        "images at once on each process; 0: all", low=0, affects_result=False, default=0
    )
    patches: int = option(
        "parts of an image, back-propagated in turn", low=1, high=65_536, affects_result=False, default=1
    )
    recompute: bool = option(
        "recompute activations of the radiance field", affects_result=False, default=False
    )
    precision: str = option("precision of matrix products", choices=("no", "bf16", "fp16"), default="no")
    lr_generator: float = option("learning rate of mapping network and radiance field", low=0)
    lr_discriminator: float = option("learning rate of the discriminator", low=0)
    lr_manifold: float = option("learning rate of the manifold predictor or sampling network", low=0)
    betas: list[float] = option("Adam's two betas")
    grad_clip: float = option("maximum norm of the generator's gradient; inf: any", above=0, endless=True)
    r1_weight: float = option("weight lambda of the R1 penalty on real images", low=0)
    r1_every: int = option("steps between R1 penalties, each weighted by this number", low=1)
    pose_weight: float = option("weight of the pose loss on generated images", low=0)
    real_pose_weight: float = option("weight of the pose loss on real images", low=0)
    foreground: float | None = option(
        "target share of foreground in images; null: no foreground losses", low=0, high=1, default=None
    )
    foreground_weight: float = option("weight of the loss on that share", low=0, default=0.5)
    border_weight: float = option(
        "weight of the loss between background and image border (foreground)", low=0, default=1.0
    )
    edge_weight: float = option(
        "weight of the loss on objects at the image border (foreground)", low=0, default=0.0
    )
    ema_decays: list[float] = option("decays of two generator averages; the first is rendered and evaluated")
    mirror: bool = option("mirror real images at random")
    share_fakes: bool = option("train both networks on the same fakes: faster, slightly stale")
    manifold_every: int = option("steps between updates of the manifold predictor or sampling network", low=1)
    log_every: int = option("steps between reports", low=1, affects_result=False)
    sample_every: int = option("steps between sample images", low=1, affects_result=False)
    checkpoint_every: int = option("steps between checkpoints", low=1, affects_result=False)
    keep_checkpoints: int = option("number of checkpoints kept", low=1, high=10**6, affects_result=False)
    keep_every: int = option(
        "steps between permanent checkpoints; 0: none", low=0, affects_result=False, default=0
    )
    measure_every: int = option(
        "steps between measured distances; 0: never", low=0, affects_result=False, default=0
    )
    measure_images: int = option(
        "real and generated images of a distance", low=2, high=10**7, affects_result=False, default=1000
    )
    start_from: str | None = option("step-* folder of another run to start from", path=True, default=None)
    stop_on_collapse: bool = option("end a run that has collapsed", affects_result=False, default=True)
    deterministic: bool = option("bit-identical repetition on one device, slightly slower on a GPU")
    threads: int = option("CPU threads; 0: torch's default", low=0, high=4096, affects_result=False)
    kernels: bool = option("Triton kernels on a GPU, if they work", affects_result=False, default=True)
    device: str = option("auto: GPU if there is one", choices=("auto", "cpu", "cuda"), affects_result=False)
    launch: LaunchConfig = field(default_factory=LaunchConfig)


@dataclass(kw_only=True)
class EvaluateConfig:
    """Metrics of a trained model."""

    images: int = option("real and generated images in each metric", low=2, high=10**7)
    extractor: str = option("features of the metrics", choices=("effnetlite0", "inception-v3-compat"))
    inception_weights: str | None = option(
        "file of Inception's weights, for its features; null: download if needed", path=True, default=None
    )
    batch_size: int = option("images rendered at once", low=1, high=10**6)
    psi: float = option("truncation of evaluated images; 1: none", low=0)
    at_initialisation: bool = option("also evaluate the untrained model")
    real_against_real: bool = option("also compare two halves of the real images")
    seed: int = option("random seed of latents and poses", low=0)
    noise_views: int = option("images whose sampling noise is measured; 0: none", low=0, high=10**4)
    noise_seeds: int = option("renderings of each of them with each sampler", low=2, high=10**4)
    noise_points: list[int] = option("samples per ray, in addition to the model's", high=100_000)
    surfaces_views: int = option("cameras from which surfaces are measured; 0: none", low=0, high=10**5)
    consistency_latents: int = option("latents whose views are reprojected; 0: none", low=0, high=10**5)
    consistency_views: int = option("views of each of them, in equal steps of yaw", low=3, high=10**4)
    pose_images: int = option("images whose camera poses are estimated; 0: none", low=0, high=10**7)
    pose_steps: int = option("training steps of the pose estimator", low=1, high=10**8)
    inversion_identities: int = option("held-out heads or cars that are inverted; 0: none", low=0, high=10**6)
    inversion_views: int = option("views of each that are fitted; the others are compared", low=1, high=10**5)
    inversion_steps: int = option("optimisation steps of each latent", low=1, high=10**7)
    inversion_tuning: int = option("further steps of the radiance field; 0: none", low=0, high=10**7)


@dataclass(kw_only=True)
class ExportConfig:
    """Meshes, layered representations, viewer and videos of a trained model."""

    seeds: list[int] = option("seeds of the latents, each a mesh and a turntable")
    latents: str | None = option("latents in place of seeds, .safetensors or .npy", path=True, default=None)
    formats: list[str] = option("mesh formats, any of glb, ply, obj")
    texture: int = option("size of the UV texture in pixels; 0: vertex colours", low=0, high=65_536)
    faces: int = option("maximum number of triangles of a mesh; 0: no limit", low=0, high=10**9)
    layers: int | None = option(
        "texture pixels of layered representations; 0: none, null: 128 if possible",
        low=0,
        high=65_536,
        default=None,
    )
    between: int = option("latents between neighbours in the viewer and in videos", low=0, high=10**6)
    videos: list[str] = option("formats of turntables and interpolations, any of gif, mp4")
    resolution: int = option("cells along the longest side of the marching-cubes grid", low=8, high=16_384)
    level: float | None = option(
        "opacity before the surface, in (0, 1); null: half the maximum", default=None
    )
    largest_only: bool = option("keep only the largest connected component")
    fill: float = option("radius of the ball that closes pits and gaps of a mesh; 0: none", low=0, high=0.1)
    frames: int = option("frames of a turntable", low=1, high=10**6)
    fps: int = option("frames per second", low=1, high=1000)
    size: int = option("size of turntable frames in pixels", low=4, high=65_536)
    yaw: float = option("maximum yaw to either side of the frontal view", low=0)
    psi: float = option("truncation of the latents; 1: none", low=0)


@dataclass(kw_only=True)
class TrackingConfig:
    """Tracking of runs, in addition to the files of each stage."""

    kind: str = option("tracker of runs", choices=("mlflow", "none"))
    uri: str | None = option("address; null: MLFLOW_TRACKING_URI or mlflow.db", local=True, default=None)
    experiment: str = option("experiment that groups runs")
    run: str | None = option("name of the run; null: chosen by MLflow", default=None)
    parent: str | None = option("identifier of the parent run", default=None)


@dataclass(kw_only=True)
class PathsConfig:
    """Files and folders, relative to the working directory; dvc.yaml uses the defaults."""

    train_data: str = option("training data set", path=True, local=True)
    test_data: str = option("held-out data set", path=True, local=True)
    checkpoints: str = option("checkpoints, one folder per configuration", path=True, local=True)
    train: str = option("output of training", path=True, local=True)
    evaluate: str = option("output of evaluation", path=True, local=True)
    export: str = option("output of export", path=True, local=True)
    noise: str = option("output of the sampling noise measurement", path=True, local=True)
    report: str = option("report page", path=True, local=True)
    model: str = option("model that is evaluated and exported", path=True, local=True)


@dataclass(kw_only=True)
class Config:
    """Complete configuration of a stage."""

    seed: int = option("random seed of weights, latents and data order", low=0)
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    export: ExportConfig = field(default_factory=ExportConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    paths: PathsConfig = field(default_factory=PathsConfig)


GROUPS = ("data", "model", "sampler", "train", "evaluate", "export", "tracking")
"""Sections that have presets in conf/<group>/."""
