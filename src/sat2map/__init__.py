"""sat2map: satellite and aerial imagery to street maps, and back."""

__version__ = "0.1.0.dev0"
