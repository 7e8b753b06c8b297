"""What a run's pictures look like, for the card: limits are set on development pairs, which no weight has seen."""

from sat2map.familiar import Familiar, learn
from sat2map.palette import learn as learn_palette
from sat2map.training.setup import Data

_COLOURS = 24  # of the maps that a map -> satellite model was trained on
_SAMPLE = 200  # pictures, evenly spread


def familiar_of(data: Data) -> Familiar:
    """Measure the inputs of training and development pairs, whole, at the size that the network sees."""
    chosen = data.training[:: max(1, len(data.training) // _SAMPLE)]
    maps_in = data.recipe.data.direction == "map2sat"
    colours = learn_palette(map(data.source, chosen), _COLOURS).colours if maps_in else ()
    return learn(map(data.source, chosen), map(data.source, data.development), colours)
