"""What does the synthetic table give away about the patients that it was made from?"""
