"""Objectives as free functions: tensors in, scalar out. No networks, no weights, no state.

`likeness` compares with the true picture, `adversarial` scores a game of two networks, `penalties` bound the slope of a
discriminator.
"""

from sat2map.losses.adversarial import adversarial_discriminator, adversarial_generator
from sat2map.losses.likeness import (
    balanced_weights,
    feature_matching,
    gradient_difference,
    palette_cross_entropy,
)
from sat2map.losses.penalties import difference_penalty, gradient_penalty

__all__ = [
    "adversarial_discriminator", "adversarial_generator", "balanced_weights", "difference_penalty",
    "feature_matching", "gradient_difference", "gradient_penalty", "palette_cross_entropy",
]  # fmt: skip
