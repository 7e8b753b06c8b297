"""Scenes as live map layers over HTTP, pictures and scenes translated on request, and a page to try it all.

Two processes. The server (`server.py`, `app.py`) speaks HTTP, decides who is let in (`lane.py`), keeps finished tiles
(`tilecache.py`) and never touches a pixel. The worker (`worker.py`) opens files and runs networks, one thing at a time;
`supervisor.py` starts it anew when it dies, is killed or hangs. They talk in frames of MessagePack (`messages.py`), so
that nothing is unpickled. No route takes a path or an address: layers and models are looked up by id in dictionaries
that are made at start.
"""
