"""The init systems that start us: a module for each enables and disables the boot hook. `table.py` lists them."""
