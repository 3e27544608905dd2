"""Our modules, compiled by `install` for the boots that follow."""
