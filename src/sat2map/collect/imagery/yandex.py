"""The Yandex Static API: one picture per place.

https://yandex.com/dev/maps/staticapi/doc/1.x/dg/concepts/input_params.html: `ll` is longitude,latitude of the middle,
`l=sat` satellite imagery, `size` at most 650x450 px, `z` 0 to 17. Errors are XML with status 400 (parameters) or 403
(key). Its projection is Mercator on the ellipsoid; that a pixel is some parts in a thousand smaller or larger for it
is left out.
"""

from urllib.parse import urlencode

import numpy as np

from sat2map import images, mercator
from sat2map.collect.imagery.views import Cut, View
from sat2map.collect.provider import Gone
from sat2map.errors import DownloadFailed, Sat2MapError
from sat2map.network import Client, Reply, Unacceptable

BASE = "https://static-maps.yandex.ru/1.x/"
KEY = "YANDEX_MAPS_KEY"  # environment variable; the key is sent if it is there
RATE = 2.0  # requests per second
MOST_SIDE, MOST_ZOOM = 450, 17
_BLANK = 1.5  # grey levels of deviation below which a picture says that there is none


class Yandex:
    """Satellite pictures of Yandex Maps."""

    attribution = "© Yandex and its imagery suppliers"

    def __init__(self, client: Client, cut: Cut, base: str = BASE, *, has_key: bool = False) -> None:
        """`has_key`: the client's secrets hold the key, and it is sent."""
        self.name = "yandex"
        self._client, self._cut, self._base, self._has_key = client, cut, base, has_key

    def view(self, longitude: float, latitude: float) -> View:
        """Ask for the picture around a place."""
        fields = {
            "ll": f"{longitude:.6f},{latitude:.6f}",
            "size": f"{self._cut.view},{self._cut.view}",
            "z": str(self._cut.zoom),
            "l": "sat",
        }
        url = f"{self._base}?{urlencode(fields, safe=',')}"
        if self._has_key:
            url += f"&apikey={{env:{KEY}}}"
        reply = self._client.get(url, kinds=("image/",), also=(400, 403, 404), check=self._check)
        if reply.status == 403:
            raise DownloadFailed("Yandex answers 403", f"Check the key in {KEY} and what it permits")
        if reply.status != 200:
            raise Gone(f"Yandex answers {reply.status}")
        pixels = images.decode_image(reply.body, name="the picture of Yandex")
        if float(np.std(pixels)) < _BLANK:
            raise Gone("a blank picture")
        return View(pixels, mercator.ground_size(self._cut.zoom, latitude))

    def _check(self, reply: Reply) -> None:
        try:
            pixels = images.decode_image(reply.body, name="the picture of Yandex")
        except Sat2MapError as error:
            raise Unacceptable(error.what) from error
        if pixels.shape[:2] != (self._cut.view, self._cut.view):
            raise Unacceptable(
                f"the picture has {pixels.shape[1]} x {pixels.shape[0]} px, not {self._cut.view}"
            )
