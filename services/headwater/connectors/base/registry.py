"""Finding vendors by entry point, so that a third party's package works without touching ours."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Final, cast

from headwater.connectors.base.port import Vendor
from headwater.kernel.errors import InvalidInput

GROUP: Final = "headwater.connectors"


@dataclass(frozen=True, slots=True)
class Installed:
    """One entry point of the group, loaded.

    Args:
        package: the distribution that provides it, as `headwater 0.1.0`.
        vendor: None where it cannot be used.
        fault: why not.
    """

    name: str
    package: str
    vendor: Vendor | None
    fault: str = ""


def vendor_names() -> tuple[str, ...]:
    """Return the names of all installed vendors, sorted."""
    return tuple(sorted({entry.name for entry in entry_points(group=GROUP)}))


def load_vendor(name: str) -> Vendor:
    """Return the vendor called *name*.

    Raises:
        InvalidInput: no installed package provides it.
    """
    for entry in entry_points(group=GROUP, name=name):
        return cast("Vendor", entry.load())
    known = ", ".join(vendor_names()) or "none"
    raise InvalidInput(f"vendor {name!r} is not installed (known: {known})", reason="UNKNOWN_VENDOR")


def installed() -> tuple[Installed, ...]:
    """Return every vendor that is installed, by name; one that cannot be loaded does not hide the others."""
    return tuple(_loaded(entry) for entry in sorted(entry_points(group=GROUP), key=lambda item: item.name))


def _loaded(entry: EntryPoint) -> Installed:
    package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "unknown"
    try:
        vendor = cast("Vendor", entry.load())
    except Exception as error:  # noqa: BLE001 - somebody else's code, at import
        return Installed(
            entry.name, package, None, f"cannot be loaded: {type(error).__name__}: {error}"[:300]
        )
    missing = [
        part
        for part in ("name", "capabilities", "in_doubt", "write_kind", "open")
        if not hasattr(vendor, part)
    ]
    if missing:
        return Installed(entry.name, package, None, f"is no vendor: lacks {', '.join(missing)}")
    if vendor.name != entry.name:
        return Installed(
            entry.name, package, None, f"calls itself {vendor.name!r}, its entry point {entry.name!r}"
        )
    return Installed(entry.name, package, vendor)
