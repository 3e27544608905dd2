"""One init system a module, each answering every question about it. `../table.py` lists the questions."""
