"""A boot from its hook to Ready, and what is known of it afterwards."""
