"""The satellite view around each photo: from Yandex, from tiles, or from a GeoTIFF, always cut in the same way."""
