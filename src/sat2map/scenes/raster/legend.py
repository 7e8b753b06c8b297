"""Names and colours of classes, in the files beside a class raster where other programs look for them.

GeoTIFF has no place for names: GDAL reads them from `FILE.tif.aux.xml`. QGIS reads that too, but then lists all 256
entries that a colour table of TIFF has, and paints a raster with a mask in one flat colour (seen in 3.22); with its own
form of a style in `FILE.qml`, it lists and paints the classes.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

Colour = tuple[int, int, int]


def sidecars(classes: Path, names: Sequence[str], colours: Sequence[Colour]) -> dict[Path, str]:
    """Return path -> content of what goes beside the raster `classes`; class n has the n-th name and colour."""
    return {
        classes.with_name(f"{classes.name}.aux.xml"): categories(names),
        classes.with_suffix(".qml"): style(names, colours),
    }


def categories(names: Iterable[str]) -> str:
    """Return the names as GDAL's persistent auxiliary metadata."""
    listed = "".join(f"      <Category>{escape(name)}</Category>\n" for name in names)
    return (
        '<PAMDataset>\n  <PAMRasterBand band="1">\n    <CategoryNames>\n'
        f"{listed}    </CategoryNames>\n  </PAMRasterBand>\n</PAMDataset>\n"
    )


def style(names: Iterable[str], colours: Iterable[Colour]) -> str:
    """Return names and colours as the style of a raster layer of QGIS (3.4 and newer)."""
    entries = "".join(
        f'      <paletteEntry value="{number}" label={quoteattr(name)} '
        f'color="#{red:02x}{green:02x}{blue:02x}" alpha="255"/>\n'
        for number, (name, (red, green, blue)) in enumerate(zip(names, colours, strict=True))
    )
    return (
        "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
        '<qgis version="3.4.0" styleCategories="Symbology">\n  <pipe>\n'
        '    <rasterrenderer type="paletted" band="1" opacity="1" alphaBand="-1">\n     <colorPalette>\n'
        f"{entries}     </colorPalette>\n    </rasterrenderer>\n  </pipe>\n</qgis>\n"
    )
