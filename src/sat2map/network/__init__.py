"""Many small requests to servers of other people: polite to them, careful with what they send, discreet with tokens.

`Client.get` fetches one address. It names itself, keeps to a rate per host and to caps that survive restarts, never
comes back before the time that a server asks for, retries what may pass within a budget, asks again only for what may
have changed (`Cache`), and believes neither lengths, types nor redirects. Requests go to hosts that the user named, and
to the very network address that was checked (`HostRules`). Tokens come from the environment (`Secrets`) and are in no
message, log line, file name or file.

One large file is another matter: see `sat2map.data.download`.
"""

from sat2map.network.address import Address, public
from sat2map.network.budget import Budget
from sat2map.network.cache import Cache
from sat2map.network.client import Client, Limits, Reply, Unacceptable
from sat2map.network.hosts import HostRules
from sat2map.network.pace import Clock
from sat2map.network.secrets import Secrets

__all__ = [
    "Address",
    "Budget",
    "Cache",
    "Client",
    "Clock",
    "HostRules",
    "Limits",
    "Reply",
    "Secrets",
    "Unacceptable",
    "public",
]
