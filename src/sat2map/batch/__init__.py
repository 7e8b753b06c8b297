"""A region on one plan: independent cells of one raster of the world, computed anywhere, in any order, once.

A plan is a folder: `plan.json` says what is made of what, `cells.jsonl` lists the cells, `journal.jsonl` what became of
them, `cells/` holds their rasters. Cells lie on one grid, the world's raster of web tiles at one zoom or that of a
projected CRS (`grids.py`), and inside them the network's own cells do too. A pixel therefore depends on the sources and
the model alone, and not on the size of the cells, on who computes them, or on what failed before.
"""
