"""Does work done on the synthetic table hold on real patients?"""
