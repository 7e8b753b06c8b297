"""Adds served layers to a real QGIS and draws one tile's square of each; run by `test_serve_qgis.py`.

python3 serve_qgis.py LEFT,BOTTOM,RIGHT,TOP NAME=SOURCE... leaves NAME.png in the working folder, 256 x 256 px, and says
in JSON which layers are valid. SOURCE is what QGIS keeps of a connection.
"""

import json
import os
import sys

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from qgis.core import (
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsMapRendererParallelJob,
    QgsMapSettings,
    QgsRasterLayer,
    QgsRectangle,
)
from qgis.PyQt.QtCore import QSize
from qgis.PyQt.QtGui import QColor

application = QgsApplication([], False)
application.initQgis()
extent = QgsRectangle(*(float(number) for number in sys.argv[1].split(",")))
found = {}
for argument in sys.argv[2:]:
    name, _, source = argument.partition("=")
    layer = QgsRasterLayer(source, name, "wms")
    found[name] = layer.isValid()
    settings = QgsMapSettings()
    settings.setLayers([layer])
    settings.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:3857"))
    settings.setExtent(extent)
    settings.setOutputSize(QSize(256, 256))
    settings.setBackgroundColor(QColor("magenta"))
    job = QgsMapRendererParallelJob(settings)
    job.start()
    job.waitForFinished()
    job.renderedImage().save(f"{name}.png")
print(json.dumps(found))  # noqa: T201
application.exitQgis()
