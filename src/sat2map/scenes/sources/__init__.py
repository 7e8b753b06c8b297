"""Tile sources as input: XYZ and TMS templates, TileJSON, WMTS, fetched into a mosaic that is a scene like any other.

A document or a template becomes a `TileLayer` (what there is: levels and addresses), an area and a level become a
`Cover` (which tiles, which pixels), and `fetch.gathered` brings these here, tile by tile and safe from kills.
"""
