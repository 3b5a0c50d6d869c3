"""Runs a command without write access outside given folders, without network, within limits of memory and time.

`python confine.py --write FOLDER [--write FOLDER] [--memory BYTES] [--seconds N] -- COMMAND ...` confines itself and
then becomes the command. Landlock (Linux 5.13) does it where the kernel has it, user namespaces with a read-only view
of the file system where not; a seccomp filter refuses sockets in both. Only the standard library: it starts
in a few hundredths of a second. Everything that the command starts is confined as it is.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

NOT_CONFINED = 97  # exit status: nothing was run, since this system cannot confine it

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same on every processor
RULE_PATH_BENEATH = 1
QUERY_VERSION = 1
# Rights of Landlock that change files, by the version of its interface that knows them.
WRITE_FILE, REMOVE_DIR, REMOVE_FILE = 1 << 1, 1 << 4, 1 << 5
MAKE = sum(
    1 << bit for bit in range(6, 13)
)  # characters, folders, files, sockets, pipes, blocks, links
REFER, TRUNCATE, IOCTL_DEVICE = 1 << 13, 1 << 14, 1 << 15
RIGHTS = (
    (1, WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE),
    (2, REFER),
    (3, TRUNCATE),
    (5, IOCTL_DEVICE),
)
ON_FILES = WRITE_FILE | TRUNCATE
NETWORK_TCP = 0b11  # bind, connect: version 4
SCOPES = 0b11  # abstract sockets, signals: version 6
DEVICES = ("/dev/null", "/dev/zero", "/dev/full")

NO_NEW_PRIVILEGES = 38
SECCOMP, FILTER = 22, 2
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
OTHER_TABLE = (
    0x40000000  # x86_64: numbers from here on are those of a second table of the same calls
)
# System calls that answer EPERM, by their numbers on x86_64 and aarch64: what Landlock leaves of files (owners, rights,
# times, attributes), sockets, rings that go past this filter, other processes, the machine.
REFUSED = {
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "lchown": (94, None),
    "fchown": (93, 55),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "connect": (42, 203),
    "bind": (49, 200),
    "io_uring_setup": (425, 425),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "mount": (165, 40),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "setns": (308, 268),
    "bpf": (321, 280),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "reboot": (169, 142),
}

NEW_NAMESPACES = 0x10000000 | 0x00020000 | 0x40000000  # user, mount, network
READ_ONLY, REMOUNT, BIND, RECURSIVE, PRIVATE = 1, 32, 4096, 16384, 1 << 18


def system_call(number: int, *arguments: object) -> int:
    """A system call by number; -1 where it is refused, with the reason in `ctypes.get_errno()`."""
    return int(LIBC.syscall(number, *arguments))


LIBC = ctypes.CDLL(None, use_errno=True)


def landlock_version() -> int:
    """The version of Landlock's interface, 0 where the kernel has none."""
    return max(0, system_call(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(1)))


def can_confine() -> bool:
    """Whether this system confines commands at all; nothing is changed by asking."""
    return sys.platform == "linux" and (landlock_version() > 0 or has_namespaces())


def has_namespaces() -> bool:
    """Whether a process of this user may make a namespace of its own: tried in a child."""
    child = os.fork()
    if child == 0:
        os._exit(0 if LIBC.unshare(NEW_NAMESPACES) == 0 else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def confine(folders: Sequence[str]) -> None:
    """Takes from this process, for good, every write outside `folders` and every network; OSError where it cannot."""
    version = landlock_version()
    if version == 0:
        enter_namespaces(folders)
    if LIBC.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "no_new_privs")
    if version > 0:
        restrict_files(version, folders)
    refuse_calls()


def restrict_files(version: int, folders: Sequence[str]) -> None:
    """Landlock: files are changed in `folders` only."""
    rights = sum(right for since, right in RIGHTS if version >= since)
    network = NETWORK_TCP if version >= 4 else 0
    scopes = SCOPES if version >= 6 else 0
    parts = [rights, network, scopes][: 3 if version >= 6 else 2 if version >= 4 else 1]
    attributes = struct.pack(f"={len(parts)}Q", *parts)
    ruleset = system_call(
        CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0)
    )
    if ruleset < 0:
        raise OSError(ctypes.get_errno(), "landlock_create_ruleset")
    for path in (*folders, *(device for device in DEVICES if Path(device).exists())):
        own = rights if Path(path).is_dir() else rights & ON_FILES
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rule = struct.pack("=Qi", own, descriptor)
        added = system_call(ADD_RULE, ruleset, RULE_PATH_BENEATH, rule, ctypes.c_uint32(0))
        os.close(descriptor)
        if added < 0:
            raise OSError(ctypes.get_errno(), f"landlock_add_rule {path}")
    if system_call(RESTRICT_SELF, ruleset, ctypes.c_uint32(0)) < 0:
        raise OSError(ctypes.get_errno(), "landlock_restrict_self")
    os.close(ruleset)


def refuse_calls() -> None:
    """seccomp: the calls of REFUSED answer EPERM; nothing is done on processors without a table."""
    machine = platform.machine()
    if machine not in AUDIT:
        return
    column = list(AUDIT).index(machine)
    numbers = [pair[column] for pair in REFUSED.values() if pair[column] is not None]
    load, equal, least, give = 0x20, 0x15, 0x35, 0x06  # BPF: LD|W|ABS, JEQ|K, JGE|K, RET|K
    allow, refuse = 0x7FFF0000, 0x00050000 | errno.EPERM
    program = [
        (load, 0, 0, 4),
        (equal, 1, 0, AUDIT[machine]),
        (give, 0, 0, refuse),
        (load, 0, 0, 0),
    ]
    tests = [(least, OTHER_TABLE), *((equal, number) for number in numbers)]
    for index, (test, number) in enumerate(tests):
        program.append((test, len(tests) - index, 0, number))
    program += [(give, 0, 0, allow), (give, 0, 0, refuse)]
    code = b"".join(struct.pack("=HBBI", *line) for line in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    described = struct.pack("@HP", len(program), ctypes.addressof(buffer))
    if LIBC.prctl(SECCOMP, FILTER, described, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "seccomp")


def enter_namespaces(folders: Sequence[str]) -> None:
    """Without Landlock: the file system read-only but for `folders`, and an empty network, seen by this process."""
    user, group = os.getuid(), os.getgid()
    if LIBC.unshare(NEW_NAMESPACES) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        Path(f"/proc/self/{name}").write_text(text, encoding="ascii")
    mount(None, "/", RECURSIVE | PRIVATE)
    for folder in folders:
        mount(folder, folder, BIND)
    with Path("/proc/self/mounts").open(encoding="utf-8", errors="surrogateescape") as file:
        places = [line.split()[1].encode().decode("unicode_escape") for line in file]
    for place in places:
        if os.path.realpath(place) not in map(os.path.realpath, folders):
            # what cannot be remounted (a mount of the system's own) is left: its owner's rights still hold there
            LIBC.mount(None, os.fsencode(place), None, REMOUNT | BIND | READ_ONLY, None)


def mount(source: str | None, target: str, flags: int) -> None:
    """mount(2); raises OSError."""
    given = None if source is None else os.fsencode(source)
    if LIBC.mount(given, os.fsencode(target), None, flags, None) != 0:
        raise OSError(ctypes.get_errno(), f"mount {target}")


def limit(memory_bytes: int | None, seconds: float | None) -> None:
    """Limits of this process and what it becomes: address space, processor seconds, no core file."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory_bytes is not None:
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    if seconds is not None:
        whole = max(1, int(seconds))
        resource.setrlimit(resource.RLIMIT_CPU, (whole, whole + 5))


def main() -> None:
    """The command line of the module's docstring."""
    options, command = sys.argv[1 : sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1 :]
    pairs = list(zip(options[::2], options[1::2], strict=True))
    memory = next((int(value) for name, value in pairs if name == "--memory"), None)
    seconds = next((float(value) for name, value in pairs if name == "--seconds"), None)
    try:
        confine([value for name, value in pairs if name == "--write"])
        limit(memory, seconds)
    except OSError as error:
        print(f"not confined: {error}", file=sys.stderr)
        sys.exit(NOT_CONFINED)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
