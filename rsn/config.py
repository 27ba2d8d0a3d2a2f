"""The settings of a run: frozen and range-checked; TOML and flags in, a plain dict out.

Every key has one name wherever it appears: a field here, a key of its section in a recipe, and a flag
of ``rsn fit`` (``batch_size`` is ``--batch-size``). The defaults are those of the paper (section 4)
where it fixes one. Nothing below ``rsn.experiment`` sees these objects: networks, losses and the
trainer take plain values.
"""

import difflib
import json
import os
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import Field, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from rsgt.inputs import InputError, read_text

RECIPES = Path(__file__).parent / "recipes"

Plain = dict[str, dict[str, Any]]
"""Settings as recipes and checkpoints hold them: section -> key -> value."""


def setting(default: Any, description: str, *, least: float | None = None, most: float | None = None) -> Any:
    """Declare a key: its default, its meaning (which is the flag's help) and its range, ends included."""
    return field(default=default, metadata={"help": description, "least": least, "most": most})


@dataclass(frozen=True, kw_only=True)
class _Section:
    """Checks its own values when it is made.

    Raises
    ------
    InputError
        Where a value has the wrong type or lies outside its range.
    """

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for item in fields(self):
            object.__setattr__(self, item.name, _checked(item, hints[item.name], getattr(self, item.name)))


@dataclass(frozen=True, kw_only=True)
class NetworkConfig(_Section):
    """What is built, and what it starts from."""

    model: Literal["generation", "refinement", "rsn", "clustering"] = setting("generation", "model to train")
    width: int = setting(64, "base channel count; the paper's is 64", least=8, most=1024)
    encoder: Literal["resnet34", "efficientnet_lite0", "efficientnet_lite2"] = setting(
        "resnet34", "encoder backbone"
    )
    norm: Literal["batch", "group"] = setting("batch", "normalisation of the layers")
    iterations: int = setting(3, "number of refinement iterations", least=1, most=16)
    residual: bool = setting(
        False, "the refinement predicts a correction of its coarse depth instead of depth itself"
    )
    initial: Literal["support", "depth"] = setting(
        "support", "what rsn refines: its region support, as the paper does, or depth learned beside it"
    )
    search: Literal["mean-shift", "merging"] = setting(
        "mean-shift",
        "how clustering finds regions: Algorithm 2, or by merging pixels of like depth and colour",
    )
    planes: float = setting(
        0.0, "share of its regions' planes in the depth that rsn predicts; 0 = off", least=0, most=1
    )
    checkpointing: bool = setting(False, "recompute activations in the backward pass to save memory")
    imagenet: str = setting("", "ImageNet weights of the encoder: file, URL, 'package', 'auto'; '' = random")
    frozen_stages: int = setting(
        0, "number of encoder stages to freeze, counted from the stem", least=0, most=8
    )
    generation: str = setting("", "checkpoint, or name of shipped weights, that the generation starts from")
    refinement: str = setting("", "checkpoint to initialise the refinement module from")


@dataclass(frozen=True, kw_only=True)
class DataConfig(_Section):
    """What the network sees of the store."""

    size: tuple[int, int] = setting((480, 640), "working resolution, HxW", least=8)
    shares: tuple[float, ...] = setting((), "share of each --store in an epoch; none = by their frames")
    batch_size: int = setting(4, "frames per optimizer step, over all devices", least=1)
    workers: int = setting(2, "data loader processes per device", least=0, most=64)
    cache: bool = setting(False, "keep decoded frames in memory at the working size (then no workers)")
    validation: float = setting(
        0.1, "fraction of the training frames to hold out for validation, by scene", least=0, most=0.9
    )
    guidance: Literal["predicted", "ground-truth", "semantic", "superpixel", "none"] = setting(
        "ground-truth", "guidance of the refinement module"
    )
    coarse: Literal["zeros", "mean"] = setting(
        "zeros",
        "initial coarse depth for semantic or superpixel guidance; mean = true mean of each segment",
    )
    superpixels: int = setting(100, "number of superpixels per frame, for superpixel guidance", least=2)
    flip: bool = setting(True, "random horizontal flips")
    rotation: float = setting(10.0, "random rotation by up to this many degrees", least=0, most=90)
    zoom: float = setting(
        1.0, "random crop and zoom by up to this factor; depth is divided by it", least=1, most=4
    )
    jitter: float = setting(
        0.0, "random change of brightness, contrast and saturation by up to this fraction", least=0, most=0.9
    )


@dataclass(frozen=True, kw_only=True)
class LossConfig(_Section):
    """What is minimised."""

    loss: Literal["region", "l2", "l1", "rmse"] = setting(
        "region", "region = the paper's L_r; rmse = of each image"
    )
    space: Literal["linear", "log", "linear-then-log"] = setting(
        "linear-then-log", "space in which region and l2 errors are measured"
    )
    linear_epochs: int = setting(17, "epochs in linear space before linear-then-log switches to log", least=0)
    target: Literal["depth", "support"] = setting("depth", "target of the generation model")
    variance_weight: float = setting(0.0, "weight of the variance term of L_r", least=0)
    iteration_weights: tuple[float, ...] = setting(
        (0.2, 0.3, 0.5), "loss weight of each refinement iteration", least=0
    )
    support_weight: float = setting(
        1.0, "weight of the support loss in rsn, relative to the depth loss", least=0
    )
    category_weight: float = setting(
        0.0, "weight of an auxiliary category loss (no refinement has it); 0 = off", least=0
    )
    log_weight: float = setting(1.0, "weight of the log-depth term of l1 and rmse", least=0)
    metre_weight: float = setting(0.0, "weight of the metric term of l1 and rmse", least=0)
    gradient_weight: float = setting(0.0, "weight of the gradient matching term of l1 and rmse", least=0)


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig(_Section):
    """How it is minimised."""

    optimizer: Literal["sgd", "adam", "adamw"] = setting("sgd", "optimizer")
    lr: float = setting(1e-3, "peak learning rate", least=0)
    encoder_lr_scale: float = setting(
        1.0, "learning rate of the encoder relative to that of the rest", least=0
    )
    momentum: float = setting(0.99, "momentum of sgd", least=0, most=0.9999)
    weight_decay: float = setting(5e-4, "weight decay", least=0)
    schedule: Literal["constant", "cosine", "one-cycle"] = setting("constant", "learning rate schedule")
    accumulate: int = setting(1, "gradient accumulation: passes per optimizer step, to save memory", least=1)
    clip: float = setting(0.0, "maximum gradient norm; 0 = no clipping", least=0)
    frozen_norm: float = setting(
        0.0, "fraction of the epochs, at the end, with frozen batch-norm statistics", least=0, most=1
    )
    ema: float = setting(
        0.0,
        "decay of the exponential moving average of the weights, which is then evaluated; 0 = off",
        least=0,
        most=0.99999,
    )


@dataclass(frozen=True, kw_only=True)
class RunConfig(_Section):
    """Where and how long it runs."""

    epochs: int = setting(40, "passes over the training frames", least=1, most=1_000_000)
    seed: int = setting(
        0, "random seed of the weights, the order and the augmentation", least=0, most=2**32 - 1
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = setting("auto", "device to run on")
    devices: int = setting(1, "number of devices, one process each", least=1, most=64)
    precision: Literal["32", "bf16-mixed", "16-mixed", "auto"] = setting(
        "32",
        "numeric precision of training; auto = bf16-mixed where the device supports it natively, else 32",
    )
    channels_last: bool = setting(True, "channels-last memory layout, which is faster on most devices")
    compile: bool = setting(False, "compile the network with torch.compile")


@dataclass(frozen=True, kw_only=True)
class Config:
    """All settings of a run, in the sections of a recipe.

    Raises
    ------
    InputError
        Where settings contradict each other.
    """

    network: NetworkConfig = field(default_factory=NetworkConfig)
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        share = self.run.devices * self.optimizer.accumulate
        if self.data.batch_size % share:
            raise InputError(
                f"batch_size: got {self.data.batch_size}, expected a multiple of "
                f"devices x accumulate = {share}; change one of them"
            )
        if self.network.frozen_stages and not (self.network.imagenet or self.network.generation):
            raise InputError(
                f"frozen_stages: got {self.network.frozen_stages} for an encoder of random weights, expected "
                "trained ones to keep; give --imagenet or --generation"
            )
        if self.loss.category_weight and self.network.model == "refinement":
            got = f"{self.loss.category_weight:g}"
            raise InputError(f"category_weight: got {got}, but a refinement predicts no categories")
        refines = self.network.model in ("refinement", "rsn")
        if refines and len(self.loss.iteration_weights) != self.network.iterations:
            raise InputError(
                f"iteration_weights: got {len(self.loss.iteration_weights)} weights for "
                f"{self.network.iterations} iterations; give one for each"
            )


SECTIONS: dict[str, type[_Section]] = {
    "network": NetworkConfig,
    "data": DataConfig,
    "loss": LossConfig,
    "optimizer": OptimizerConfig,
    "run": RunConfig,
}


def all_keys() -> Iterator[tuple[str, Field[Any], Any]]:
    """Section name, field and type of every key, in the order of the sections."""
    for name, section in SECTIONS.items():
        hints = get_type_hints(section)
        for item in fields(section):
            yield name, item, hints[item.name]


def from_plain(plain: Mapping[str, Any]) -> Config:
    """Build the settings from section -> key -> value; keys that are absent keep their defaults.

    Raises
    ------
    InputError
        For an unknown section or key (the nearest one is named), a wrong type or range.
    """
    _known(plain, list(SECTIONS), "section")
    built: dict[str, Any] = {}
    for name, values in plain.items():
        if not isinstance(values, Mapping):
            raise InputError(f"{name}: got {values!r}, expected a section [{name}] with keys under it")
        _known(values, [item.name for item in fields(SECTIONS[name])], f"key in [{name}]")
        built[name] = SECTIONS[name](**values)
    return Config(**built)


def to_plain(config: Config) -> Plain:
    """Give the settings as section -> key -> value: numbers, strings, booleans, lists of numbers."""
    return {
        name: {k: list(v) if isinstance(v, tuple) else v for k, v in section.items() if v != ()}
        for name, section in asdict(config).items()
    }


def flat(config: Config) -> dict[str, Any]:
    """Give the settings as key -> value, whatever the section: no two sections share a key."""
    return {key: value for section in vars(config).values() for key, value in vars(section).items()}


def with_overrides(plain: Mapping[str, Any], overrides: Mapping[str, Any]) -> Plain:
    """Put single keys (``{"lr": 1e-3}``) over a recipe's sections; ``plain`` itself is left as it is.

    Raises
    ------
    InputError
        Where a key is unknown.
    """
    section_of = {item.name: section for section, item, _ in all_keys()}
    _known(overrides, list(section_of), "key")
    merged = {name: dict(values) if isinstance(values, Mapping) else values for name, values in plain.items()}
    for key, value in overrides.items():
        section = merged.setdefault(section_of[key], {})
        if isinstance(section, dict):  # else ``from_plain`` says what it is
            section[key] = value
    return merged


def recipe_names() -> list[str]:
    """Names of the recipes that come with the package, such as ``cpu/generation``."""
    return sorted(path.relative_to(RECIPES).with_suffix("").as_posix() for path in RECIPES.glob("*/*.toml"))


def read_recipe(recipe: str | os.PathLike[str]) -> Plain:
    """Sections of a TOML recipe, unchecked: ``from_plain`` checks them once the flags lie on top.

    ``recipe`` is one of ``recipe_names`` (which come first), or a path.

    Raises
    ------
    InputError
        Where the file is missing or no TOML.
    """
    path = Path(recipe)
    if path.as_posix() in recipe_names():
        path = RECIPES / f"{path.as_posix()}.toml"
    try:
        return tomllib.loads(read_text(path))
    except OSError as error:
        names = ", ".join(recipe_names())
        raise InputError(
            f"{path}: cannot read the recipe ({error.strerror}); give a .toml file, or one of {names}"
        ) from error
    except InputError:
        raise
    except (ValueError, RecursionError) as error:  # no TOML, or numbers and nesting beyond reading
        raise InputError(f"{path}: expected TOML, got something else ({error})") from error


def to_toml(config: Config) -> str:
    """Write the settings out as a recipe, every key with its value."""
    lines = []
    for name, section in to_plain(config).items():
        lines += [f"[{name}]", *(f"{key} = {_toml_value(value)}" for key, value in section.items()), ""]
    return "\n".join(lines)


def _toml_value(value: Any) -> str:
    if isinstance(value, bool | str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)


def _known(got: Mapping[str, Any], expected: list[str], what: str) -> None:
    for key in got:
        if key not in expected:
            text, helps = str(key), {item.name: item.metadata["help"] for _, item, _ in all_keys()}
            # A slip of the keyboard, else another word for it, else whatever is nearest.
            near = (
                difflib.get_close_matches(text, expected, n=1, cutoff=0.75)
                or [name for name in expected if text.replace("_", " ").lower() in helps.get(name, "")][:2]
                or difflib.get_close_matches(text, expected, n=1, cutoff=0)
            )
            raise InputError(f"unknown {what}: {key!r}; did you mean {' or '.join(map(repr, near))}?")


def _checked(item: Field[Any], hint: Any, value: Any) -> Any:
    """Value in the field's own type, from TOML's types or the text of a flag."""
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise InputError(f"{item.name}: got {value!r}, expected one of {', '.join(get_args(hint))}")
        return value
    if get_origin(hint) is tuple:
        return _checked_tuple(item, hint, value)
    return _ranged(item, _converted(item.name, hint, value))


def _checked_tuple(item: Field[Any], hint: Any, value: Any) -> tuple[Any, ...]:
    kind, repeat = get_args(hint)
    parts = value.lower().split("x" if kind is int else ",") if isinstance(value, str) else value
    if parts == () == item.default:
        return ()
    if not isinstance(parts, list | tuple) or not parts or (repeat is not ... and len(parts) != 2):
        form = "two numbers such as 480x640" if kind is int else "numbers such as 0.2,0.3,0.5"
        raise InputError(f"{item.name}: got {value!r}, expected {form}")
    return tuple(_ranged(item, _converted(item.name, kind, part)) for part in parts)


def _converted(name: str, kind: type, value: Any) -> Any:
    if kind in (bool, str):
        # config.toml could not hold a path whose bytes are no Unicode.
        if isinstance(value, kind) and not any("\ud800" <= sign <= "\udfff" for sign in str(value)):
            return value
    elif isinstance(value, str) or (isinstance(value, int | float) and not isinstance(value, bool)):
        try:
            number = kind(value)
        except (ValueError, OverflowError):
            number = None
        if number is not None and (isinstance(value, str) or number == value):
            return number
    raise InputError(f"{name}: got {value!r}, expected a value of type {kind.__name__}")


def _ranged(item: Field[Any], value: Any) -> Any:
    least, most = item.metadata["least"], item.metadata["most"]
    # Written as "not (inside)" so that NaN, which compares false with everything, is refused; so is infinity.
    if least is not None and not (least <= value <= (sys.float_info.max if most is None else most)):
        span = f"{least} or more" if most is None else f"a value from {least} to {most}"
        raise InputError(f"{item.name}: got {value}, expected {span}")
    return value
