"""Training by gradient: the only code that knows Lightning."""

from understudy.training.callbacks import StoppedByUser
from understudy.training.fit import FitOptions, FitResult, fit

__all__ = ["FitOptions", "FitResult", "StoppedByUser", "fit"]
