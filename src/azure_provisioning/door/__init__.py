"""The only door to the guest: its files, programs, clock and network."""
