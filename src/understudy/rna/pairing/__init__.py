"""Base-pairing probabilities from ViennaRNA, computed once a sequence and kept in a folder."""

from understudy.rna.pairing.compute import complete, default_folder, pairing_of, pairings_of
from understudy.rna.pairing.pairs import Pairs
from understudy.rna.vienna import available

__all__ = ["Pairs", "available", "complete", "default_folder", "pairing_of", "pairings_of"]
