"""Runs inside the guest: the cost of one provisioning pass. Prints `METER wall cpu machine rss` (s, s, s, KiB).

meter.py [--until FILE] COMMAND... : each COMMAND is a shell line. They run one after another in their own control
group. With --until, the pass ends when FILE exists and no CPU has been used for two seconds; remaining processes are
killed. `cpu` is that of the control group. `machine` is that of the whole machine, with work that others do for the
pass: systemd that reloads its units, the service that hostnamectl starts, the kernel.
"""

import os
import resource
import subprocess
import sys
import time


def main(arguments):  # type: (list[str]) -> None
    until = arguments[1] if arguments[0] == "--until" else None
    commands = arguments[2:] if until else arguments
    group = "/sys/fs/cgroup/bench-%d" % os.getpid()
    os.mkdir(group)

    def used():  # type: () -> float
        with open(group + "/cpu.stat") as handle:
            return int(dict(line.split() for line in handle)["usage_usec"]) / 1e6

    def idle():  # type: () -> bool
        """Waits two seconds."""
        before = used()
        time.sleep(2)
        return used() - before < 0.05

    def enter():  # type: () -> None
        with open(group + "/cgroup.procs", "w") as handle:
            handle.write(str(os.getpid()))

    def busy():  # type: () -> float
        with open("/proc/stat") as handle:
            ticks = [int(word) for word in handle.readline().split()[1:9]]
        return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")  # without idle and I/O wait

    log = os.open("/run/bench.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    time.sleep(1)  # let earlier work end
    at_first = busy()
    started = time.monotonic()
    for command in commands:
        process = subprocess.Popen(
            ["/bin/sh", "-c", "exec " + command], preexec_fn=enter, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        if until:
            while process.poll() is None and time.monotonic() < started + 300:
                time.sleep(0.05)
                if os.path.exists(until) and idle():
                    break
            break
        process.wait()
    wall = time.monotonic() - started - (2 if until else 0)
    cpu = used()
    if until:
        with open(group + "/cgroup.kill", "w") as handle:
            handle.write("1")
        process.wait()
    time.sleep(1)  # other processes may still work on it
    machine = busy() - at_first
    os.rmdir(group)
    print("METER %.3f %.3f %.2f %d" % (wall, cpu, machine, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))


if __name__ == "__main__":
    main(sys.argv[1:])
