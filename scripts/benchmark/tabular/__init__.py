"""The benchmark of generators on patient tables: ours and its peers, each in an environment of its own."""
