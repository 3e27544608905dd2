"""For people who build images: install into one, check it, rehearse its first boot."""
