"""Models: the registry, the adapter to the MMSA package, and the paper's fine-grained method."""

from harness.models.entry import Hyper, ModelEntry, Site, Taps
from harness.models.registry import add_plugin, build, entry, names, plugin_of, resolve_hyper, seed_everything

__all__ = [
    "Hyper",
    "ModelEntry",
    "Site",
    "Taps",
    "add_plugin",
    "build",
    "entry",
    "names",
    "plugin_of",
    "resolve_hyper",
    "seed_everything",
]
