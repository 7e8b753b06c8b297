"""From a class raster to polygons and road lines, block by block, as if the scene had been read in one piece."""
