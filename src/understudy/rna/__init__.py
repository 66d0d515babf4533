"""RNA: nucleotide sequences in, chemical reactivities of every nucleotide out."""
