"""For the person who makes the image: install it, look at it, try its first boot."""
