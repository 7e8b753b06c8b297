"""A look at what is to be translated before it is: does the model know such pictures?"""

from collections.abc import Callable

from sat2map.card import ModelCard
from sat2map.familiar import windows
from sat2map.scenes.translate import Predicate, Source

Notice = Callable[[str], None]
_SMALLEST = 64  # px: what is smaller says nothing about its kind


def warn(
    card: ModelCard, source: Source, name: str, on_notice: Notice, blank: Predicate | None = None
) -> None:
    """Give notice if `source`, which has the model's resolution, lies far from the model's training pictures.

    Reads at most 16 small windows, and none where `blank` says that every pixel is missing.
    """
    height, width, _ = source.shape
    if card.familiar is None or min(height, width) < _SMALLEST:
        return
    looked_at = [window for window in windows(height, width) if blank is None or not blank(window)]
    if not looked_at:
        return
    sentence = card.familiar.judge(source.read(window) for window in looked_at).sentence()
    if sentence:
        on_notice(f"{name} is unlike the pictures that model {card.id!r} was trained on: {sentence}")
