"""The signs of a run that fails, read off running means: pure arithmetic, no state.

The failures are those documented by the projects that this one follows, and those that follow from arithmetic: a lost
game (the discriminator's loss goes to zero while the generator's surges), mode collapse (dark or nearly constant
pictures from rich inputs while the discriminator's loss stays finite), divergence, and a generator that never
starts. The thresholds were set on recorded runs of small networks and confirmed on other seeds (docs/LOG.md).
"""

import math

from sat2map.training.guard.means import Means

# Objective -> (discriminator's loss where it only guesses, generator's loss where a picture passes one time in 20).
GAMES: dict[str, tuple[float, float]] = {
    "bce": (math.log(2), 3.0),
    "lsgan": (0.25, 0.8),
    "hinge": (2.0, 1.0),
    "relativistic": (math.log(2), 3.0),
}
LOST = 0.04  # discriminator's loss, as a share of guessing: it is hardly ever wrong
GUESSING = 1.5  # the same: worse than guessing, so the discriminator itself is broken
SURGE = 1.5  # generator's adversarial loss over the lowest that its mean has been, or over that of one in 20
IDLE = 0.03  # the same: not to be told from guessing
SCALES = {
    "bce": 4.0,
    "lsgan": 1.0,
    "hinge": 2.0,
    "relativistic": 4.0,
}  # about what a sure judgement differs by
RICH = 0.04  # deviation of pictures that show something, in [-1, 1]: 5 grey levels
EMPTY = 0.15  # contrast or variety of generated pictures, as a share of those of true ones
DARK = 0.35  # brightness, as a share of that of true ones
DEAF = 0.05  # correlation of generated with true thumbnails over many pairs
ALIVE = 0.3  # all figures of a generator that has begun to paint
SIGNS_OF_LIFE = ("contrast", "variety", "brightness", "follow")
FARTHER = 1.5  # distance from the truth over the lowest that its mean has been
UNLEARNED = 0.97  # distance from the truth over that of the first steps


def picture_figures(means: Means, who: str) -> dict[str, float]:
    """What running means say of the generated pictures of a direction, each beside the true ones.

    variety: deviation of coarse thumbnails from picture to picture; contrast: deviation within a picture; brightness;
    follow: correlation of generated with true thumbnails over pictures, where they are pairs; error: mean absolute
    distance from the truth in [-1, 1].
    """
    if f"level.out{who}" not in means:
        return {}
    out, target = means.vector(f"out{who}"), means.vector(f"target{who}")
    out_variance = means.vector(f"out²{who}") - out**2
    target_variance = means.vector(f"target²{who}") - target**2
    found = {
        "variety": _share(math.sqrt(max(out_variance.mean(), 0)), math.sqrt(max(target_variance.mean(), 0))),
        "contrast": _share(means.number(f"deviation.out{who}"), means.number(f"deviation.target{who}")),
        "brightness": _share(1 + means.number(f"level.out{who}"), 1 + means.number(f"level.target{who}")),
    }
    if f"both{who}" in means:
        both = (means.vector(f"both{who}") - out * target).mean()
        spread = math.sqrt(max(out_variance.mean() * target_variance.mean(), 0))
        found["follow"] = _share(float(both), spread)
        found["error"] = means.number(f"error{who}")
    return found


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 1e-6 else 1.0 if part <= 1e-6 else 2.0


def is_alive(means: Means, who: str, figures: dict[str, float]) -> bool:
    """Tell whether pictures have contrast, variety and light, and follow the truth where there is one.

    Silent data make nobody alive: where inputs or true pictures show nothing, generated ones need not.
    """
    rich = (
        figures
        and means.number(f"deviation.source{who}") > RICH
        and means.number(f"deviation.target{who}") > RICH
    )
    return bool(rich) and min(figures[name] for name in SIGNS_OF_LIFE if name in figures) > ALIVE


def collapse(figures: dict[str, float]) -> str:
    """Evidence of dark, empty or unvarying pictures from a generator that has been alive, or ""."""
    if not figures:
        return ""
    if figures["brightness"] < DARK:
        return f"pictures have {figures['brightness']:.0%} of the brightness of true ones"
    if figures["contrast"] < EMPTY:
        return f"pictures have {figures['contrast']:.0%} of the contrast of true ones"
    if figures["variety"] < EMPTY:
        return f"pictures differ from each other by {figures['variety']:.0%} of what true ones do"
    if figures.get("follow", 1.0) < DEAF:
        return f"pictures and truth correlate at {figures['follow']:.2f} over many pairs"
    return ""


def lifeless(figures: dict[str, float]) -> str:
    """What a generator that has never been alive lacks."""
    least = min(
        (name for name in SIGNS_OF_LIFE if name in figures), key=lambda name: figures[name], default=""
    )
    return f"the {least} of pictures is {figures[least]:.0%} of what it should be" if least else ""


def divergence(means: Means, who: str) -> str:
    """Evidence that pictures have come farther from the truth than they were, or ""."""
    name, what = _distance(means, who)
    if name not in means or (lowest := means.stored[name].lowest) is None:
        return ""
    now = means.number(name)
    return f"{what} is {now:.3g}; it was {lowest:.3g}" if now > FARTHER * lowest else ""


def _distance(means: Means, who: str) -> tuple[str, str]:
    """The mean to judge a generator's progress by, and how to call it."""
    if f"error{who}" in means:
        return f"error{who}", "the distance from the truth (0 to 2)"
    return f"cycle{who}", "the loss after going there and back"


def stalled(means: Means, who: str) -> str:
    """Evidence that a generator which began from nothing is where it began, or ""."""
    name, what = _distance(means, who)
    if name not in means or (first := means.stored[name].first) is None:
        return ""
    now, lowest = means.number(name), means.stored[name].lowest or first
    return f"{what} is {now:.3g}; it began at {first:.3g}" if min(now, lowest) > UNLEARNED * first else ""


def game_figures(means: Means, who: str, objective: str, weight: float) -> dict[str, float]:
    """How the game stands: the discriminator's loss over that of guessing, and the generator's without its weight."""
    if f"d{who}" not in means or f"adversarial{who}" not in means or objective not in GAMES:
        return {}
    found = {
        "guessing": means.number(f"d{who}") / GAMES[objective][0],
        "fooled": means.number(f"adversarial{who}") / max(weight, 1e-12),
    }
    if f"d_real{who}" in means and f"d_fake{who}" in means:
        found["preference"] = means.number(f"d_real{who}") - means.number(f"d_fake{who}")
    return found


def no_convergence(means: Means, who: str, objective: str, weight: float, figures: dict[str, float]) -> str:
    """Evidence that the game is lost or makes no sense, or ""."""
    if not figures:
        return ""
    guessing, loss = figures["guessing"], figures["fooled"]
    if figures.get("preference", 0.0) < 0 and guessing < 0.5:
        return (
            f"the discriminator scores generated pictures {-figures['preference']:.2f} above true ones at a loss of "
            f"{guessing:.0%} of guessing: its labels are exchanged"
        )
    if guessing > GUESSING:
        return f"the discriminator's loss is {guessing:.0%} of guessing"
    knew = means.stored[f"d{who}"].lowest
    if (
        abs(guessing - 1) < IDLE
        and abs(figures.get("preference", 1.0)) < IDLE * SCALES[objective]
        and knew is not None
        and knew < 0.5 * GAMES[objective][0]
    ):
        return "the discriminator, which could tell generated pictures from true ones, only guesses now"
    lowest = means.stored[f"adversarial{who}"].lowest
    surged = lowest is not None and loss > SURGE * max(lowest / max(weight, 1e-12), 0.0)
    surged |= loss > SURGE * GAMES[objective][1]
    if guessing < LOST and loss > GAMES[objective][1] and surged:
        return (
            f"the discriminator's loss is {guessing:.1%} of guessing and the generator's adversarial loss "
            f"{loss:.2f}"
        )
    return ""
