"""RNA: from a nucleotide sequence to the reactivity of every nucleotide to each chemical."""
