"""A boot from the boot hook to Ready, and the record of it afterwards."""
