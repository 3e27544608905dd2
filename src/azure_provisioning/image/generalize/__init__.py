"""`generalize`: a machine or an image made ready to be captured."""
