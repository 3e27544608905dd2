"""The bench: one provisioning with this program, the origin's script, cloud-init and waagent, on the same VM image.

`python3 -m tests.bench` runs it, on the boot lab's machines and in its sealed Azure. It needs root and Debian packages,
as the boot lab does. `python3 -m tests.bench instructions` counts the instructions of a boot, without a VM.
"""
