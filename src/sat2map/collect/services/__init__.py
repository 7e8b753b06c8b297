"""Services on the network that know geotagged photos: VK, Wikimedia Commons, Panoramax and other STAC APIs."""
