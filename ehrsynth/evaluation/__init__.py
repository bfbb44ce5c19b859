"""How real, how useful and how private a synthetic table is. Black-box: no metric sees the generator."""
