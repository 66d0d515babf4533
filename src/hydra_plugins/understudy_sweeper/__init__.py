"""Where Hydra 1.3 looks for plug-ins: a class defined in a module below ``hydra_plugins``.

No ``from __future__ import annotations`` here: Hydra executes this file before Python knows the module.
"""

from understudy.sweep.sweeper import Sweeping


class UnderstudySweeper(Sweeping):
    """The sweeper of ``conf/hydra/sweeper/understudy.yaml``; all of it is in :mod:`understudy.sweep`."""
