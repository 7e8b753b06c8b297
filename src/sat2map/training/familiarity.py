"""What a run's pictures look like, for the card: limits are set on development pairs, which no weight has seen."""

from sat2map.errors import BadDataset
from sat2map.familiar import Familiar, learn
from sat2map.palette import Colour
from sat2map.palette import learn as learn_palette
from sat2map.training.dataset import Data

_COLOURS = (24, 12, 6)  # of the maps that a map -> satellite model was trained on: as many as there are
_SAMPLE = 200  # pictures, evenly spread
LEAST = 20  # development pictures: with fewer, what 99 % of them stay below is a guess


def familiar_of(data: Data) -> Familiar | None:
    """Measure the inputs of training and development, whole, at the size that the network sees; None if too few."""
    if data.recipe.view or len(data.sources) < LEAST:
        return None
    from_maps = data.recipe.data.direction == "map2sat"
    numbers = data.street_training if from_maps else data.training
    chosen = numbers[:: max(1, len(numbers) // _SAMPLE)]
    return learn(
        map(data.source, chosen), map(data.source, data.sources), _colours(data) if from_maps else ()
    )


def _colours(data: Data) -> tuple[Colour, ...]:
    numbers = data.street_training[:: max(1, len(data.street_training) // _SAMPLE)]
    for count in _COLOURS:
        try:
            return learn_palette(map(data.source, numbers), count).colours
        except BadDataset:  # toy maps have few colours
            continue
    return ()
