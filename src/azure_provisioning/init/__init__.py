"""Who starts us? One init system a module; each enables and disables the hook. `table.py` lists them."""
