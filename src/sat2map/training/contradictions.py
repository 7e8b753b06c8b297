"""Which parts of a recipe contradict each other, in words."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sat2map.training.recipe import Recipe


def contradictions(recipe: "Recipe") -> list[tuple[bool, str]]:
    """Return (whether it is so, what to say) of everything in a recipe that cannot train."""
    goal, unpaired = recipe.objective, recipe.system == "cyclegan"
    likeness = goal.cross_entropy or goal.reconstruction != "none" or goal.gradient
    steers = goal.r1 or goal.r2 or goal.noise or goal.augment or goal.feature_matching
    return [
        (
            goal.adversarial != "none" and recipe.discriminator is None,
            f"objective.adversarial={goal.adversarial} needs a discriminator",
        ),
        (
            recipe.latent is None and (recipe.data.direction == "sat2view") != (recipe.view is not None),
            "data.direction=sat2view and the section view belong together: begin with the recipe view-geo",
        ),
        *_latent_contradictions(recipe),
        (
            recipe.view is not None and (not recipe.view.heights or recipe.view.eye in recipe.view.heights),
            "view.heights needs one plane or more, none of them at view.eye",
        ),
        (
            recipe.view is not None
            and bool(goal.palette or unpaired or recipe.data.load or recipe.data.turns),
            "views are RGB pairs of one camera: leave objective.palette, system=cyclegan, data.load and data.turns out",
        ),
        (
            goal.palette in {1, 2, 3},
            "objective.palette needs 4 colours or more (3 outputs mean RGB)",
        ),
        (
            bool(goal.palette) and not goal.cross_entropy,
            "objective.palette needs objective.cross_entropy > 0",
        ),
        (
            bool(goal.cross_entropy) and not goal.palette,
            "objective.cross_entropy needs objective.palette > 0",
        ),
        (
            bool(goal.palette) and recipe.data.direction == "map2sat",
            "a palette describes maps: for data.direction=map2sat use the recipe carto-reverse or objective.palette=0",
        ),
        (
            not likeness and goal.adversarial == "none" and recipe.system != "encoder",
            "objective asks for nothing: set cross_entropy, reconstruction or adversarial",
        ),
        (
            bool(steers) and goal.adversarial == "none",
            "r1, r2, noise, augment and feature_matching concern a discriminator: set objective.adversarial",
        ),
        (
            bool(goal.smoothing) and goal.adversarial not in {"bce", "lsgan"},
            f"objective.smoothing has no meaning with objective.adversarial={goal.adversarial}: use bce or lsgan",
        ),
        (
            unpaired and goal.adversarial in {"none", "relativistic"},
            "system=cyclegan needs objective.adversarial=lsgan, bce or hinge",
        ),
        (
            unpaired and bool(likeness or goal.feature_matching),
            "system=cyclegan has no pairs: leave palette, cross_entropy, reconstruction, gradient and "
            "feature_matching out",
        ),
        (
            unpaired and recipe.data.finish is not None,
            "system=cyclegan keeps pictures of one size: leave data.finish out",
        ),
    ]


def _latent_contradictions(recipe: "Recipe") -> list[tuple[bool, str]]:
    goal, system = recipe.objective, recipe.system
    direction = {"landscape": "latent2view", "encoder": "sat2view"}.get(system)
    pixels = goal.palette or goal.cross_entropy or goal.reconstruction != "none" or goal.gradient
    return [
        (
            (direction is not None) != (recipe.latent is not None),
            "the section latent belongs to system=landscape and system=encoder, and to no other",
        ),
        (
            direction != recipe.data.direction if direction else recipe.data.direction == "latent2view",
            f"system={system} and data.direction={recipe.data.direction} do not fit: landscape goes with latent2view, "
            "encoder with sat2view",
        ),
        (
            direction is not None
            and bool(recipe.view or pixels or recipe.data.finish or recipe.data.turns or recipe.data.scale),
            f"system={system}: leave view, palette, cross_entropy, reconstruction, gradient, data.finish, data.turns "
            "and data.scale out",
        ),
        (
            system == "landscape" and bool(goal.adversarial == "none" or goal.feature_matching),
            "system=landscape needs objective.adversarial, and there is nothing to match features with",
        ),
        (
            system == "encoder"
            and bool(recipe.discriminator or goal.adversarial != "none" or recipe.data.load),
            "system=encoder has no discriminator, and its crops have one size: leave discriminator, "
            "objective.adversarial and data.load out",
        ),
    ]
