"""Where Hydra 1.3 looks for plug-ins; see the remarks of ``understudy_sweeper`` beside this folder."""

from understudy.sweep.ray import RayLaunching


class UnderstudyRay(RayLaunching):
    """The launcher of ``conf/hydra/launcher/ray.yaml``; all of it is in :mod:`understudy.sweep.ray`."""
