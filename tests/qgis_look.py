"""Loads files into a real QGIS as a user would and draws them; run by `test_qgis.py` under QGIS's own Python.

python3 qgis_look.py FOLDER FILE... says in JSON what is there and leaves a picture of each file, FILE.png, in FOLDER.
Nothing here chooses a colour, a name or a style: layers are added and the map is drawn.
"""

import json
import os
import pathlib
import sys

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from qgis.core import (
    QgsApplication,
    QgsMapRendererParallelJob,
    QgsMapSettings,
    QgsProject,
    QgsRasterLayer,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QSize
from qgis.PyQt.QtGui import QColor

SIDE = 800  # px of the longer side


def legend(layer):
    """What the layer tree shows below a layer: label and, where there is one, colour."""
    renderer = layer.renderer()
    if isinstance(layer, QgsRasterLayer):
        return [[label, colour.name()] for label, colour in renderer.legendSymbologyItems()]
    return [[item.label(), item.symbol().color().name()] for item in renderer.legendSymbolItems()]


def described(layer):
    facts = {
        "name": layer.name(),
        "valid": layer.isValid(),
        "crs": layer.crs().authid(),
        "renderer": layer.renderer().type() if layer.isValid() else None,
        "legend": legend(layer) if layer.isValid() else [],
    }
    if isinstance(layer, QgsRasterLayer):
        facts |= {"width": layer.width(), "height": layer.height(), "bands": layer.bandCount()}
    else:
        facts |= {"features": layer.featureCount(), "geometry": layer.geometryType()}
    return facts


def opened(path):
    """All layers of a file, the first on top."""
    if path.suffix in (".tif", ".tiff"):
        return [QgsRasterLayer(str(path), path.stem)]
    whole = QgsVectorLayer(str(path), path.stem, "ogr")
    if path.suffix != ".gpkg":
        return [whole]
    names = [part.split("!!::!!")[1] for part in whole.dataProvider().subLayers()]
    return [
        QgsVectorLayer(f"{path}|layername={name}", name, "ogr") for name in names if name != "layer_styles"
    ]


def drawn(layers, target):
    """Draw layers over one another, in the order of the list from the top, on a white ground."""
    settings = QgsMapSettings()
    settings.setLayers(layers)
    settings.setDestinationCrs(layers[0].crs())
    settings.setBackgroundColor(QColor("white"))
    extent = layers[0].extent()
    for layer in layers[1:]:
        extent.combineExtentWith(layer.extent())
    settings.setExtent(extent)
    longest = max(extent.width(), extent.height())
    settings.setOutputSize(
        QSize(round(SIDE * extent.width() / longest), round(SIDE * extent.height() / longest))
    )
    job = QgsMapRendererParallelJob(settings)
    job.start()
    job.waitForFinished()
    job.renderedImage().save(str(target))


def main(folder, *paths):
    application = QgsApplication([], False)
    application.initQgis()
    found = {}
    for path in map(pathlib.Path, paths):
        layers = opened(path)
        QgsProject.instance().addMapLayers(layers, False)
        found[path.name] = [described(layer) for layer in layers]
        drawn(list(reversed(layers)), pathlib.Path(folder) / f"{path.name}.png")
        QgsProject.instance().removeAllMapLayers()
    sys.stdout.write(json.dumps(found))
    application.exitQgis()


if __name__ == "__main__":
    main(*sys.argv[1:])
