"""A real first boot in a Debian tree, killed at every system call that changes something, and run again (root, Linux).

`room` is the sealed machine. `tracer` holds its processes at their system calls. `leaks` searches their writes.
`durable` finds what a power cut would lose.
"""
