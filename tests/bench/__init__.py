"""The bench: one provisioning of ours against the origin's script, cloud-init and waagent, on the same VM image.

`python3 -m tests.bench` runs it, on the boot lab's machines and in its sealed Azure. Root and Debian packages are
needed, as for the boot lab. `python3 -m tests.bench instructions` counts those of a boot, and needs no machine.
"""
