"""A module for each init system, all with the functions that `../table.py` lists."""
