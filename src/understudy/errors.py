"""What can go wrong because of what a person gave us, as one tree.

::

    UnderstudyError
    ├── DataError      a case, a file, a column, a value
    ├── ConfigError    a key, a value, a name in the configuration or on the command line
    ├── ModelError     a network, a bundle, a training that cannot go on
    └── ExportError    a target format that cannot hold the model

The message is one line: what, where, and what to do about it. The command line prints it and exits with
status 2. Everything else that is raised is a defect of ours and keeps its traceback.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class UnderstudyError(Exception):
    """The root: a person can mend this."""


class DataError(UnderstudyError):
    """A case, a file, a column or a value is not what the contract asks for."""


class ConfigError(UnderstudyError):
    """A key, a value or a name in the configuration or on the command line is wrong."""


class ModelError(UnderstudyError):
    """A network, a bundle or a training run cannot be used as asked."""


class ExportError(UnderstudyError):
    """The model cannot be written in the format asked for."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``"; did you mean 'dot'?"`` for the nearest known name, or an empty string."""
    near = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""
