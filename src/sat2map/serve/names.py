"""Names of files in a job's folder, the same for everybody."""

UPLOAD = "upload"  # whatever the client calls it
VECTORS = "map.gpkg"
TYPES = {
    "map.png": "image/png",
    "map.tif": "image/tiff; application=geotiff",
    "map_classes.tif": "image/tiff; application=geotiff",
    "map_confidence.tif": "image/tiff; application=geotiff",
    VECTORS: "application/geopackage+sqlite3",
}  # results
