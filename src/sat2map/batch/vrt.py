"""A GDAL virtual raster over the cells: a small XML file that QGIS and GDAL open as one scene, without a copy.

Format: gdal.org/drivers/raster/vrt.html. Sources are named relative to the file: the
plan's folder can be moved.
"""

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as Xml

from sat2map.batch.rasters import Mosaicked
from sat2map.grid import Window
from sat2map.palette import Colour

_INTERPRETATION = {"colour": ("Red", "Green", "Blue"), "classes": ("Palette",), "confidence": ("Gray",)}


def vrt_of(merged: Mosaicked, beside: Path, colours: Sequence[Colour] = (), names: Sequence[str] = ()) -> str:
    """Return the XML for a file in the folder `beside`. `colours` and `names` are of classes."""
    height, width = merged.shape
    root = Xml.Element("VRTDataset", rasterXSize=str(width), rasterYSize=str(height))
    Xml.SubElement(root, "SRS", dataAxisToSRSAxisMapping="1,2").text = merged.crs
    a, b, c, d, e, f = merged.transform
    Xml.SubElement(root, "GeoTransform").text = ", ".join(f"{value!r}" for value in (c, a, b, f, d, e))
    for number, interpretation in enumerate(_INTERPRETATION[merged.product], 1):
        band = Xml.SubElement(root, "VRTRasterBand", dataType="Byte", band=str(number))
        Xml.SubElement(band, "ColorInterp").text = interpretation
        if merged.product != "colour":
            Xml.SubElement(band, "NoDataValue").text = "255"
        if merged.product == "classes":
            _legend(band, colours, names)
        _sources(band, merged, beside, str(number))
    mask = Xml.SubElement(Xml.SubElement(root, "MaskBand"), "VRTRasterBand", dataType="Byte")
    _sources(mask, merged, beside, "mask,1")
    Xml.indent(root)
    return Xml.tostring(root, encoding="unicode") + "\n"


def _legend(band: Xml.Element, colours: Sequence[Colour], names: Sequence[str]) -> None:
    table = Xml.SubElement(band, "ColorTable")
    for red, green, blue in colours:
        Xml.SubElement(table, "Entry", c1=str(red), c2=str(green), c3=str(blue), c4="255")
    categories = Xml.SubElement(band, "CategoryNames")
    for name in names:
        Xml.SubElement(categories, "Category").text = name


def _sources(band: Xml.Element, merged: Mosaicked, beside: Path, number: str) -> None:
    side, frame = str(merged.plan.side), Window(0, 0, *merged.shape)
    for key in sorted(merged.tiles):
        tile = merged.tiles[key]
        if not tile.window.shared(frame).area:
            continue
        source = Xml.SubElement(band, "SimpleSource")
        name = Xml.SubElement(source, "SourceFilename", relativeToVRT="1", shared="0")
        name.text = tile.path.relative_to(beside).as_posix()
        Xml.SubElement(source, "SourceBand").text = number
        Xml.SubElement(source, "SourceProperties", RasterXSize=side, RasterYSize=side, DataType="Byte")
        shared = tile.window.shared(frame)
        inside = shared._replace(row=shared.row - tile.window.row, col=shared.col - tile.window.col)
        for rectangle, place in (("SrcRect", inside), ("DstRect", shared)):
            Xml.SubElement(
                source, rectangle,
                xOff=str(place.col), yOff=str(place.row), xSize=str(place.width), ySize=str(place.height),
            )  # fmt: skip
