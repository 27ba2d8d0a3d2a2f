"""What shapes the labels of a store, and one frame clustered accordingly."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from difflib import get_close_matches
from typing import Any

import numpy.typing as npt

from rsgt.inputs import InputError
from rsgt.regions.algorithm import (
    DEFAULT_BINS,
    DEFAULT_MIN_SIZE,
    Grouping,
    RegionSupport,
    Surface,
    Unlabelled,
    Variant,
    check_grouping,
    check_options,
    check_surface,
    region_support,
)
from rsgt.sources.source import MASKS, NO_LABELS, Source

Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """What shapes the labels of a store; see ``rsgt.regions.algorithm.region_support`` for the first ten.

    Attributes
    ----------
    labels, depth : str or None
        One of the source's ``label_sets`` and ``depth_kinds``; None = its first.
    instances : bool or None
        Split between objects of one category, too; None = where the source has objects and no categories.
    """

    variant: Variant = "default"
    bins: int = DEFAULT_BINS
    min_size: int = DEFAULT_MIN_SIZE
    unlabelled: Unlabelled = "cluster"
    grouping: Grouping = "equal"
    groups: int | None = None
    surface: Surface = "constant"
    regions: int | None = None
    tolerance: float | None = None
    across_labels: bool = False
    labels: str | None = None
    depth: str | None = None
    instances: bool | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Parameters":
        """Make parameters of names and values; InputError where there is none of a name."""
        known = [item.name for item in fields(cls)]
        for name in values:
            if name not in known:
                near = get_close_matches(name, known, 1)
                raise InputError(
                    f"parameters: got {name!r}, expected some of {', '.join(known)}"
                    + (f"; {near[0]}?" if near else "")
                )
        return cls(**values)

    def settled(self, source: Source) -> "Parameters":
        """Take a source's own choice where none was made.

        Raises
        ------
        InputError
            Where the source has no such labels, depth or instances, or nothing that the variant could split.
        """
        labels = source.label_sets[0] if self.labels is None else self.labels
        depth = source.depth_kinds[0] if self.depth is None else self.depth
        for flag, value, choices in (
            ("--labels", labels, source.label_sets), ("--depth", depth, source.depth_kinds),
        ):  # fmt: skip
            if value not in choices:
                raise InputError(f"{flag}: got {value!r}, {source.path} has {', '.join(choices)}")
        instances = labels == MASKS if self.instances is None else self.instances
        if instances and not source.has_instances:
            raise InputError(f"{source.path}: has no instances; omit --instances")
        if labels == NO_LABELS and (self.variant == "published" or self.unlabelled == "ignore"):
            raise InputError(
                f"{source.path}: has no labels, so that no pixel would get a region; use --variant default "
                "and --unlabelled cluster, which split by depth alone"
            )
        return replace(self, labels=labels, depth=depth, instances=instances)

    def __post_init__(self) -> None:
        """Refuse what no algorithm has (the kernels' own checks would come after the layout)."""
        check_options(self.variant, self.bins, self.min_size, self.unlabelled)
        if self.variant == "published" and self.instances:
            raise InputError("--instances: the published variant knows categories only; omit it")
        for name in ("labels", "depth"):
            if not isinstance(getattr(self, name), str | None):
                raise InputError(f"{name}: got {getattr(self, name)!r}, expected a name such as '40'")
        check_grouping(self.variant, self.grouping, self.groups)
        check_surface(
            self.variant, self.grouping, self.surface, self.regions, self.tolerance, self.across_labels
        )
        for name in ("bins", "min_size", "groups", "regions"):  # NumPy's integers are none to JSON
            if getattr(self, name) is not None:
                object.__setattr__(self, name, int(getattr(self, name)))
        if self.tolerance is not None:
            object.__setattr__(self, "tolerance", float(self.tolerance))

    def document(self) -> dict[str, Any]:
        """Return the parameters as plain JSON types; those of planes only where there are planes."""
        return {
            name: value
            for name, value in asdict(self).items()
            if self.surface == "plane" or name not in ("surface", "regions", "tolerance", "across_labels")
        }


def cluster(depth: Array, semantic: Array, instance: Array, parameters: Parameters) -> RegionSupport:
    """Region support of one frame of (y, x) maps as ``parameters`` say."""
    return region_support(
        depth,
        semantic,
        instance if parameters.instances else None,
        variant=parameters.variant,
        bins=parameters.bins,
        min_size=parameters.min_size,
        unlabelled=parameters.unlabelled,
        grouping=parameters.grouping,
        groups=parameters.groups,
        surface=parameters.surface,
        regions=parameters.regions,
        tolerance=parameters.tolerance,
        across_labels=parameters.across_labels,
        unit_known=True,  # a source says metres; what is implausible is warned of, and built as it is
    )
