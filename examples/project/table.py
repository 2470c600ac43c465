"""Reads the table of houses."""

import csv
import os

FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "houses.csv")


def rows():
    """Return each house as numbers: rooms, age, price."""
    with open(FILE) as source:
        return [[float(row[name]) for name in ("rooms", "age", "price")] for row in csv.DictReader(source)]


def scaled(values):
    """Return numbers between 0 and 1."""
    low, high = min(values), max(values)
    return [(value - low) / (high - low) for value in values]


def inputs():
    """Return rooms and age of each house, scaled."""
    rooms, ages, _ = zip(*rows())
    return [list(pair) for pair in zip(scaled(rooms), scaled(ages))]


def prices():
    """Return the price of each house, scaled."""
    return scaled([row[2] for row in rows()])
