"""Where the sidecar listens."""

from __future__ import annotations

from typing import Optional
from urllib.parse import quote, urlsplit

from .errors import ConfigError

DEFAULT = "http://127.0.0.1:6670"


def grpc_target(address: str) -> str:
    """What gRPC calls the address. Raises ConfigError when it is neither http://HOST:PORT nor unix:///PATH."""
    target = _unix(address) if address.startswith("unix:") else _tcp(address)
    if target is None:
        raise ConfigError(f'the address of the sidecar (DANUBE_SIDECAR_ADDRESS) is "{address}": expected http://HOST:PORT or unix:///PATH')
    return target


def _unix(address: str) -> Optional[str]:
    path = address[len("unix:") :]
    if path.startswith("//"):
        path = path[2:]
    return f"unix:{quote(path)}" if path.startswith("/") else None


def _tcp(address: str) -> Optional[str]:
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return None
    bare = parts.path in ("", "/") and not parts.query and not parts.fragment and "@" not in parts.netloc
    if parts.scheme != "http" or not parts.hostname or not port or not bare:
        return None
    return parts.netloc
