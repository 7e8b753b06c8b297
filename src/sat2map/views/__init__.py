"""The view from the ground: where each pixel of it lies in a satellite picture, and models that draw it.

1. `camera`: a picture's rays, in perspective or all around.
2. `projection`: the satellite crop as such a camera would see it if everything in it lay on a level plane.
3. `viewer`: a bundle of direction `sat2view`, ready to draw: crop and heading in, picture out.
4. `imagery`: the crop around a place, from a scene, tiles, a picture or an invented world.
5. `path`: places along a line; `strip`: crop, view and the nearest true photos side by side.

    from sat2map.views import open_viewer, WorldImagery
    viewer = open_viewer()
    with WorldImagery(7) as imagery:
        crop = imagery.crop(imagery.place(0, 0), viewer.side, viewer.metres)
    picture = viewer(crop, heading=90.0)   # uint8 (H, W, 3)

Headings are degrees clockwise from north. The middle column of a picture looks along the heading. Nothing here imports
torch.
"""
