"""A picture as a NumPy array to a map, its classes and how sure the model is. Needs the core package only.

python examples/array_to_map.py photo.png map.png
"""

import sys
from pathlib import Path

import numpy as np

from sat2map.images import read_image, write_image
from sat2map.palette import CLASS_NAMES
from sat2map.runtime import open_translator
from sat2map.scenes.pictures import translate_image


def main(source: Path, target: Path) -> None:
    """Translate `source`, write the map, and say what it is made of."""
    picture = read_image(source)  # uint8 (H, W, 3), any size
    products = translate_image(open_translator("carto"), picture, ("colour", "classes", "confidence"))
    write_image(target, products["colour"], overwrite=True)
    share = np.bincount(products["classes"].ravel(), minlength=len(CLASS_NAMES)) / products["classes"].size
    for name, part in zip(CLASS_NAMES, share, strict=True):
        print(f"{name:9} {part:6.1%}")
    print(f"mean confidence {products['confidence'].mean():.0f} %")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
