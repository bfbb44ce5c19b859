"""The study: do synthetic images help a classifier more than the cheap remedies do?"""
