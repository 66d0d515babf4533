"""Base-pairing probabilities from ViennaRNA, computed once a sequence and kept in a folder."""

from understudy.rna.pairing.compute import Tally, compute, default_folder, pairing_of
from understudy.rna.pairing.engine import available
from understudy.rna.pairing.pairs import Pairs

__all__ = ["Pairs", "Tally", "available", "compute", "default_folder", "pairing_of"]
