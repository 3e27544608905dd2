"""`generalize`: prepare a machine or an image for capture."""
