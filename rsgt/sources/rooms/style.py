"""A room's taste: the colours and materials that its things are drawn from."""

from dataclasses import dataclass, field

import numpy as np

from rsgt.sources.rooms.mesh import Light, Material, Triple

WOODS = "#a8733f #7d4a24 #c89b62 #5a3420 #d8b98a #8f6b4a #e4dccb"
FABRICS = "#8c2f2a #3d5a80 #6b705c #b08968 #2f3e46 #a44a3f #7f8fa6 #d6ccc2 #5b4b6e #c9a227 #40514e"
BRIGHTS = "#c1121f #1d6fa3 #2a9d4a #f2b705 #e76f51 #f4f1de #6d597a #264653 #ffffff #222222 #d98fb0 #8ab17d"
PAINTS = "#e9e4d8 #d9d2c0 #cfd8d6 #e6d3a8 #c7b299 #b9c4b1 #d8c3c0 #b7a58c #eeeae2 #a9b7c6 #c98f5a"
METALS = "#b9bcc0 #4a4a4c #8d7b5e"


def linear(colour: str) -> Triple:
    """Linear light of a display colour written as #rrggbb."""
    r, g, b = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return r**2.2, g**2.2, b**2.2


def dimmed(colour: Triple, factor: float) -> Triple:
    """Scale a colour."""
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


@dataclass
class Style:
    """One room's taste: what its wood, cloth and metal look like, and the lamps that it has lit."""

    rng: np.random.Generator
    lights: list[Light] = field(default_factory=list)
    lit: bool = True

    def __post_init__(self) -> None:
        self.wood, self.second_wood = self._wood(), self._wood()
        self.paint = Material("plain", self.colour(PAINTS))
        self.white = Material("plain", linear("#efece6"), gloss=0.15)
        self.metal = Material("plain", self.colour(METALS), gloss=0.6)
        self.dark = Material("plain", linear("#1c1c1e"), gloss=0.4)
        self.shade = self.colour("#ffdca8 #ffd08a #ffe6c4")

    def between(self, low: float, high: float) -> float:
        """Draw a number."""
        return float(self.rng.uniform(low, high))

    def chance(self, probability: float) -> bool:
        """Draw a yes or no."""
        return bool(self.rng.random() < probability)

    def colour(self, choices: str) -> Triple:
        """Draw one of a list of display colours, a little lighter or darker."""
        return dimmed(linear(str(self.rng.choice(choices.split()))), self.between(0.8, 1.1))

    def _wood(self) -> Material:
        first = self.colour(WOODS)
        return Material("wood", first, dimmed(first, 0.62), self.between(0.05, 0.12), self.between(0.05, 0.3))

    def cloth(self) -> Material:
        """Draw an upholstery or a bedspread."""
        first = self.colour(FABRICS)
        pattern = str(self.rng.choice(["fabric", "fabric", "checks", "stripes"]))
        second = dimmed(first, 0.7) if pattern == "fabric" else self.colour(FABRICS)
        return Material(pattern, first, second, self.between(0.05, 0.14))

    def bright(self) -> Material:
        """Draw the colour of some small thing."""
        pattern = "plain" if self.chance(0.7) else "stripes"
        return Material(pattern, self.colour(BRIGHTS), self.colour(BRIGHTS), self.between(0.02, 0.06), 0.15)
