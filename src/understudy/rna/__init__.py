"""RNA: reactivity of every nucleotide to chemical probes, from the sequence."""
