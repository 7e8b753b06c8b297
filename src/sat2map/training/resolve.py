"""What of a recipe gives way to the data: it says the most, and pictures may have less.

A resolved recipe is what the run folder, checkpoints and cards hold. Lengths in epochs are resolved in `length.py`.
"""

import math

import msgspec

from sat2map.training.recipe import Recipe


def with_colours(recipe: Recipe, count: int) -> Recipe:
    """The recipe for a palette of `count` colours."""
    return msgspec.structs.replace(recipe, objective=msgspec.structs.replace(recipe.objective, palette=count))


def with_finish(recipe: Recipe, side: int) -> Recipe:
    """The recipe with a finish that pictures of `side` px allow: smaller crops, or none where those are no larger.

    The batch grows as crops shrink, so that a step sees about as many pixels. A stride that divides both crops of the
    recipe divides the new one.
    """
    data = recipe.data
    if data.finish is None or data.load is not None or data.finish.crop <= side:
        return recipe
    step = math.gcd(data.crop, data.finish.crop)
    crop, finish = side // step * step, None
    if crop > data.crop:
        batch = max(1, round(data.finish.batch * (data.finish.crop / crop) ** 2))
        finish = msgspec.structs.replace(data.finish, crop=crop, batch=batch)
    return msgspec.structs.replace(recipe, data=msgspec.structs.replace(data, finish=finish))
