"""`check`: one module for each area."""
