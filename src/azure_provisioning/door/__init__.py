"""The only access to the guest: its files, programs, clock and network."""
