"""What can be configured: one dataclass a group, one field an option, with its meaning and its limits.

Values live in conf/ and params.yaml, not here. A default stands here only where it means "as if the option
did not exist", so that it never has to change. Lengths are world units, angles radians unless the name says
degrees.
"""

from dataclasses import dataclass, field

from pipeline.config.fields import option, sampler_kinds

MESH_FORMATS = ("glb", "ply", "obj")
VIDEO_FORMATS = ("gif", "mp4")


@dataclass(kw_only=True)
class DataConfig:
    """Pictures to learn from, and held-out ones to measure with."""

    kind: str = option("where pictures come from", choices=("heads", "cars", "images"))
    path: str | None = option(
        "folder or zip of a data set of your own (kind images)", path=True, default=None
    )
    size: int = option("pixels along one side, a power of two", low=4, high=65_536)
    identities: int = option("generated heads or cars to train on, one view each", low=1, high=10**9)
    test_identities: int = option(
        "held-out heads or cars; held-out pictures for kind images", low=1, high=10**7
    )
    views: int = option("views of each held-out head or car", low=1, high=10**5)
    fov_degrees: float | None = option(
        "between outermost pixel centres; null is what the labels of your own pictures say",
        above=0, high=179,
    )  # fmt: skip
    near: float = option("start of the space that rays cross", above=0)
    far: float = option("end of that space", above=0)
    background: str = option("what is behind", choices=("plane", "white"))
    poses: str = option(
        "prior of the cameras; fitted is the normal closest to those of your own pictures",
        choices=("gaussian", "spherical", "fitted"),
    )
    yaw_std: float = option("of gaussian poses, around the frontal view", low=0)
    pitch_std: float = option("of gaussian poses, around the horizon", low=0)
    supersampling: int = option("rays along one side of a pixel", low=1, high=16)
    processes: int = option("processes that render; 0 is one a core", low=0, high=4096)
    seed: int = option("the same seed gives the same bytes", low=0)


@dataclass(kw_only=True)
class ModelConfig:
    """Sizes of the networks."""

    z_dim: int = option("dimension of the latents", low=1, high=65_536)
    mapping_width: int = option("of the mapping network's hidden layers", low=1, high=65_536)
    mapping_layers: int = option("number of them", low=1, high=1000)
    hidden: int = option("width of the radiance field's sine layers", low=1, high=65_536)
    layers: int = option("number of them, the view-dependent one not counted", low=2, high=1000)
    view_dependent: bool = option("whether colour depends on the direction it is seen from")
    frequency_scale: float = option("gamma = scale * gamma_hat + offset, in radians")
    frequency_offset: float = option("see frequency_scale")
    box: float = option("edge of the cube that the radiance field sees as [-1, 1]", above=0)
    manifold_hidden: int = option("width of the manifold predictor", low=1, high=65_536)
    manifold_layers: int = option("number of its hidden layers", low=1, high=1000)
    manifold_centre: list[float] = option("centre of its initial spheres, in units of 0.12")
    manifold_init: str = option("as published, or a sphere at any width", choices=("published", "sphere"))
    ray_hidden: int = option("width of the network that places the points of neusample", low=1, high=65_536)
    ray_layers: int = option("number of its hidden layers", low=1, high=1000)
    ray_frequencies: int = option("octaves of its positional encoding", low=0, high=60)
    discriminator_width: float = option("factor on all channels of the discriminator", above=0, high=100)
    discriminator_max_channels: int = option("bound of its channels before that factor", low=1, high=65_536)


@dataclass(kw_only=True)
class SamplerConfig:
    """Where on a ray the radiance field is evaluated."""

    kind: str = option(
        "on surfaces (learned, their initial spheres, or planes) or in a volume", choices=sampler_kinds
    )
    points: int = option(
        "points per ray, a background plane included; of hierarchical, all together", low=1, high=100_000
    )
    first_level: float = option("value of the outermost isosurface (manifold, spheres)")
    last_level: float = option("value of the innermost isosurface (manifold, spheres)")
    num_samples: int = option("points per ray of the search for intersections", low=2, high=100_000)
    mode: str = option("intersections as published, or to 1e-6", choices=("linear", "refined"))
    delta: float | None = option(
        "of surfaces: occupancy = 1 - exp(-delta * density); null is 0.96 / points", above=0
    )


@dataclass(kw_only=True)
class LaunchConfig:
    """Processes that train together. As one process, or under `accelerate launch`, nothing here matters."""

    processes: int = option(
        "processes of each machine, one a GPU; 1 starts no launcher",
        low=1,
        high=4096,
        affects_result=False,
        default=1,
    )
    machines: int = option(
        "machines that train together", low=1, high=65_536, affects_result=False, default=1
    )
    machine_rank: int = option("number of this machine, from 0", low=0, affects_result=False, default=0)
    main_address: str = option(
        "address of machine 0, of several", local=True, affects_result=False, default="127.0.0.1"
    )
    main_port: int = option(
        "port on machine 0, of several; only its network may reach it",
        low=0,
        high=65535,
        affects_result=False,
        default=0,
    )
    max_restarts: int = option(
        "times that all start anew after one of them died", low=0, affects_result=False, default=0
    )


@dataclass(kw_only=True)
class TrainConfig:
    """The adversarial training."""

    steps: int = option("updates of each network", low=0, high=99_999_999, affects_result=False)
    batch_size: int = option("pictures an update, of all processes together", low=1, high=10**7)
    micro_batch: int = option(
        "pictures at a time on each process; 0 is all", low=0, affects_result=False, default=0
    )
    patches: int = option(
        "parts of an image that are back-propagated in turn",
        low=1,
        high=65_536,
        affects_result=False,
        default=1,
    )
    recompute: bool = option("keep no activations of the radiance field", affects_result=False, default=False)
    precision: str = option("of matrix products", choices=("no", "bf16", "fp16"), default="no")
    lr_generator: float = option("learning rate of mapping network and radiance field", low=0)
    lr_discriminator: float = option("learning rate of the discriminator", low=0)
    lr_manifold: float = option("of the manifold predictor, or of neusample's network", low=0)
    betas: list[float] = option("of Adam")
    grad_clip: float = option("largest norm of the generator's gradient; inf: any", above=0, endless=True)
    r1_weight: float = option("lambda of R1 on real pictures", low=0)
    r1_every: int = option("steps between R1 terms, each weighted by this number", low=1)
    pose_weight: float = option("of the pose error on generated pictures", low=0)
    real_pose_weight: float = option("of the pose error on real pictures", low=0)
    foreground: float | None = option(
        "share of a picture in front of the background, which else may be painted on surfaces; null: any",
        low=0,
        high=1,
        default=None,
    )
    foreground_weight: float = option("of the error of that share", low=0, default=0.5)
    border_weight: float = option(
        "of the difference between background and border, where foreground is not null", low=0, default=1.0
    )
    edge_weight: float = option(
        "of what stands in front of the background at the border, where foreground is not null",
        low=0,
        default=0.0,
    )
    ema_decays: list[float] = option("two averages of the generator; the first makes pictures and metrics")
    mirror: bool = option("show real pictures flipped, too")
    share_fakes: bool = option("train both networks on the same fakes: faster, slightly stale")
    manifold_every: int = option("steps between updates of what lr_manifold is the rate of", low=1)
    log_every: int = option("steps between reports", low=1, affects_result=False)
    sample_every: int = option("steps between sample pictures", low=1, affects_result=False)
    checkpoint_every: int = option(
        "steps between checkpoints: the most that a killed run loses", low=1, affects_result=False
    )
    keep_checkpoints: int = option("newest checkpoints that stay", low=1, high=10**6, affects_result=False)
    keep_every: int = option(
        "steps between checkpoints that stay for good; 0: none", low=0, affects_result=False, default=0
    )
    measure_every: int = option(
        "steps between distances to real pictures; 0: never", low=0, affects_result=False, default=0
    )
    measure_images: int = option(
        "pictures on each side of that distance", low=2, high=10**7, affects_result=False, default=1000
    )
    start_from: str | None = option(
        "checkpoint of another training to go on from, a step-*", path=True, default=None
    )
    stop_on_collapse: bool = option(
        "end a run whose pictures or surfaces are gone", affects_result=False, default=True
    )
    deterministic: bool = option("bit-equal repetition on one device, somewhat slower on a GPU")
    threads: int = option("CPU threads; 0 leaves it to torch", low=0, high=4096, affects_result=False)
    kernels: bool = option(
        "on a GPU, Triton's kernels where they work; else plain torch", affects_result=False, default=True
    )
    device: str = option(
        "auto takes a GPU where there is one", choices=("auto", "cpu", "cuda"), affects_result=False
    )
    launch: LaunchConfig = field(default_factory=LaunchConfig)


@dataclass(kw_only=True)
class EvaluateConfig:
    """Metrics of a trained model."""

    images: int = option("pictures on each side of a metric", low=2, high=10**7)
    extractor: str = option("features that are compared", choices=("effnetlite0", "inception-v3-compat"))
    inception_weights: str | None = option(
        "file of Inception's weights, which then measures; null downloads it where extractor asks",
        path=True,
        default=None,
    )
    batch_size: int = option("pictures at a time", low=1, high=10**6)
    psi: float = option("truncation of measured pictures; 1 is none", low=0)
    at_initialisation: bool = option("measure the untrained model, too")
    real_against_real: bool = option("measure one half of the real pictures against the other, too")
    seed: int = option("of latents and poses", low=0)
    noise_views: int = option("pictures whose sampling noise is measured; 0: not at all", low=0, high=10**4)
    noise_seeds: int = option("times that each of them is drawn with every sampler", low=2, high=10**4)
    noise_points: list[int] = option(
        "points per ray that it is measured with, next to the model's own", high=100_000
    )
    surfaces_views: int = option("cameras that tell where the surfaces are; 0: not at all", low=0, high=10**5)
    consistency_latents: int = option(
        "samples whose views are warped onto each other; 0: none", low=0, high=10**5
    )
    consistency_views: int = option("views of each of them, in equal steps of yaw", low=3, high=10**4)
    pose_images: int = option("pictures whose cameras are estimated; 0: none", low=0, high=10**7)
    pose_steps: int = option("updates of the network that estimates them", low=1, high=10**8)
    inversion_identities: int = option(
        "held-out heads or cars that the model is fitted to; 0: none", low=0, high=10**6
    )
    inversion_views: int = option("views of each that the fit sees; the others measure it", low=1, high=10**5)
    inversion_steps: int = option("updates of each latent", low=1, high=10**7)
    inversion_tuning: int = option(
        "updates of the radiance field after that, for each; 0: none", low=0, high=10**7
    )


@dataclass(kw_only=True)
class ExportConfig:
    """Meshes, layered surfaces, a viewer and videos of a trained model."""

    seeds: list[int] = option("one mesh and one turntable for each, from 0")
    latents: str | None = option(
        "file of latents in place of seeds, .safetensors or .npy", path=True, default=None
    )
    formats: list[str] = option("of surface meshes, any of glb, ply, obj")
    texture: int = option(
        "pixels along one side of a mesh's UV texture; 0 colours its vertices", low=0, high=65_536
    )
    faces: int = option("most triangles of a mesh; 0: as many as it has", low=0, high=10**9)
    layers: int | None = option(
        "pixels along one side of the textures of layered surfaces; 0: none, null: 128 where there are any",
        low=0, high=65_536, default=None,
    )  # fmt: skip
    between: int = option(
        "latents between two neighbours on the viewer's slider and in videos", low=0, high=10**6
    )
    videos: list[str] = option("of turntables and interpolations, any of gif, mp4")
    resolution: int = option("cells along the longest side of the marching-cubes grid", low=8, high=16_384)
    level: float | None = option(
        "opacity in front of the surface, in (0, 1); null: half of the most", default=None
    )
    largest_only: bool = option("keep the largest connected piece alone")
    fill: float = option(
        "pits and gaps of a mesh that a ball of this radius has no room in are filled; 0: none",
        low=0,
        high=0.1,
    )
    frames: int = option("pictures of a turntable", low=1, high=10**6)
    fps: int = option("pictures a second", low=1, high=1000)
    size: int = option("pixels along one side of a turntable picture", low=4, high=65_536)
    yaw: float = option("turn to either side of the frontal view", low=0)
    psi: float = option("truncation: towards the mean below 1", low=0)


@dataclass(kw_only=True)
class TrackingConfig:
    """Where runs are recorded, beside the files that every stage writes."""

    kind: str = option("record in MLflow or not at all", choices=("mlflow", "none"))
    uri: str | None = option(
        "store; null is MLFLOW_TRACKING_URI or mlflow.db in the project", local=True, default=None
    )
    experiment: str = option("name that groups runs")
    run: str | None = option("name of the run; null leaves it to MLflow", default=None)
    parent: str | None = option("identifier of the run that this one belongs to", default=None)


@dataclass(kw_only=True)
class PathsConfig:
    """Files and folders, relative to where the stage is started; dvc.yaml relies on these."""

    train_data: str = option("data set to train on", path=True, local=True)
    test_data: str = option("held-out data set", path=True, local=True)
    checkpoints: str = option("unfinished training, one folder a configuration", path=True, local=True)
    train: str = option("what training writes", path=True, local=True)
    evaluate: str = option("what evaluation writes", path=True, local=True)
    export: str = option("what export writes", path=True, local=True)
    noise: str = option("what the measurement of sampling noise writes", path=True, local=True)
    report: str = option("the page that tells what came of all of it", path=True, local=True)
    model: str = option("model that is evaluated and exported", path=True, local=True)


@dataclass(kw_only=True)
class Config:
    """Everything that a stage can be told."""

    seed: int = option("of weights, latents and the order of the data", low=0)
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    export: ExportConfig = field(default_factory=ExportConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    paths: PathsConfig = field(default_factory=PathsConfig)


GROUPS = ("data", "model", "sampler", "train", "evaluate", "export", "tracking")
"""Sections with presets in conf/<group>/."""
